"""The examples and the taut tool as people run them: real processes, one directory of services for each test.

tool_test.py TAUT EXAMPLES_DIR TEST...
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

TAUT, EXAMPLES = sys.argv[1:3]
PATIENCE = 60  # ends a hang; no speed limit


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="taut-test-")
        self.environment = dict(os.environ, TAUT_DIR=self.directory)
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            if server.poll() is None:
                server.kill()
            server.wait()
            server.stdout.close()
        shutil.rmtree(self.directory)

    def serve(self, name):
        """Starts NAME_server and waits until it says that it is ready."""
        server = subprocess.Popen([f"{EXAMPLES}/{name}_server"], stdout=subprocess.PIPE, text=True,
                                  env=self.environment)
        self.servers.append(server)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(server.stdout.readline()), daemon=True).start()
        self.assertEqual(lines.get(timeout=PATIENCE), f"ready shm://{name}\n")
        return server

    def run_program(self, program, *arguments, stdin=None):
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment, input=stdin)

    def client(self, name, *arguments):
        return self.run_program(f"{EXAMPLES}/{name}_client", *arguments)

    def taut(self, *arguments, stdin=None):
        return self.run_program(TAUT, *arguments, stdin=stdin)

    def answer(self, *arguments, stdin=None):
        """The JSON that a call prints."""
        done = self.taut("call", *arguments, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def refusal(self, code, *arguments):
        """What a call that must fail with this exit code says; nothing may be on stdout."""
        done = self.taut("call", *arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        return done.stderr

    # The pairs of examples.

    def test_echo_pair(self):
        self.serve("echo")
        done = self.client("echo", "shm://echo", "over there")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0], "over there")

    def test_greeter_pair(self):
        self.serve("greeter")
        self.assertEqual(self.client("greeter", "shm://greeter", "Ada").stdout, "Hello, Ada\n")

    def test_calculator_pair(self):
        self.serve("calculator")
        done = self.client("calculator", "shm://calculator", "6", "3")
        self.assertEqual(done.stdout, "6 + 3 = 9\n6 - 3 = 3\n6 * 3 = 18\n6 / 3 = 2\n")
        refused = self.client("calculator", "shm://calculator", "1", "0")
        self.assertEqual(refused.returncode, 64 + 3)
        self.assertIn("cannot divide by 0", refused.stderr)

    def test_orders_pair(self):
        self.serve("orders")
        done = self.client("orders", "shm://orders", "31")
        self.assertEqual(done.stdout, "order 31 is number 1 at the desk, 100 open\n"
                                      "book 1 has 3 levels, 10140 to 10150\n"
                                      "order 31 is cancelled, 0 open\n")

    def test_a_server_ends_cleanly_when_it_is_told_to(self):
        server = self.serve("greeter")
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(timeout=PATIENCE), 0)
        self.assertEqual(os.listdir(self.directory), [])

    def test_a_client_without_a_server_says_so(self):
        done = self.client("greeter")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("no service 'greeter'", done.stderr)

    # taut demo

    def test_demo_ends_with_json(self):
        done = self.taut("demo", "-n", "20000", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(result["schema"], "taut.demo/1")
        self.assertEqual(result["errors"], 0)
        self.assertIn(result["calls"], (20000, 1000))  # the latter where there is one CPU
        for figure in (result["floor_ns"]["p50"], result["call_ns"]["p50"], result["call_ns"]["p99"],
                       result["call_ns"]["p999"], result["ratio_p50"]):
            self.assertGreater(figure, 0)
        self.assertLessEqual(result["call_ns"]["p99"], result["call_ns"]["p999"])

    def test_demo_in_words_ends_with_demo_ok(self):
        done = self.taut("demo", "-n", "5000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("\ndemo ok\n"), done.stdout)
        lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if " " in line}
        self.assertEqual(json.loads(lines["request"])["side"], "buy")
        self.assertEqual(json.loads(lines["reply"])["id"], json.loads(lines["request"])["id"])

    def test_demo_leaves_nothing_behind(self):
        place = os.path.join(self.directory, "tmp")
        os.mkdir(place)
        self.environment["TMPDIR"] = place
        self.assertEqual(self.taut("demo", "-n", "300").returncode, 0)
        self.assertEqual(os.listdir(place), [])

    # taut ls, taut version

    def test_ls_of_an_empty_directory(self):
        done = self.taut("ls")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("no service in", done.stderr)
        self.assertEqual(json.loads(self.taut("ls", "--json").stdout)["entries"], [])

    def test_ls_tells_live_from_stale(self):
        alive, dead = self.serve("orders"), self.serve("greeter")
        dead.kill()
        dead.wait()
        entries = {entry["name"]: entry for entry in json.loads(self.taut("ls", "--json").stdout)["entries"]}
        self.assertEqual(entries["orders"]["state"], "live")
        self.assertEqual(entries["orders"]["server_pid"], alive.pid)
        self.assertEqual([m["name"] for m in entries["orders"]["services"][0]["methods"]],
                         ["Place", "Snapshot", "Cancel"])
        self.assertEqual(entries["greeter"]["state"], "stale")
        words = self.taut("ls").stdout
        self.assertRegex(words, r"(?m)^orders +live +%d +0 +desk.Orders: Place, Snapshot, Cancel; taut.health.Health: Check, Ready, Watch$" % alive.pid)
        self.assertRegex(words, r"(?m)^greeter +stale .*start it again")

    def test_ls_knows_a_server_that_does_not_answer(self):
        self.serve("echo").send_signal(signal.SIGSTOP)
        self.assertEqual(json.loads(self.taut("ls", "--json").stdout)["entries"][0]["state"], "not answering")

    def test_ls_of_a_server_in_another_pid_namespace(self):
        self.serve("echo")
        elsewhere = ["unshare", "--user", "--map-current-user", "--pid", "--fork"]
        if subprocess.run(elsewhere + ["true"], capture_output=True).returncode != 0:
            self.skipTest("this user may not make a PID namespace")
        done = subprocess.run(elsewhere + [TAUT, "ls"], env=self.environment, capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertRegex(done.stdout, r"echo +live +another namespace +0 ")
        self.assertRegex(self.taut("ls").stdout, r"echo +live +[1-9]\d* +0 ")

    def test_version(self):
        self.assertEqual(json.loads(self.taut("version", "--json").stdout)["schema"], "taut.version/1")
        self.assertTrue(self.taut("version").stdout.startswith("taut "))

    # taut call

    def test_call_with_plain_values(self):
        self.serve("calculator")
        self.assertEqual(self.answer("calculator", "Calculator/Add", "1", "2"), {"value": 3})
        self.assertEqual(self.answer("shm://calculator", "calculator.Calculator/Subtract", "--", "-1", "2"),
                         {"value": -3})

    def test_call_with_json_from_everywhere(self):
        self.serve("greeter")
        request = '{"name": "Ada \\"the first\\""}'
        expected = {"text": 'Hello, Ada "the first"'}
        self.assertEqual(self.answer("greeter", "Greeter/SayHello", "-d", request), expected)
        self.assertEqual(self.answer("greeter", "Greeter/SayHello", "-d", "@-", stdin=request), expected)
        with open(os.path.join(self.directory, "request.json"), "w", encoding="utf-8") as file:
            file.write(request)
        self.assertEqual(self.answer("greeter", "Greeter/SayHello", "-d", "@" + file.name), expected)
        self.assertEqual(self.answer("greeter", "Greeter/SayHello", "42"), {"text": "Hello, 42"})
        self.assertEqual(self.answer("greeter", "Greeter/SayHello", request), expected)

    def test_call_with_a_word_for_a_number(self):
        self.serve("calculator")
        done = self.taut("call", "calculator", "Calculator/Add", "1", "many")
        self.assertEqual(done.returncode, 2)
        self.assertIn("b wants a number, not 'many'", done.stderr)

    def test_call_with_a_list(self):
        self.serve("echo")
        self.assertEqual(self.answer("echo", "Echo/Echo", "[1,2,255]"), {"data": [1, 2, 255]})

    def test_call_with_structs_and_an_urgent_method(self):
        self.serve("orders")
        order = {"id": 5, "price": -3, "quantity": 7, "side": "sell",
                 "party": {"symbol": [65] * 8, "client": [66] * 4}}
        ack = self.answer("orders", "Orders/Place", "-d", json.dumps(order), "--timeout", "900ms")
        self.assertEqual(ack, {"id": 5, "desk_id": 1, "open": 7})
        self.assertEqual(self.answer("orders", "Orders/Cancel", "5"), {"id": 5, "desk_id": 1, "open": 0})

    def test_call_as_one_json_document(self):
        self.serve("calculator")
        done = self.taut("call", "calculator", "Calculator/Divide", "1", "0", "--json")
        self.assertEqual(done.returncode, 64 + 3)
        document = json.loads(done.stdout)
        self.assertEqual((document["schema"], document["code"], document["ran"]),
                         ("taut.call/1", "invalid_argument", "yes"))
        self.assertEqual(self.answer("calculator", "Calculator/Add", "1", "2", "--json"),
                         {"schema": "taut.call/1", "status": 0, "code": "ok", "reply": {"value": 3}})

    def test_a_refusing_method_gives_64_and_its_status(self):
        self.serve("calculator")
        self.assertIn("cannot divide by 0", self.refusal(64 + 3, "calculator", "Calculator/Divide", "1", "0"))

    def test_a_wrong_service_or_method_lists_what_there_is(self):
        self.serve("calculator")
        for wrong in ("Calculator/Pow", "Abacus/Add"):
            self.assertIn("calculator.Calculator/Multiply", self.refusal(3, "calculator", wrong))
        self.assertIn("calculator.Calculator/Multiply", self.refusal(2, "calculator", "Add"))

    def test_bad_json_is_refused_with_its_place(self):
        self.serve("calculator")
        self.assertIn("line 1, column 7", self.refusal(2, "calculator", "Calculator/Add", "-d", '{"a":1,'))
        self.assertIn("unknown field: c", self.refusal(2, "calculator", "Calculator/Add", "-d", '{"c":1}'))
        self.assertIn("a, b", self.refusal(2, "calculator", "Calculator/Add", "1", "2", "3"))

    def test_a_missing_required_field_is_named(self):
        self.serve("greeter")
        self.assertIn("name", self.refusal(2, "greeter", "Greeter/SayHello"))

    def test_a_missing_service_lists_the_others(self):
        self.serve("greeter")
        self.assertIn("there are: greeter", self.refusal(3, "nobody", "Greeter/SayHello"))

    def test_a_dead_server_is_said_to_be_gone(self):
        server = self.serve("greeter")
        server.kill()
        server.wait()
        self.assertIn("start the server again", self.refusal(5, "greeter", "Greeter/SayHello", "Ada"))

    def test_wrong_usage_gives_2(self):
        for arguments in ((), ("dance",), ("call",), ("demo", "-n", "0"), ("demo", "--cpu", "0,0"),
                          ("call", "a", "b/c", "--timeout", "5"), ("call", "tcp://a:1", "b/c")):
            done = self.taut(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        self.assertIn("there is no command 'dance'", self.taut("dance").stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("ToolTest." + name for name in sys.argv[3:])])
