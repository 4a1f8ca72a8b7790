"""What can be tested of examples/deploy without a machine to deploy to.

deploy_test.py SOURCE_DIR EXAMPLES_DIR unit|containerfile|namespaces
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE, EXAMPLES, TEST = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
DEPLOY = SOURCE / "examples/deploy"
PATIENCE = 60  # ends a hang; no speed limit


def skip(reason):
    print(reason)
    sys.exit(77)


def unit():
    """systemd finds nothing to complain of, once the program stands where the unit says."""
    if shutil.which("systemd-analyze") is None:
        skip("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory() as folder:
        text = (DEPLOY / "greeter.service").read_text()
        installed = text.replace("/usr/local/bin/greeter_server", str(EXAMPLES / "greeter_server"))
        assert installed != text
        copy = pathlib.Path(folder) / "greeter.service"
        copy.write_text(re.sub(r"^User=.*$", "User=root", installed, flags=re.M))  # this machine has no user taut
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True,
                              timeout=PATIENCE)
        about_us = [line for line in done.stderr.splitlines() if "greeter" in line]
        assert not about_us, "\n".join(about_us)


def containerfile():
    """What it copies and builds is there."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.M)
    assert copied == ["tools/packages.txt", "."], copied
    for name in copied:
        assert (SOURCE / name).exists(), name
    for program in re.findall(r"/taut/build/release/examples/(\w+)", text):
        assert (EXAMPLES / program).exists(), program
    assert '"name": "release"' in (SOURCE / "CMakePresets.json").read_text()


def namespaces():
    """A server that shares nothing with its client but a directory and a user, as in two containers."""
    apart = ["unshare", "--user", "--map-current-user", "--pid", "--ipc", "--mount", "--net", "--fork", "--kill-child"]
    if shutil.which("unshare") is None:
        skip("unshare is not installed")
    tried = subprocess.run([*apart, "true"], capture_output=True, text=True, timeout=PATIENCE)
    if tried.returncode != 0:
        skip(f"this user may not make namespaces: {tried.stderr.strip()}")
    with tempfile.TemporaryDirectory(prefix="taut-test-") as folder:
        environment = dict(os.environ, TAUT_DIR=folder)
        server = subprocess.Popen([*apart, EXAMPLES / "greeter_server"], stdout=subprocess.PIPE, text=True,
                                  env=environment)
        try:
            assert server.stdout.readline() == "ready shm://greeter\n"
            for client in ([], apart):
                done = subprocess.run([*client, EXAMPLES / "greeter_client", "shm://greeter", "Ada"],
                                      capture_output=True, text=True, timeout=PATIENCE, env=environment)
                assert (done.returncode, done.stdout) == (0, "Hello, Ada\n"), done.stderr
            # The first process of its namespace, as in a container: the kernel keeps signals from it that it does not ask for.
            inside = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            os.kill(int(inside[0]), signal.SIGTERM)
            assert server.wait(timeout=PATIENCE) == 0
            assert os.listdir(folder) == []
        finally:
            server.kill()  # what it started goes with it
            server.communicate(timeout=PATIENCE)


{"unit": unit, "containerfile": containerfile, "namespaces": namespaces}[TEST]()
