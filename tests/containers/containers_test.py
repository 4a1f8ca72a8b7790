"""What docs/containers.md claims, tried with the parts that containers are made of: namespaces, memory cgroups, seccomp.

containers_test.py EXAMPLES_DIR PAGE TEST...
"""
import ctypes
import os
import pathlib
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

EXAMPLES, PAGE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
PATIENCE = 60  # ends a hang; no speed limit
NAMESPACES = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child"]
CGROUPS = pathlib.Path("/sys/fs/cgroup")
NUMBERS = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root makes namespaces and cgroups")


class Containers(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="taut-test-")  # what the containers share
        self.environment = dict(os.environ, TAUT_DIR=self.directory)
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.kill()
            server.wait()
            server.stdout.close()
        shutil.rmtree(self.directory)

    def serve(self, before=(), **more):
        server = subprocess.Popen([*before, EXAMPLES / "greeter_server"], stdout=subprocess.PIPE, text=True,
                                  env=self.environment, **more)
        self.servers.append(server)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(server.stdout.readline()), daemon=True).start()
        self.assertEqual(lines.get(timeout=PATIENCE), "ready shm://greeter\n")
        return server

    def client(self, before=(), url="shm://greeter", **more):
        return subprocess.run([*before, EXAMPLES / "greeter_client", url, "Ada"], capture_output=True, text=True,
                              timeout=PATIENCE, env=self.environment, check=False, **more)

    def cgroup(self, name):
        made = Cgroup(name)
        self.addCleanup(made.path.rmdir)  # behind tearDown(), so nobody is in it
        return made

    def assert_answered(self, done):
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "Hello, Ada\n", ""))

    def test_nothing_is_shared_but_the_directory(self):
        need_root()
        # An empty /dev/shm that nobody can write: shared memory needs no file system.
        without_dev_shm = ["sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$0" "$@"']
        self.serve([*NAMESPACES, *without_dev_shm])
        self.assert_answered(self.client())
        self.assert_answered(self.client([*NAMESPACES, *without_dev_shm]))

    def test_user_namespaces_may_differ(self):
        need_root()
        self.serve()
        self.assert_answered(self.client(["unshare", "--user", "--map-user=1000", "--map-group=1000"]))

    def test_time_namespaces_may_differ_where_the_tsc_is_the_clock(self):
        need_root()
        flags = pathlib.Path("/proc/cpuinfo").read_text()
        if "nonstop_tsc" not in flags:
            raise unittest.SkipTest("this processor has no invariant TSC, so the clock is CLOCK_MONOTONIC")
        self.serve()
        self.assert_answered(self.client(["unshare", "--time", "--monotonic", "1000", "--fork"]))

    def test_a_read_only_directory_is_enough_for_clients(self):
        need_root()
        self.serve()
        self.assert_answered(self.client([*NAMESPACES, "sh", "-c",
                                          f'mount --bind -o ro {self.directory} {self.directory} && exec "$0" "$@"']))

    def test_rings_are_charged_to_the_cgroup_of_their_writer(self):
        need_root()
        ours, theirs = self.cgroup("server"), self.cgroup("client")
        self.serve(preexec_fn=ours.enter)
        # 64 MiB: the server maps and reads them, and does not pay for them.
        self.assert_answered(self.client(url="shm://greeter?ring=64MiB"))
        done = self.client(url="shm://greeter?ring=64MiB", preexec_fn=theirs.enter)
        self.assertEqual((done.returncode, done.stdout), (-signal.SIGKILL, ""), "at set-up, before any call")
        self.assert_answered(self.client())

    def test_the_system_calls_of_the_page_are_enough(self):
        part = re.search(r"<!-- system calls -->\n(.*?)\n\n", PAGE.read_text(), re.S).group(1)
        only_these = only(re.findall(r"`(\w+)`", part))
        server = self.serve(preexec_fn=only_these, close_fds=False)  # to close them takes calls of its own
        self.assert_answered(self.client(preexec_fn=only_these, close_fds=False))
        server.terminate()
        self.assertEqual(server.wait(timeout=PATIENCE), 0)

    def test_a_profile_that_does_not_know_epoll_pwait2_is_no_obstacle(self):
        refused = without("epoll_pwait2")
        self.serve(preexec_fn=refused)
        self.assert_answered(self.client(preexec_fn=refused))


class Cgroup:
    """A memory cgroup, of version 2 or 1, that may use 16 MiB."""

    def __init__(self, name):
        old = (CGROUPS / "memory/tasks").exists()
        self.path = CGROUPS / ("memory" if old else "") / f"taut-test-{os.getpid()}-{name}"
        try:
            self.path.mkdir()
            (self.path / ("memory.limit_in_bytes" if old else "memory.max")).write_text(f"{16 << 20}")
        except OSError as refused:
            if self.path.exists():
                self.path.rmdir()
            raise unittest.SkipTest(f"no memory cgroup can be made here: {refused}") from refused

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def number_of(call):
    if not NUMBERS.exists():
        raise unittest.SkipTest(f"{NUMBERS} is not there: this is not x86-64, or linux-libc-dev is missing")
    return int(re.search(rf"^#define __NR_{call} (\d+)", NUMBERS.read_text(), re.M).group(1))


# Programs for seccomp. A test of one call's number skips as many instructions as it says, if it is another.
LOAD_NUMBER = struct.pack("HBBI", 0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS, seccomp_data.nr
ALLOW, KILL, EPERM = (struct.pack("HBBI", 0x06, 0, 0, what) for what in (0x7FFF0000, 0x80000000, 0x00050001))


def only(names):
    """Dies at any other system call."""
    tests = [struct.pack("HBBI", 0x15, 0, 1, number_of(name)) + ALLOW for name in names]
    return enter_with(b"".join([LOAD_NUMBER, *tests, KILL]))


def without(name):
    """The call fails with EPERM, as in profiles that do not know it yet."""
    return enter_with(LOAD_NUMBER + struct.pack("HBBI", 0x15, 0, 1, number_of(name)) + EPERM + ALLOW)


def enter_with(program):
    """A function for the child that takes on the filter. It has all that it needs before the fork."""
    code = ctypes.create_string_buffer(program, len(program))
    holder = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(_code=code):
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, holder) != 0:  # NO_NEW_PRIVS, SECCOMP with a filter
            os._exit(126)

    return enter


def main():
    result = unittest.TextTestRunner().run(unittest.TestSuite(Containers(name) for name in sys.argv[3:]))
    for _, reason in result.skipped:
        print(reason)
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
