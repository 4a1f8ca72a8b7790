"""Processes of held_desk.cpp, and the tool beside them: what the tests of the tool share."""
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

TAUT, HELD_DESK = sys.argv[1:3]
PATIENCE = 60  # ends a hang; no speed limit


class End:
    """One process of held_desk."""

    def __init__(self, environment, *arguments):
        self.process = subprocess.Popen([HELD_DESK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    @property
    def pid(self):
        return self.process.pid

    def hear(self, line):
        heard = self.lines.get(timeout=PATIENCE)
        assert heard == line, heard
        return self

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        return self

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class DeskTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="taut-test-")
        self.environment = dict(os.environ, TAUT_DIR=self.directory)
        # Files are found in every process of this user, and other tests have services too.
        self.name = f"desk-{os.getpid()}"
        self.ends = []

    def tearDown(self):
        for end in self.ends:
            end.end()
        shutil.rmtree(self.directory)

    def start(self, *arguments):
        self.ends.append(End(self.environment, *arguments))
        return self.ends[-1]

    def server(self, options=""):
        return self.start("server", f"shm://{self.name}{options}").hear("ready")

    def connected(self, *calls, options=""):
        return self.start("client", f"shm://{self.name}{options}", *map(str, calls)).hear("connected")

    def client(self, *calls, options=""):
        client = self.connected(*calls, options=options)
        client.say()
        return client.hear("sent")

    def taut(self, *arguments, **more):
        return subprocess.run([TAUT, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment, **more)

    def refusal(self, code, *arguments, **more):
        """What a command that must fail with this exit code says; nothing may be on stdout."""
        done = self.taut(*arguments, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        return done.stderr


def main(test_class):
    unittest.main(argv=[sys.argv[0], *(f"{test_class.__name__}.{name}" for name in sys.argv[3:])])
