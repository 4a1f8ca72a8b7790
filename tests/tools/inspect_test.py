"""taut inspect on processes that hold still: live, stopped, hung, killed, hostile, and of somebody else.

inspect_test.py TAUT HELD_DESK TEST...
"""
import fcntl
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

from held_desk import PATIENCE, TAUT, DeskTest, main

SHRINK, GROW, WRITE, FUTURE_WRITE = 2, 4, 8, 16  # seals
ORDERS = str(pathlib.Path(__file__).parents[2] / "schemas/orders.fbs")


class InspectTest(DeskTest):
    def inspect(self, *arguments):
        done = self.taut("inspect", *(arguments or (self.name,)), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(document["schema"], "taut.inspect/1")
        return document

    def one_link(self, document):
        (process,) = document["processes"]
        self.assertEqual(process["troubles"], [])
        (link,) = process["links"]
        return process, link

    def hung(self, *calls):
        """A server that hangs in the handler of a Place of 13, behind a Place of 1, before the calls of `calls`."""
        server = self.server()
        client = self.connected(1, 13, *calls)
        self.find_together(server, client)
        return server, client

    def find_together(self, server, client):
        """The server sleeps until everything is sent: it finds it all in one turn, which releases nothing."""
        server.stop()
        client.say()
        client.hear("sent")
        server.go_on()
        server.hear("held")

    # A link that stands still because its server hangs in a handler.

    def check_hung(self, process, link, server, client):
        self.assertEqual((process["pid"], process["name"]), (server.pid, "held_desk"))
        self.assertEqual((link["server"]["pid"], link["client"]["pid"]), (server.pid, client.pid))
        self.assertEqual(link["inflight"], 64)
        waiting = link["requests"]["normal"]
        self.assertEqual([(record["state"], record["method"]) for record in waiting["records"]],
                         [("taken", "desk.Orders/Place"), ("taken", "desk.Orders/Place"),
                          ("waiting", "desk.Orders/Place"), ("waiting", "desk.Orders/Snapshot")])
        self.assertEqual([record["payload"]["id"] for record in waiting["records"][:3]], [1, 2, 3])
        self.assertEqual(waiting["records"][2]["payload"]["quantity"], 5)
        self.assertEqual(waiting["records"][2]["payload"]["side"], "sell")
        self.assertEqual(waiting["records"][3]["payload"],
                         {"seq": 4, "bids": [{"price": 100, "quantity": 5}, {"price": 99, "quantity": 7}],
                          "note": "open \x1b[31m"})
        self.assertEqual(len({record["call"] for record in waiting["records"]}), 4)
        self.assertEqual(waiting["fill"], waiting["position"] - waiting["released"])
        self.assertEqual((waiting["bytes"], waiting["count"]), (65536, 4))
        for record in waiting["records"]:
            self.assertGreater(record["age_ns"], 0)
            self.assertAlmostEqual(record["budget_ns"] / 1e9, 60, places=3)
        mark = link["server"]["taken"]["normal"]
        self.assertEqual((mark["method"], mark["call"]), ("desk.Orders/Place", waiting["records"][1]["call"]))
        urgent = link["requests"]["urgent"]["records"]
        self.assertEqual([(record["state"], record["payload"]) for record in urgent], [("taken", {"id": 404})])
        (answer,) = link["answers"]["normal"]["records"]
        self.assertEqual((answer["method"], answer["payload"]),
                         ("desk.Orders/Place", {"id": 1, "desk_id": 1001, "open": 1}))
        (refused,) = link["answers"]["urgent"]["records"]
        self.assertEqual(refused["status"], "not_found (ran: yes, why: none): there is no order with this id")
        self.assertEqual(link["client"]["counters"]["calls_sent"], 5)
        self.assertEqual(link["server"]["counters"]["requests_received"], 3)
        self.assertEqual((link["client"]["open"], link["server"]["open"]), (5, 1))

    def test_a_server_that_hangs_in_a_handler(self):
        server, client = self.hung(5, "book", "cancel")
        document = self.inspect()
        process, link = self.one_link(document)
        self.check_hung(process, link, server, client)
        self.assertIn("did not answer", document["notes"][0])
        self.assertEqual(link["client"]["process"]["pid"], client.pid)
        server.say()
        client.say()
        client.hear("answered")  # nobody was disturbed
        _, link = self.one_link(self.inspect())
        self.assertEqual((link["client"]["open"], link["server"]["open"]), (0, 0))

    def test_a_stopped_server_and_a_stopped_client(self):
        server, client = self.hung(5, "book", "cancel")
        server.stop()
        client.stop()
        process, link = self.one_link(self.inspect())
        self.check_hung(process, link, server, client)
        self.assertTrue(process["stopped"])
        self.assertTrue(link["client"]["process"]["stopped"])
        self.assertRegex(self.taut("inspect", self.name).stdout, r"(?m)^process %d  held_desk, stopped" % server.pid)

    def test_a_client_killed_while_its_requests_wait(self):
        server, client = self.hung(5, "book", "cancel")
        client.kill()
        process, link = self.one_link(self.inspect())
        self.check_hung(process, link, server, client)
        self.assertIsNone(link["client"]["process"])
        self.assertRegex(self.taut("inspect", self.name).stdout, r"(?m)^  client  %d, gone " % client.pid)

    def test_a_server_killed_before_a_stopped_client(self):
        server, client = self.hung(5, "book", "cancel")
        client.stop()
        server.kill()
        document = self.inspect()
        process, link = self.one_link(document)
        self.assertEqual(process["pid"], client.pid)
        self.assertIsNone(link["server"]["process"])
        self.assertEqual([record["method"] for record in link["requests"]["normal"]["records"]],
                         ["method 0", "method 0", "method 0", "method 1"])
        self.assertIn("schema", link["requests"]["normal"]["records"][0]["trouble"])
        # A file says what they are.
        _, link = self.one_link(self.inspect(self.name, "--schema", ORDERS))
        self.check_hung({"pid": server.pid, "name": "held_desk"}, link, server, client)
        # Who has the name now lends its schema, and is named.
        successor = self.server()
        document = self.inspect("--pid", str(client.pid))
        _, link = self.one_link(document)
        self.check_hung({"pid": server.pid, "name": "held_desk"}, link, server, client)
        self.assertIn(f"process {successor.pid}", document["notes"][0])

    def test_a_live_link_answers_for_itself(self):
        server = self.server()
        client = self.client(14, options="?check=copy&inflight=9")
        document = self.inspect()
        process, link = self.one_link(document)
        self.assertEqual(document["notes"], [])
        self.assertEqual((process["pid"], link["inflight"]), (server.pid, 9))
        self.assertEqual((link["client"]["check"], link["server"]["check"]), ("copy", "in_place"))
        self.assertEqual((link["server"]["open"], link["requests"]["normal"]["count"]), (1, 0))
        self.assertEqual(self.inspect("--pid", str(client.pid))["processes"][0]["links"][0]["id"], link["id"])

    def test_a_server_out_of_sight_hands_over_its_memory(self):
        unshare = shutil.which("unshare")
        namespace = [unshare, *(["-r"] if os.geteuid() != 0 else []), "--pid", "--mount-proc", "--fork"]
        if unshare is None or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this user may not make a PID namespace")
        self.server()
        clients = [self.client(14, options="?check=copy") for _ in range(5)]  # more files than one message carries
        done = subprocess.run([*namespace, TAUT, "inspect", self.name, "--json"], capture_output=True, text=True,
                              timeout=PATIENCE, env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertIn("cannot be seen from here", document["notes"][0])
        (process,) = document["processes"]
        self.assertEqual(process["troubles"], [])
        self.assertEqual({link["client"]["pid"] for link in process["links"]}, {client.pid for client in clients})
        for link in process["links"]:
            self.assertEqual((link["client"]["check"], link["server"]["open"]), ("copy", 1))
            self.assertTrue(link["client"]["out_of_sight"])
            self.assertEqual(link["server"]["taken"]["normal"]["method"], "desk.Orders/Place")

    def test_a_full_ring_is_shown_whole(self):
        server = self.server()
        client = self.connected(13, *[7] * 20, options="?ring=4KiB&inflight=24&reply_max=512")
        self.find_together(server, client)
        _, link = self.one_link(self.inspect(self.name, "--all"))
        ring = link["requests"]["normal"]
        self.assertGreater(ring["fill"], 21 * 128 - 1)
        self.assertEqual(ring["count"], 21)
        self.assertEqual({record["state"] for record in ring["records"]}, {"waiting", "taken"})
        self.assertEqual([record["payload"]["id"] for record in ring["records"]], list(range(1, 22)))
        words = self.taut("inspect", self.name).stdout
        self.assertRegex(words, r"(?m)^  requests +\[=#{10,}\.*\] +6\d %  2\.[67] KiB of 4 KiB, 21 records")
        self.assertIn("... 5 more (--all)", words)

    def test_the_picture(self):
        server, client = self.hung(5, "book", "cancel")
        words = self.taut("inspect", self.name).stdout
        self.assertIn(f"  serves shm://{self.name}  desk.Orders: Place, Snapshot, Cancel\n", words)
        self.assertRegex(words, r"(?m)^link [0-9a-f]+  of shm://%s, up \S+ \w+, 64 calls a lane, clock (tsc|monotonic)$"
                         % self.name)
        self.assertRegex(words, r"(?m)^  client  %d held_desk, live +check in_place  calls sent 5" % client.pid)
        self.assertRegex(words, r"(?m)^  server  %d held_desk, live .*requests received 3.* open 1$" % server.pid)
        self.assertRegex(words, r'(?m)^    waiting +[0-9a-f]+ desk.Orders/Place +\S+ \w+ +56  \{"id":3,"price":101,')
        self.assertRegex(words, r"(?m)^    taken last: desk.Orders/Place, call [0-9a-f]+, \S+ \w+ ago$")
        self.assertNotIn("\x1b", words)  # a text of a client does not reach the terminal

    def test_a_service_without_links(self):
        server = self.server()
        self.assertEqual(self.inspect()["processes"][0]["links"], [])
        self.assertIn("no links", self.taut("inspect", "--pid", str(server.pid)).stdout)

    # Who lies.

    def memory_file(self, name, content, seals=SHRINK | GROW | FUTURE_WRITE):
        file = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, file)
        os.write(file, content)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)

    def garbage(self):
        good = struct.pack("<QIIQQ", 0x6765732074756174, 0, 30, 8192, 1).ljust(64, b"\0")
        self.memory_file(f"taut:{self.name}:1:server", os.urandom(8192))
        self.memory_file(f"taut:{self.name}:2:server", good + struct.pack("<IIQQQ", 2, 0, 1 << 40, 4096, 0) + b"\0" * 8096)
        self.memory_file(f"taut:{self.name}:3:client", b"\0" * 8192, 0)
        self.memory_file(f"taut:{self.name}:4:client", b"")
        self.memory_file(f"taut:{self.name}:control", os.urandom(4096), SHRINK | GROW)
        self.memory_file(f"taut:{self.name}:description", b"taut dsc" + os.urandom(4088), SHRINK | GROW | WRITE)
        self.memory_file("taut:board:1", os.urandom(4096))

    def test_files_that_only_look_like_ours(self):
        self.garbage()
        (process,) = self.inspect("--pid", str(os.getpid()))["processes"]
        self.assertEqual(process["links"], [])
        self.assertEqual(len(process["troubles"]), 7, process["troubles"])
        for trouble in process["troubles"]:
            self.assertTrue(trouble.startswith("taut:"), trouble)
        self.assertIn("cannot be read: taut:", self.taut("inspect", "--pid", str(os.getpid())).stdout)

    def test_a_liar_does_not_stand_in_for_a_service(self):
        self.garbage()
        self.assertIn("no service", self.refusal(3, "inspect", self.name))
        server, client = self.hung(5, "book", "cancel")
        processes = {process["pid"]: process for process in self.inspect()["processes"]}
        self.check_hung(processes[server.pid], processes[server.pid]["links"][0], server, client)

    # Nothing to see.

    def test_a_missing_service_lists_the_others(self):
        self.server()
        self.assertIn(f"there are: {self.name}", self.refusal(3, "inspect", self.name + "-not"))

    def test_a_dead_server_without_clients_is_gone(self):
        self.server().kill()
        self.assertIn("start the server again", self.refusal(5, "inspect", self.name))

    def test_a_process_that_is_not_there_or_has_nothing(self):
        child = subprocess.Popen(["sleep", "60"])
        try:
            self.assertIn("has no link", self.refusal(3, "inspect", "--pid", str(child.pid)))
        finally:
            child.kill()
            child.wait()
        self.assertIn("there is no process", self.refusal(3, "inspect", "--pid", str(child.pid)))

    def test_a_process_of_somebody_else(self):
        if os.geteuid() != 0:
            # Process 1 is root's.
            self.assertIn("not yours", self.refusal(7, "inspect", "--pid", "1"))
            return
        server = self.server()
        tool = shutil.copy(TAUT, tempfile.mkdtemp(prefix="taut-test-tool-"))
        os.chmod(os.path.dirname(tool), 0o755)
        self.addCleanup(shutil.rmtree, os.path.dirname(tool))
        done = subprocess.run([tool, "inspect", "--pid", str(server.pid)], capture_output=True, text=True,
                              timeout=PATIENCE, user=65534, group=65534, extra_groups=[], env=self.environment)
        self.assertEqual((done.returncode, done.stdout), (7, ""), done.stderr)
        self.assertRegex(done.stderr, r"^error: the files of process \d+ are not yours to see; .*\n$")

    def test_wrong_usage(self):
        for arguments in ((), ("a", "--pid", "1"), ("--pid", "0"), ("--pid", "x"), ("tcp://a:1",), ("a b",)):
            self.refusal(2, "inspect", *arguments)


if __name__ == "__main__":
    main(InspectTest)
