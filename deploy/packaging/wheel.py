"""Makes a wheel of an installed tree, in which bin/ has programs and share/ has files. Python alone.

    wheel.py --tree DIR --version V --platform linux_x86_64 --license FILE --requirements FILE --to DIR

Programs become the wheel's scripts and share/ goes below the environment's prefix, so that a program finds its files at
../share/tributary from where it lies, as in every other installation. The same tree and SOURCE_DATE_EPOCH give the same bits.
The format: packaging.python.org, "Binary distribution format".
"""
import argparse
import base64
import hashlib
import os
import time
import zipfile

METADATA = """Metadata-Version: 2.1
Name: tributary
Version: {version}
Summary: Federated fine-tuning across HPC centers: the command line, a site's daemon, the server
License: Apache-2.0
Requires-Python: >=3.6
Provides-Extra: peft
{requirements}
Static programs; they need no Python. `tributary-client join` makes a site of a machine. The extra `peft` installs what the trainer
share/tributary/trainers/peft/tributary_peft.py was tested with.
"""
WHEEL = """Wheel-Version: 1.0
Generator: tributary wheel.py
Root-Is-Purelib: false
Tag: py3-none-{platform}
"""


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def files_below(directory):
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(folder, name)


def requirements(path):
    with open(path, encoding="utf-8") as file:
        lines = (line.strip() for line in file)
        return [f'Requires-Dist: {line} ; extra == "peft"' for line in lines if line and not line.startswith("#")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tree", "version", "platform", "license", "requirements", "to"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    name = f"tributary-{arguments.version}"
    date = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), 315532800))[:6]  # zip begins in 1980
    contents = []  # (name in the wheel, mode, bytes)
    for part, place in (("bin", "scripts"), ("share", "data/share")):
        root = os.path.join(arguments.tree, part)
        for path in files_below(root):
            with open(path, "rb") as file:
                contents.append((f"{name}.data/{place}/{os.path.relpath(path, root)}", os.stat(path).st_mode & 0o777,
                                 file.read()))
    if not any(".data/scripts/" in entry[0] for entry in contents):
        raise SystemExit(f"wheel.py: {arguments.tree}/bin has no programs")
    with open(arguments.license, "rb") as file:
        contents.append((f"{name}.dist-info/LICENSE", 0o644, file.read()))
    metadata = METADATA.format(version=arguments.version, requirements="\n".join(requirements(arguments.requirements)) + "\n")
    contents.append((f"{name}.dist-info/METADATA", 0o644, metadata.encode()))
    contents.append((f"{name}.dist-info/WHEEL", 0o644, WHEEL.format(platform=arguments.platform).encode()))
    record = "".join(f"{entry},{digest(data)},{len(data)}\n" for entry, _, data in contents)
    contents.append((f"{name}.dist-info/RECORD", 0o644, (record + f"{name}.dist-info/RECORD,,\n").encode()))

    path = os.path.join(arguments.to, f"{name}-py3-none-{arguments.platform}.whl")
    with zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:
        for entry, mode, data in contents:
            info = zipfile.ZipInfo(entry, date)
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(info, data)
    os.replace(path + ".new", path)
    print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB, {len(contents)} files")


if __name__ == "__main__":
    main()
