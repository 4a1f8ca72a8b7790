#!/usr/bin/env python3
"""What docs/health.md says of `taut call` and its exit codes, with a server in each of its states.

  probes_test.py TAUT SUPERVISED
"""
import os
import signal
import subprocess
import sys
import tempfile
import unittest

TAUT, SUPERVISED = sys.argv[1:3]
PATIENCE = 60  # ends a hang; no speed limit


class ProbesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="taut-test-")
        self.environment = dict(os.environ, TAUT_DIR=self.folder.name)
        self.server = subprocess.Popen([SUPERVISED], stdout=subprocess.PIPE, text=True, env=self.environment)
        self.assertEqual(self.server.stdout.readline(), "ready\n")

    def tearDown(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.folder.cleanup()

    def call(self, *arguments):
        return subprocess.run([TAUT, "call", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment, check=False)

    def exit_code(self, *arguments):
        return self.call(*arguments).returncode

    def until(self, expected, *arguments):
        """The signal has been sent, and is taken in one of the next turns."""
        while (done := self.call(*arguments)).returncode != expected:
            self.assertIn(done.returncode, (0, 64 + 14), done.stderr)
            self.assertIsNone(self.server.poll())
        return done

    def test_exit_codes_follow_the_state(self):
        self.assertEqual(self.exit_code("greeter", "Health/Ready"), 0)
        self.server.send_signal(signal.SIGUSR1)
        self.assertIn("not_serving", self.until(64 + 14, "greeter", "Health/Ready").stderr)
        self.assertEqual(self.exit_code("greeter", "Health/Ready", "Greeter"), 64 + 14)
        checked = self.call("greeter", "Health/Check", "greeter.Greeter")
        self.assertEqual((checked.returncode, checked.stdout), (0, '{"state": "not_serving"}\n'))
        self.server.send_signal(signal.SIGUSR2)
        self.until(0, "greeter", "Health/Ready")
        self.assertEqual(self.exit_code("greeter", "Health/Ready", "Teapot"), 64 + 5)

    def test_a_drain_is_seen_under_the_name_that_stays(self):
        greeting = subprocess.Popen([TAUT, "call", "greeter", "Greeter/SayHello", "World", "--timeout", "60s"],
                                    stdout=subprocess.PIPE, text=True, env=self.environment)
        inspected = ""
        while "taken last: greeter.Greeter/SayHello" not in inspected:
            inspected = subprocess.run([TAUT, "inspect", "greeter"], capture_output=True, text=True, timeout=PATIENCE,
                                       env=self.environment, check=False).stdout
            self.assertIsNone(greeting.poll())
        self.server.send_signal(signal.SIGTERM)
        self.assertIn("draining", self.until(64 + 14, "greeter.health", "Health/Ready").stderr)
        self.assertEqual(self.call("greeter.health", "Health/Check").stdout, '{"state": "draining"}\n')
        self.assertEqual(self.exit_code("greeter", "Health/Ready"), 3, "the name is free for the successor")
        self.server.send_signal(signal.SIGUSR2)
        self.assertEqual(greeting.communicate(timeout=PATIENCE)[0], '{"text": "Hello"}\n')
        self.assertEqual(self.server.wait(timeout=PATIENCE), 0)

    def test_a_server_that_stands_still_or_is_gone_is_told_apart(self):
        self.server.send_signal(signal.SIGSTOP)
        self.assertEqual(self.exit_code("greeter", "Health/Ready", "--timeout", "100ms"), 4)
        self.server.send_signal(signal.SIGCONT)
        self.server.kill()
        self.server.wait()
        self.assertEqual(self.exit_code("greeter", "Health/Ready"), 5)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
