#!/usr/bin/env python3
"""The commands of docs/embedding.md, exactly as printed, on the files of README.md.

  embedding_test.py SOURCE_DIR PREFIX BUILD_DIR WORK_DIR

Each block of commands stands behind a line <!-- run: NAME -->. Its home directory has an installed taut in taut/ and the
sources in src/taut/; what would change this machine is only simulated.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

from readme_service_test import extract, serve_and_call

BLOCKS = ["pkg-config", "deb", "fetch"]
# Instead of the programs that change the machine. apt knows from its lists whether the package could be installed.
SHIMS = {"sudo": 'exec "$@"', "apt": 'exec apt-get --simulate --quiet "$@"'}


def block(page, kind, name):
    found = re.search(rf"^<!-- {kind}: {re.escape(name)} -->\n```\w+\n(.*?)^```", page, re.M | re.S)
    if not found:
        sys.exit(f"docs/embedding.md has no block {kind}: {name}")
    return found.group(1)


def shell(page, name, folder, environment):
    done = subprocess.run(["sh", "-e", "-c", block(page, "run", name)], cwd=folder, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the commands of {name} failed:\n{done.stdout}")


def make_folder(work, name, readme):
    folder = work / name
    folder.mkdir()
    extract(readme, folder)
    return folder


def main():
    source, prefix, build, work = map(pathlib.Path, sys.argv[1:])
    page = (source / "docs/embedding.md").read_text()
    if re.findall(r"^<!-- run: (\S+) -->", page, re.M) != BLOCKS:
        sys.exit(f"docs/embedding.md has other blocks of commands than {BLOCKS}")
    shutil.rmtree(work, ignore_errors=True)
    home = work / "home"
    (home / "src").mkdir(parents=True)
    (home / "taut").symlink_to(prefix)
    (home / "src/taut").symlink_to(source)
    for name, text in SHIMS.items():
        (home / name).write_text(f"#!/bin/sh\n{text}\n")
        (home / name).chmod(0o755)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{home}:{os.environ['PATH']}"}

    folder = make_folder(work, "pkg-config", source / "README.md")
    shell(page, "pkg-config", folder, environment)
    serve_and_call(folder / "server", folder / "client")

    folder = make_folder(work, "fetch", source / "README.md")
    (folder / "CMakeLists.txt").write_text(block(page, "file", "CMakeLists.txt"))
    shell(page, "fetch", folder, environment)

    if all(map(shutil.which, ("cpack", "dpkg-shlibdeps", "apt-get"))):
        folder = work / "deb"
        (folder / "build").mkdir(parents=True)
        (folder / "build/release").symlink_to(build)
        shell(page, "deb", folder, environment)
    else:
        print("no package was made: cpack, dpkg-dev or apt is not installed")


if __name__ == "__main__":
    main()
