# Tributary for Spack. In a repository of your own: packages/tributary/package.py; then
#   spack dev-build tributary@main          in a checkout
# or `spack install tributary@main` once `git` below names your copy of the repository.
import os

from spack.package import *


class Tributary(CMakePackage):
    """Federated fine-tuning of language models across HPC centers: a federation's command line, a site's daemon, the
    server, and a trainer for CPUs and GPUs."""

    git = "file://" + os.environ.get("TRIBUTARY_REPOSITORY", "/path/to/tributary")

    version("main", branch="main")

    variant("trainer", default=True, description="Build tributary-trainer, which needs LibTorch")

    depends_on("cxx", type="build")
    depends_on("cmake@3.24:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("grpc@1.51: cxxstd=17")
    depends_on("protobuf")
    depends_on("c-ares")
    depends_on("openssl@3:")
    depends_on("sqlite@3.40:")
    depends_on("yaml-cpp")
    depends_on("pcre2")
    depends_on("spdlog")
    depends_on("nlohmann-json")
    depends_on("cli11")
    depends_on("eigen@3.4")
    depends_on("py-torch@1.13:", when="+trainer")
    depends_on("gloo", when="+trainer")
    depends_on("utf8proc", when="+trainer")

    conflicts("%gcc@:11", msg="C++20 as GCC 12 has it")

    generator("ninja")

    def cmake_args(self):
        arguments = [
            self.define_from_variant("TRIBUTARY_WITH_TORCH", "trainer"),
            self.define("TRIBUTARY_BUILD_TESTS", False),
            self.define("TRIBUTARY_UNITY", True),
        ]
        if self.spec.satisfies("+trainer"):
            arguments.append(self.define("CMAKE_PREFIX_PATH", join_path(
                self.spec["py-torch"].package.cmake_prefix_paths[0])))
        return arguments
