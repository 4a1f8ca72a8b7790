"""Servers and clients of different schemas: what works both ways, what is refused, and what the sentences say.

evolution_test.py PROGRAMS_DIR TEST...
"""
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAMS = sys.argv[1]
PATIENCE = 60  # ends a hang; no speed limit
URL = "shm://market"


class Process:
    """A program that answers lines with lines."""

    def __init__(self, environment, version, *arguments):
        self.process = subprocess.Popen([f"{PROGRAMS}/market_{version}", *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def hear(self):
        return self.lines.get(timeout=PATIENCE)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.hear()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def end(self):
        """Its exit code, and what it said on stderr."""
        self.process.stdin.close()
        code = self.process.wait(timeout=PATIENCE)
        return code, self.process.stderr.read()


class EvolutionTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="taut-test-")
        self.environment = dict(os.environ, TAUT_DIR=self.directory)
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            process.kill()
            process.reader.join()
            for pipe in (process.process.stdin, process.process.stdout, process.process.stderr):
                pipe.close()
        shutil.rmtree(self.directory)

    def start(self, version, *arguments):
        process = Process(self.environment, version, *arguments)
        self.processes.append(process)
        return process

    def serve(self, version):
        server = self.start(version, "serve", URL)
        self.assertEqual(server.hear(), "ready " + URL)
        return server

    def client(self, version, options="", how="client"):
        client = self.start(version, how, URL + options)
        self.assertEqual(client.hear(), "ready " + URL + options)
        return client

    def fingerprint(self, version):
        return self.start(version, "fingerprint").hear()

    def both(self, here, there):
        """How every sentence names the two sides."""
        self.assertNotEqual(self.fingerprint(here), self.fingerprint(there))
        return f"schema {self.fingerprint(here)} here, {self.fingerprint(there)} at the server"

    # What works.

    def test_an_old_client_at_a_new_server(self):
        self.serve("new")
        client = self.client("old", how="named")
        for _ in range(3):
            self.assertEqual(client.ask("place"), "ok id=8 side=1 gone=- read: price=50 note=sixteen letters! side=1 "
                                                  "levels=3 urgency=7 tags=0 part=-")
            self.assertEqual(client.ask("ask"), "ok 5")
        self.assertEqual(client.end(), (0, ""))

    def test_a_new_client_at_an_old_server(self):
        self.serve("old")
        client = self.client("new", how="named")
        for _ in range(3):
            self.assertEqual(client.ask("place"),
                             "ok id=9 side=1 read: price=100 note=short legacy=- side=1 levels=1")
            self.assertEqual(client.ask("ask"), "ok 5")
        self.assertEqual(client.end(), (0, ""))

    def test_one_schema_on_both_sides(self):
        self.serve("new")
        client = self.client("new", "?schema=exact", how="named")
        self.assertEqual(client.ask("place long"), "ok id=9 side=1 read: price=100 note=seventeen letters side=1 levels=1 "
                                                   "urgency=3 tags=2 part=there")
        self.assertEqual(client.ask("place hold")[:14], "ok id=9 side=2")
        self.assertEqual(client.ask("cancel"), "ok 104")

    def test_a_client_lives_through_the_upgrade_of_its_server(self):
        server = self.serve("old")
        client = self.client("old")
        self.assertIn("gone=not read any more", client.ask("place"))
        for version in ("new", "other", "old"):
            server.kill()
            self.assertEqual(client.ask("down"), "down")
            server = self.serve(version)
            self.assertEqual(client.ask("up"), "up")
            answer = client.ask("place")
            if version == "other":
                self.assertTrue(answer.startswith("failed_precondition (ran: no, why: schema_mismatch): "), answer)
            else:
                self.assertTrue(answer.startswith("ok id=8"), answer)

    # What one message of the new schema does to an old reader.

    def test_a_method_that_an_old_server_lacks(self):
        self.serve("old")
        client = self.client("new")
        self.assertEqual(client.ask("cancel"),
                         "unimplemented (ran: no, why: unknown_method): the server's method table lacks 'Cancel' (id 3) of "
                         "market.Market: " + self.both("new", "old"))
        self.assertEqual(client.ask("ask"), "ok 5")

    def test_an_enum_value_that_an_old_server_does_not_know(self):
        self.serve("old")
        client = self.client("new")
        self.assertTrue(client.ask("place hold").startswith("invalid_argument (ran: no, why: bad_message): enum 'side' "
                                                            "holds 2, which market.Side"))
        self.assertTrue(client.ask("place").startswith("ok "), "the link goes on")

    def test_an_enum_value_that_an_old_client_does_not_know(self):
        self.serve("new")
        client = self.client("old")
        answer = client.ask("place hold back")
        self.assertTrue(answer.startswith("internal (ran: yes, why: bad_message): "), answer)
        self.assertIn("enum 'side' holds 2, which market.Side does not have", answer)
        self.assertTrue(client.ask("place").startswith("ok "), "the link goes on")

    def test_a_string_above_the_cap_of_an_old_server(self):
        self.serve("old")
        answer = self.client("new").ask("place long")
        self.assertTrue(answer.startswith("invalid_argument (ran: no, why: bad_message): field 'note' holds 17, more "
                                          "than its cap"), answer)

    def test_a_string_above_the_cap_of_an_old_client(self):
        self.serve("new")
        answer = self.client("old").ask("place long back")
        self.assertTrue(answer.startswith("internal (ran: yes, why: bad_message): "), answer)
        self.assertIn("field 'read' holds 201, more than its cap 200", answer)

    # What is refused.

    def test_one_id_of_two_methods(self):
        self.serve("other")
        sentence = (f"{URL}: id 1 of market.Market is the method 'Place' here and 'Amend' at the server "
                    f"({self.both('old', 'other')})")
        refused = self.start("old", "named", URL)
        code, said = refused.end()
        self.assertEqual(code, 1)
        self.assertIn(sentence, said)
        late = self.client("old")  # hears it when it calls
        for word in ("place", "ask"):
            self.assertTrue(late.ask(word).startswith("failed_precondition (ran: no, why: schema_mismatch): " + sentence[:90]))
        code, said = late.end()
        self.assertEqual((code, said.count("no call is sent to " + sentence)), (0, 1), said)

    def test_a_needed_method_that_is_missing(self):
        self.serve("old")
        code, said = self.start("needy", "named", URL).end()
        self.assertEqual(code, 1)
        self.assertIn(f"{URL}: the server lacks the method 'Halt' (id 5) of market.Market, which this client needs "
                      f"({self.both('needy', 'old')})", said)

    def test_exact_at_a_server_of_another_schema(self):
        self.serve("new")
        code, said = self.start("old", "named", URL + "?schema=exact").end()
        self.assertEqual(code, 1)
        self.assertIn(f"{URL}: schema=exact, but market.Market differs: {self.both('old', 'new')}", said)
        self.assertIn("why: schema_mismatch", self.client("old", "?schema=exact").ask("place"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("EvolutionTest." + name for name in sys.argv[2:])])
