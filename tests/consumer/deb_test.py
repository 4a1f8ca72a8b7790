#!/usr/bin/env python3
"""The Debian package: made by cpack, looked into, unpacked into an empty root, and built against there.

  deb_test.py BUILD_DIR WORK_DIR COMPILER [FLAG ...]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

# What somebody who installs it counts on, below /usr.
FILES = ["bin/taut", "bin/taut-gen", "include/taut/taut.h", "include/taut/rpc/transport.h", "lib/libtaut_taut.a",
         "lib/cmake/taut/taut-config.cmake", "lib/cmake/taut/taut-config-version.cmake", "lib/pkgconfig/taut.pc",
         "share/taut/tests/contract/contract.cmake", "share/doc/taut-rpc/copyright", "share/doc/taut-rpc/changelog.gz"]
# Compiling a schema needs the first three; the rest is read from the programs.
DEPENDS = ["libflatbuffers-dev", "flatbuffers-compiler", "flatbuffers-compiler-dev", "libc6", "libstdc++6", "libfmt9"]
# Ends with 3, not found: nobody serves it.
PROGRAM = """
#include <taut/taut.h>
int main() { return taut::report(taut::connect("shm://nobody?connect_timeout=1ms").error()); }
"""


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def wrong_in_control(deb):
    control = dict(re.findall(r"^ ?([\w-]+): (.+)$", run("dpkg-deb", "--info", deb), re.M))
    if control.get("Package") != "taut-rpc":
        yield f"it is called {control.get('Package')}"
    if not re.fullmatch(r"\d+\.\d+\.\d+-1", control.get("Version", "")):
        yield f"its version is {control.get('Version')}"
    names = [entry.split()[0] for entry in re.split(r"[,|]", control.get("Depends", ""))]
    yield from (f"it does not depend on {name}" for name in DEPENDS if name not in names)
    yield from (f"it depends on {name} twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"it depends on {name}" for name in names if re.search(r"uring|boost|gtest|benchmark", name))


def wrong_in_files(listing):
    present = set()
    for line in listing.splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        path = path.removeprefix(".")
        present.add(path)
        if owner != "root/root":
            yield f"{path} belongs to {owner}"
        if path.rstrip("/") not in ("", "/usr") and not path.startswith("/usr/"):
            yield f"{path} is not below /usr"
        wanted = "drwxr-xr-x" if mode[0] == "d" else "-rwxr-xr-x" if path.startswith("/usr/bin/") else "-rw-r--r--"
        if mode != wanted:
            yield f"{path} has the mode {mode}, not {wanted}"
    yield from (f"/usr/{name} is missing" for name in FILES if "/usr/" + name not in present)


def build_against(usr, work, compiler):
    """One line, with what pkg-config says; the file finds its folders by where it stands."""
    environment = {**os.environ, "PKG_CONFIG_PATH": str(usr / "lib/pkgconfig"), "TAUT_DIR": str(work)}
    flags = run("pkg-config", "--cflags", "--libs", "taut", env=environment).split()
    (work / "program.cpp").write_text(PROGRAM)
    run(*compiler, "-std=c++20", work / "program.cpp", *flags, "-o", work / "program", env=environment)
    program = subprocess.run([work / "program"], env=environment, capture_output=True, text=True, check=False)
    if program.returncode != 3 or "nobody" not in program.stderr:
        sys.exit(f"the program ended with {program.returncode} and said: {program.stderr}")


def main():
    build, work, *compiler = sys.argv[1:]
    for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "pkg-config"):
        if shutil.which(program) is None:
            print(f"{program} is not installed")
            return 77
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run("cpack", "-G", "DEB", "--config", f"{build}/CPackConfig.cmake", "-B", work)
    debs = list(work.glob("*.deb"))
    if len(debs) != 1 or not re.fullmatch(r"taut-rpc_[\d.]+-1_\w+\.deb", debs[0].name):
        sys.exit(f"cpack made {[deb.name for deb in debs]}; expected one taut-rpc_VERSION-1_ARCHITECTURE.deb")
    wrong = [*wrong_in_control(debs[0]), *wrong_in_files(run("dpkg-deb", "--contents", debs[0]))]
    if wrong:
        sys.exit("\n".join(wrong))
    run("dpkg-deb", "--extract", debs[0], work / "root")
    for path in (work / "root").rglob("*"):
        if path.suffix in (".cmake", ".pc") and (build in path.read_text() or str(work) in path.read_text()):
            sys.exit(f"{path} names a folder of the machine that built it")
    run(work / "root/usr/bin/taut", "version")
    build_against(work / "root/usr", work, compiler)
    print(debs[0].name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
