#include "client/python_packages.h"

namespace tributary::client {

// A conflict is `used` when it is in what the listed packages need, directly or through others:
// those a trainer meets, and not a package of the system itself: Debian's PyTorch asks for versions
// that Debian does not have, and works. A large environment usually has others that nobody notices.
const char* const kPackagesProgram = R"python(
import json, re, subprocess, sys

SHOWN = ["torch", "transformers", "peft", "tokenizers", "safetensors"]
report = {"python": ".".join(map(str, sys.version_info[:3])), "versions": {}, "conflicts": []}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def tell():
    print("tributary-packages " + json.dumps(report), flush=True)
    sys.exit(0)


try:
    from importlib import metadata
except ImportError:
    report["trouble"] = "Python is older than 3.8: packages cannot be listed"
    tell()

installed, needs, vouched = {}, {}, set()
for distribution in metadata.distributions():
    name = distribution.metadata["Name"]
    if not name or plain(name) in installed:  # the first one on the path is imported
        continue
    installed[plain(name)] = distribution.version or "0"
    needs[plain(name)] = distribution.requires or []
    if "dist-packages" in str(distribution.locate_file("")).split("/"):
        vouched.add(plain(name))  # the system's own package, whose maintainers chose what it runs with
for name in SHOWN:
    if name in installed:
        report["versions"][name] = installed[name]

try:
    from packaging.requirements import Requirement
except ImportError:
    try:
        from pip._vendor.packaging.requirements import Requirement
    except ImportError:
        Requirement = None

if Requirement is None:
    try:
        answer = subprocess.run([sys.executable, "-m", "pip", "check"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=50, universal_newlines=True)
        lines = [line for line in answer.stdout.splitlines() if " requires " in line or " has requirement " in line]
        if answer.returncode != 0 and not lines:
            report["trouble"] = "there is neither `packaging` nor a working pip to compare versions with"
        for line in lines:
            report["conflicts"].append({"text": line, "used": plain(line.split()[0]) in SHOWN})
    except (OSError, subprocess.SubprocessError) as error:
        report["trouble"] = str(error)
    tell()

wanted, conflicts = {}, {}
for name, lines in needs.items():
    for line in lines:
        try:
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            other = plain(requirement.name)
            wanted.setdefault(name, set()).add(other)
            have = installed.get(other)
            text = "%s %s needs %s%s" % (name, installed[name], other, requirement.specifier)
            if have is None:
                conflicts.setdefault(name, []).append(text + ", which is not installed")
            elif not requirement.specifier.contains(have, prereleases=True):
                conflicts.setdefault(name, []).append(text + "; %s is installed" % have)
        except Exception:  # metadata that nobody can read
            continue

used, left = set(), [name for name in SHOWN + ["accelerate", "datasets"] if name in installed]
while left:
    name = left.pop()
    if name not in used:
        used.add(name)
        left.extend(wanted.get(name, ()))
for name in sorted(conflicts, key=lambda name: (name not in used, name)):
    for text in conflicts[name]:
        report["conflicts"].append({"text": text, "used": name in used and name not in vouched})
tell()
)python";

}  // namespace tributary::client
