"""taut describe: what a service or a schema offers, in words, as JSON, and as a request to fill in.

describe_test.py TAUT HELD_DESK TEST...
"""
import json
import os
import pathlib
import shutil
import subprocess

from held_desk import PATIENCE, DeskTest, main

SCHEMAS = pathlib.Path(__file__).parents[2] / "schemas"
ORDERS = str(SCHEMAS / "orders.fbs")
ODD = """
union Any { Leaf, Node }
struct Pair { first:short; second:[int:2]; }
enum Colour:ubyte { red = 3, green }
table Leaf { text:string; colour:Colour = green; }
table Node { next:Node; any:Any; leaves:[Leaf]; pairs:[Pair]; old:int (deprecated); maybe:int = null; real:float = 1.5; }
rpc_service Odd { Go(Node):Leaf (id: 4); }
"""


class DescribeTest(DeskTest):
    def describe(self, *arguments):
        done = self.taut("describe", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def document(self, *arguments):
        document = json.loads(self.describe(*arguments, "--json"))
        self.assertEqual(document["schema"], "taut.describe/1")
        return document

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def flatc(self, *arguments):
        flatc = shutil.which("flatc")
        if flatc is None:
            self.skipTest("flatc is not on the PATH")
        done = subprocess.run([flatc, *arguments], cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_service_in_words(self):
        server = self.server()
        words = self.describe(self.name)
        self.assertTrue(words.startswith(f"// shm://{self.name}, served by process {server.pid}\n"), words)
        for part in ("rpc_service desk.Orders {\n  Place(desk.Order):desk.Ack (id: 1);\n",
                     "  /// Overtakes orders that still wait.\n  Cancel(desk.Cancel):desk.Ack (id: 3, idempotent, urgent);\n",
                     "table desk.Book {\n  seq:ulong;\n  bids:[desk.Level] (max: 64, required);\n",
                     "struct desk.Party {\n  symbol:[ubyte:8];\n", "  side:desk.Side = buy;\n",
                     "enum desk.Side:ubyte { buy = 0, sell = 1 }\n"):
            self.assertIn(part, words)
        self.assertRegex(words, r"(?m)^// fingerprint [0-9a-f]{16}$")

    def test_a_service_as_json(self):
        server = self.server()
        document = self.document(self.name)
        self.assertEqual(document["server_pid"], server.pid)
        (service,) = document["services"]
        self.assertEqual([(method["name"], method["id"], method["index"], method["request"], method["reply"])
                          for method in service["methods"]],
                         [("Place", 1, 0, "desk.Order", "desk.Ack"), ("Snapshot", 2, 1, "desk.Book", "desk.BookAck"),
                          ("Cancel", 3, 2, "desk.Cancel", "desk.Ack")])
        self.assertIn("urgent", service["methods"][2]["attributes"])
        types = {one["name"]: one for one in service["types"]}
        self.assertEqual({"table", "struct", "enum"}, {one["kind"] for one in types.values()})
        side = next(field for field in types["desk.Order"]["fields"] if field["name"] == "side")
        self.assertEqual((side["type"], side["default"], side["required"]), ("desk.Side", "buy", False))

    def test_one_method_shows_only_what_it_needs(self):
        self.server()
        for wanted in ("Orders/Cancel", "desk.Orders/Cancel"):
            (service,) = self.document(self.name, wanted)["services"]
            self.assertEqual([method["name"] for method in service["methods"]], ["Cancel"])
            self.assertEqual([one["name"] for one in service["types"]], ["desk.Cancel", "desk.Ack"])
        self.assertEqual(len(self.document(self.name, "Orders")["services"][0]["methods"]), 3)

    def test_a_template_can_be_sent(self):
        self.server()
        for method in ("Place", "Snapshot"):
            template = self.describe(self.name, f"Orders/{method}", "--template")
            done = self.taut("call", self.name, f"Orders/{method}", "-d", "@-", input=template)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_template_holds_one_of_everything(self):
        path = self.write("odd.fbs", ODD)
        template = json.loads(self.describe(path, "Odd/Go", "--template"))
        leaf = {"text": "", "colour": "green"}
        self.assertEqual(template, {"any_type": "Leaf", "any": leaf, "leaves": [leaf],
                                    "pairs": [{"first": 0, "second": [0, 0]}], "maybe": None, "real": 1.5})
        self.write("go.json", json.dumps(template))
        self.flatc("--binary", "--root-type", "Node", path, "go.json")

    def test_files_and_services_say_the_same(self):
        self.server()
        lent = self.document(self.name)["services"][0]
        self.flatc("--binary", "--schema", "--bfbs-builtins", "--bfbs-comments", ORDERS)
        for path in (ORDERS, os.path.join(self.directory, "orders.bfbs")):
            (service,) = self.document(path)["services"]
            self.assertIsNone(service.pop("fingerprint"))
            self.assertEqual(service, {key: value for key, value in lent.items() if key != "fingerprint"})

    def test_kinds_of_calls(self):
        path = str(SCHEMAS / "kinds.fbs")
        (service,) = self.document(path)["services"]
        self.assertEqual([(method["name"], method["kind"]) for method in service["methods"]],
                         [("Ask", "unary"), ("Tell", "oneway"), ("Watch", "server stream"), ("Load", "client stream"),
                          ("Swap", "stream both ways"), ("Talk", "stream both ways")])
        self.assertIn('  Watch(kinds.Wanted):kinds.Item (id: 3, streaming: "server");\n', self.describe(path))

    def test_a_stopped_server_is_described_from_its_memory(self):
        server = self.server().stop()
        done = self.taut("describe", self.name, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["server_pid"], server.pid)
        self.assertIn("read from the memory of process", done.stderr)

    def test_what_is_not_there_is_said_in_one_line(self):
        self.server()
        everything = "desk.Orders/Place, desk.Orders/Snapshot, desk.Orders/Cancel"
        self.assertIn(f"no method 'Pay'; it offers: {everything}", self.refusal(3, "describe", self.name, "Orders/Pay"))
        self.assertIn(f"no service 'Books'; it offers: {everything}", self.refusal(3, "describe", self.name, "Books"))
        self.assertIn(everything, self.refusal(2, "describe", self.name, "--template"))
        self.assertIn(f"there are: {self.name}", self.refusal(3, "describe", self.name + "-not"))
        self.assertIn("none.fbs cannot be read", self.refusal(3, "describe", "none.fbs"))
        self.refusal(2, "describe", "tcp://a:1")
        self.refusal(2, "describe")

    def test_a_dead_server_is_gone(self):
        self.server().kill()
        self.assertIn("start the server again", self.refusal(5, "describe", self.name))

    def test_a_file_that_is_no_schema(self):
        self.assertIn("is no schema", self.refusal(2, "describe", self.write("a.fbs", "table T {")))
        self.assertIn("is not a binary FlatBuffers schema", self.refusal(2, "describe", self.write("a.bfbs", "x" * 99)))
        self.assertIn("is not a binary FlatBuffers schema", self.refusal(2, "inspect", self.name, "--schema",
                                                                         self.write("b.bfbs", "x" * 99)))


if __name__ == "__main__":
    main(DescribeTest)
