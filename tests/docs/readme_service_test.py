#!/usr/bin/env python3
"""README.md's service, exactly as printed: taken out of the page, built against an installed taut, and run.

  readme_service_test.py README.md PREFIX WORK_DIR [CMAKE_ARGUMENT...]

Each file stands in a fenced block behind a line <!-- file: NAME -->.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FILES = {"prices.fbs", "server.cpp", "client.cpp", "CMakeLists.txt"}
EXPECTED = "ABC 99 101\nXYZ not_found (ran: yes, why: none): no such symbol\n"
PATIENCE_S = 60  # a watchdog, not a speed limit


def extract(readme, folder):
    blocks = re.findall(r"^<!-- file: (\S+) -->\n```\w*\n(.*?)^```", readme.read_text(), re.M | re.S)
    if {name for name, _ in blocks} != FILES:
        sys.exit(f"README.md has the files {[name for name, _ in blocks]}; expected {sorted(FILES)}")
    for name, text in blocks:
        (folder / name).write_text(text)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")


def serve_and_call(server_program, client_program):
    # A short path: a socket's address holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="taut-readme-") as directory:
        environment = {**os.environ, "TAUT_DIR": directory}
        server = subprocess.Popen([server_program], env=environment, stdout=subprocess.PIPE, text=True)
        try:
            if server.stdout.readline() != "ready shm://prices\n":
                sys.exit("the server did not say: ready shm://prices")
            client = subprocess.run([client_program], env=environment, stdout=subprocess.PIPE, text=True,
                                    timeout=PATIENCE_S, check=False)
        finally:
            server.terminate()
            server_code = server.wait(timeout=PATIENCE_S)
    if client.returncode != 0 or client.stdout != EXPECTED:
        sys.exit(f"the client ended with {client.returncode} and printed:\n{client.stdout}expected:\n{EXPECTED}")
    if server_code != 0:
        sys.exit(f"the server ended with {server_code} at SIGTERM; expected 0")
    print(EXPECTED, end="")


def main():
    readme, prefix, work, *arguments = sys.argv[1:]
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    extract(pathlib.Path(readme), work)
    run("cmake", "-S", work, "-B", work / "build", f"-DCMAKE_PREFIX_PATH={prefix}", *arguments)
    run("cmake", "--build", work / "build")
    serve_and_call(work / "build/server", work / "build/client")


if __name__ == "__main__":
    main()
