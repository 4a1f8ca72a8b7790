"""taut check: every kind of change between two schemas, who it breaks, and on which line.

check_test.py TAUT EXAMPLES_DIR TEST...
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

TAUT, EXAMPLES = sys.argv[1:3]
PATIENCE = 60  # ends a hang; no speed limit

CLIENTS, SERVERS, BOTH, WARNING = ("breaks old clients", "breaks old servers",
                                   "breaks old clients and old servers", "warning")

# Ask is a request, Say a reply, Pair both. One declaration a line, so that cases can name lines.
SCHEMA = """namespace n;
attribute "oneway";
attribute "urgent";
attribute "timeout";
attribute "limit";
attribute "needed";
attribute "max";
attribute "optional";
enum Side : ubyte { buy, sell, hold }
enum Bits : ubyte (bit_flags) { one, two }
struct Point { x:int; y:int; side:Side; }
table Part { text:string; }
table More { text:string; }
union Any { Part, More }
table Ask {
  a:int = 3;
  name:string (required);
  note:string;
  tail:[ubyte] (max: 16);
  side:Side;
  bits:[Bits];
  point:Point;
  part:Part;
  points:[Point];
  any:Any;
  last:int;
}
table Say {
  a:int = 3;
  name:string (required);
  note:string;
  tail:[ubyte] (max: 16);
  side:Side;
  last:int;
}
table Pair { side:Side; again:[Pair]; last:string (required); }
rpc_service Desk {
  Put(Ask):Say (id: 1, timeout: "1ms");
  Swap(Pair):Pair (id: 2);
  Tell(Ask):Say (id: 3, oneway);
  Last(Ask):Say (id: 4, idempotent, urgent);
}
"""


def line_of(part, text, after=""):
    at = text.index(part, text.index(after))
    return text.count("\n", 0, at) + 1


class CheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="taut-check-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = dict(os.environ, TAUT_DIR=self.folder)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def taut(self, *arguments):
        return subprocess.run([TAUT, "check", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment, cwd=self.folder)

    def compare(self, old, new):
        """Lines of changes, without the summary, and the exit code."""
        self.write("old.fbs", old)
        self.write("new.fbs", new)
        done = self.taut("new.fbs", "--against", "old.fbs")
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        return [line for line in lines if ".fbs" in line], done.returncode, lines

    def expect(self, edits, *expected, after=""):
        """`edits` change SCHEMA (behind `after`). Each expected line: (file, text of the line, verdict, words)."""
        new = SCHEMA
        for old_part, new_part in edits:
            at = new.index(old_part, new.index(after))
            new = new[:at] + new_part + new[at + len(old_part):]
        lines, code, everything = self.compare(SCHEMA, new)
        self.assertEqual(len(lines), len(expected), "\n".join(everything))
        for line, (file, text, verdict, words) in zip(lines, expected):
            number = line_of(text, {"old": SCHEMA, "new": new}[file], after)
            self.assertTrue(line.startswith(f"{file}.fbs:{number}: {verdict}: "), f"{line}\nexpected {number} {verdict}")
            self.assertIn(words, line)
        self.assertEqual(code, 6 if any(verdict != WARNING for _, _, verdict, _ in expected) else 0)

    def in_request(self, edits, *expected):
        self.expect(edits, *expected, after="table Ask")

    def in_reply(self, edits, *expected):
        self.expect(edits, *expected, after="table Say")

    # What peers survive.

    def test_nothing_to_say_of_what_was_added_and_deprecated(self):
        lines, code, everything = self.compare(SCHEMA, SCHEMA)
        self.assertEqual((lines, code), ([], 0))
        self.assertRegex("\n".join(everything), r"^n.Desk: the same schema, 0x[0-9a-f]{16}\n0 changes break a peer, 0 war")
        self.in_request([("  last:int;", "  last:int;\n  more:string;\n  most:[Pair];")])
        self.in_request([("note:string", "note:string (deprecated)")])
        self.in_reply([("last:int", "last:int (deprecated)")])
        self.expect([("(id: 1,", "(id: 1, needed,")], after="rpc_service")
        self.expect([("  Swap", "  Get(Ask):Say (id: 9);\n  Swap")], after="rpc_service")
        self.expect([("rpc_service", "table Free { a:int; }\nrpc_service")])
        self.assertRegex(self.compare(SCHEMA, SCHEMA.replace("last:int", "last:long"))[2][-2],
                         r"n.Desk: schema 0x[0-9a-f]{16}, before 0x[0-9a-f]{16}")

    # Fields.

    def test_field_removed(self):
        self.in_reply([("  last:int;\n", "")], ("old", "last:int", WARNING, "the next field gets its id 5"))
        self.expect([(" last:string (required);", "")],
                    ("old", "last:string", BOTH, "field 'last' of table n.Pair is gone, and was (required)"),
                    after="table Pair")

    def test_field_id_moved(self):
        self.in_reply([("  note:string;\n", ""), ("  last:int;\n", "  last:int;\n  note:string;\n")],
                      ("new", "tail", BOTH, "field 'tail' of table n.Say has the id 2; it was 3"),
                      ("new", "side", BOTH, "has the id 3; it was 4"), ("new", "last", BOTH, "has the id 4; it was 5"),
                      ("new", "note", BOTH, "has the id 5; it was 2: each side looks for it in the other's place"))

    def test_field_id_reused(self):
        self.in_reply([("last:int", "fresh:long")],
                      ("new", "fresh", BOTH, "field 'fresh' of table n.Say has the id 5 of 'last'"))
        self.in_reply([("last:int", "fresh:int")], ("new", "fresh", WARNING, "was called 'last': messages stay the same"))
        old = SCHEMA.replace("last:int", "last:int (deprecated)")
        lines, code, _ = self.compare(old, SCHEMA.replace("last:int", "fresh:int"))
        self.assertEqual((len(lines), code), (2, 6))
        self.assertIn("has the id 5 of the deprecated 'last'", lines[1])

    def test_field_deprecated_that_was_required(self):
        self.in_request([("name:string (required)", "name:string (deprecated)")],
                        ("new", "name", SERVERS, "is (deprecated), and was (required)"))

    def test_field_type(self):
        self.in_reply([("last:int", "last:uint")], ("new", "last", BOTH, "is uint; it was int"))
        self.in_reply([("note:string", "note:[ubyte]")], ("new", "note", BOTH, "is [ubyte]; it was string"))
        self.expect([("struct Point", "table Point")],
                    ("new", "point:Point", BOTH, "field 'point' of table n.Ask is n.Point, a table now; it was a struct"),
                    ("new", "points:[", BOTH, "is [n.Point], a table now; it was a struct"))
        self.in_request([("part:Part", "part:More")], ("new", "part", BOTH, "is n.More; it was n.Part"))
        self.in_request([("points:[Point]", "points:[Part]")], ("new", "points", BOTH, "is [n.Part]; it was [n.Point]"))
        self.in_request([("side:Side", "side:ubyte")], ("new", "side", SERVERS, "is ubyte; it was n.Side"))
        self.in_reply([("side:Side", "side:ubyte")], ("new", "side", CLIENTS, "refuse numbers that the enum does not"))

    def test_field_default(self):
        self.in_request([("a:int = 3", "a:int = 4")], ("new", "a:int", BOTH, "has the default 4; it was 3"))
        self.in_request([("a:int = 3", "a:int = null")], ("new", "a:int", BOTH, "has the default null; it was 3"))
        self.in_request([("last:int", "last:int = null")], ("new", "last:int", BOTH, "has the default null; it was 0"))

    def test_field_required(self):
        self.in_request([("note:string", "note:string (required)")],
                        ("new", "note", CLIENTS, "field 'note' of table n.Ask is (required) now"))
        self.in_reply([("note:string", "note:string (required)")], ("new", "note", SERVERS, "is (required) now"))
        self.in_request([("name:string (required)", "name:string")], ("new", "name", SERVERS, "is (required) no more"))
        self.in_reply([("name:string (required)", "name:string")], ("new", "name", CLIENTS, "is (required) no more"))
        self.in_request([("  last:int;", "  last:int;\n  more:string (required);")],
                        ("new", "more", CLIENTS, "is new and (required)"))

    def test_field_cap(self):
        self.in_request([("max: 16", "max: 15")], ("new", "tail", CLIENTS, "has the cap 15; it was the cap 16"))
        self.in_reply([("max: 16", "max: 15")], ("new", "tail", SERVERS, "has the cap 15"))
        self.in_request([("note:string", "note:string (max: 9)")],
                        ("new", "note", CLIENTS, "has the cap 9; it was no cap"))
        self.in_request([("max: 16", "max: 17")], ("new", "tail", WARNING, "send none before all are upgraded"))
        self.in_request([(" (max: 16)", "")], ("new", "tail", WARNING, "has no cap; it was the cap 16"))

    # Structs, enums, unions.

    def test_struct_layout(self):
        for new, words in (("{ x:int; y:long; side:Side; }", "member 'y' of struct n.Point is long; in its place was"),
                           ("{ x:int; y:int; side:Side; z:int; }", "has 4 members; it had 3"),
                           ("{ x:int; side:Side; }", "has 2 members; it had 3"),
                           ("{ y:int; x:int; side:Side; }", "member 'y' of struct n.Point stands where 'x' stood"),
                           ("(force_align: 8) { x:int; y:int; side:Side; }", "is aligned to 8; it was 4")):
            self.expect([("{ x:int; y:int; side:Side; }", new)], ("new", "struct Point", BOTH, words))
        self.expect([("x:int; y", "left:int; y")], ("new", "struct Point", WARNING, "member 'left' of struct n.Point was"))

    def test_enum_values(self):
        self.expect([("sell, hold", "sell")], ("old", "enum Side", BOTH, "value 'hold' of enum n.Side (2) is gone"))
        self.expect([("sell, hold", "sell = 3, hold")],
                    ("new", "enum Side", BOTH, "value 'sell' of enum n.Side is 3; it was 1"),
                    ("new", "enum Side", BOTH, "value 'hold' of enum n.Side is 4; it was 2"))
        self.expect([("sell, hold", "sell, hold, short")],
                    ("new", "enum Side", WARNING, "value 'short' (3) of enum n.Side is new: old readers refuse messages"))
        self.expect([("sell, hold", "sell, keep")], ("new", "enum Side", WARNING, "was called 'hold'"))
        self.expect([("Side : ubyte", "Side : byte")], ("new", "enum Side", BOTH, "is stored as byte; it was ubyte"))
        self.expect([("(bit_flags) { one, two }", "{ one = 1, two = 2 }")],
                    ("new", "enum Bits", CLIENTS, "is (bit_flags) no more"))

    def test_an_enum_value_has_its_own_line(self):
        old = SCHEMA.replace("{ buy, sell, hold }", "{\n buy,\n sell,\n hold\n}")
        lines, _, _ = self.compare(old, old.replace(" hold\n", " hold,\n short\n"))
        self.assertTrue(lines[0].startswith("new.fbs:%d: warning: value 'short'" % (line_of(" hold", old) + 1)), lines)

    def test_union_members(self):
        self.expect([("{ Part, More }", "{ Part }")], ("old", "union Any", CLIENTS, "member 'More' of union n.Any (2) is gone"))
        self.expect([("{ Part, More }", "{ More, Part }")], ("new", "union Any", BOTH, "member 'Part' of union n.Any is 2"),
                    ("new", "union Any", BOTH, "member 'More' of union n.Any is 1"))
        self.expect([("{ Part, More }", "{ Part, More, Pair }")], ("new", "union Any", WARNING, "'Pair' (3) of union n.Any"))
        self.expect([("union Any { Part, More }", "union Any { Part, More:Say }")],
                    ("new", "union Any", BOTH, "is n.Say; it was n.More"))
        self.expect([("table More { text:string", "table More { text:long")],
                    ("new", "table More", BOTH, "field 'text' of table n.More is long"))

    # Services.

    def test_method_removed_or_moved(self):
        self.expect([("  Swap(Pair):Pair (id: 2);\n", "")], ("old", "Swap", CLIENTS, "method 'Swap' of n.Desk (id 2) is gone"),
                    after="rpc_service")
        self.expect([("Pair (id: 2", "Pair (id: 7")], ("new", "Swap", BOTH, "has the id 7; it was 2: each side calls an id"),
                    after="rpc_service")
        self.expect([("id: 1", "id: 9"), ("id: 2", "id: 1"), ("id: 9", "id: 2")],
                    ("new", "Put", BOTH, "has the id 2; it was 1: id 1 is now 'Swap', and links refuse"),
                    ("new", "Swap", BOTH, "has the id 1; it was 2: id 2 is now 'Put', and links refuse"),
                    after="rpc_service")

    def test_method_renamed(self):
        self.expect([("Swap(", "Turn(")], ("new", "Turn", BOTH, "id 2 of n.Desk is the method 'Turn'; it was 'Swap'"),
                    after="rpc_service")

    def test_method_tables(self):
        self.expect([("Swap(Pair)", "Swap(Ask)")], ("new", "Swap", BOTH, "method 'Swap' of n.Desk takes n.Ask; it was n.Pair"),
                    after="rpc_service")
        self.expect([(":Pair", ":Say")], ("new", "Swap", BOTH, "method 'Swap' of n.Desk answers with n.Say; it was n.Pair"),
                    after="rpc_service")

    def test_method_attributes(self):
        self.expect([(', timeout: "1ms"', ', timeout: "2ms"')],
                    ("new", "Put", WARNING, "has the timeout 2ms; it was 1ms"), after="rpc_service")
        self.expect([(', timeout: "1ms"', ', timeout: "1ms", limit: 8')],
                    ("new", "Put", WARNING, "has a limit of 8 open calls; it had no limit of open calls"),
                    after="rpc_service")
        self.expect([(', timeout: "1ms"', ", oneway")], ("new", "Put", BOTH, "is (oneway) now; it was unary: links refuse"),
                    ("new", "Put", WARNING, "has the timeout none of its own; it was 1ms"), after="rpc_service")
        self.expect([(", oneway", "")], ("new", "Tell", BOTH, "is unary now; it was (oneway)"), after="rpc_service")
        self.expect([(", idempotent, urgent", "")], ("new", "Last", WARNING, "is (urgent) no more"),
                    ("new", "Last", WARNING, "is (idempotent) no more"), after="rpc_service")
        self.expect([("  Swap", "  Get(Ask):Say (id: 9, needed);\n  Swap")],
                    ("new", "Get", SERVERS, "is new and needed: new clients refuse a server that lacks it"),
                    after="rpc_service")

    def test_every_change_of_a_kind_breaks_both_sides(self):
        kinds = {"unary": "", '(streaming: "server")': ', streaming: "server"',
                 '(streaming: "client")': ', streaming: "client"', '(streaming: "both")': ', streaming: "both"'}
        for was, old in kinds.items():
            for now, new in kinds.items():
                lines, _, everything = self.compare(SCHEMA.replace("id: 2", "id: 2" + old),
                                                    SCHEMA.replace("id: 2", "id: 2" + new))
                if was == now:
                    self.assertEqual(lines, [], everything)
                    continue
                (line,) = lines
                self.assertIn(f"{BOTH}: method 'Swap' of n.Desk is {now} now; it was {was}: links refuse", line)

    def test_service_removed_or_renamed(self):
        two = SCHEMA + "rpc_service Other { Go(Ask):Say (id: 1); }\n"
        lines, code, _ = self.compare(two, SCHEMA)
        self.assertEqual((lines, code), ([f"old.fbs:{line_of('Other', two)}: {CLIENTS}: service n.Other is gone: "
                                          "calls of old clients end with unimplemented"], 6))
        lines, code, _ = self.compare(SCHEMA, SCHEMA.replace("namespace n", "namespace m"))
        self.assertEqual((len(lines), code), (1, 6))
        self.assertIn(f"{BOTH}: service m.Desk was called n.Desk: peers find a service by its whole name", lines[0])

    def test_a_renamed_table_is_looked_into(self):
        lines, code, _ = self.compare(SCHEMA, SCHEMA.replace("Say", "Told").replace("last:int", "last:long"))
        self.assertEqual(code, 6)
        self.assertIn("warning: table n.Told was called n.Say", "\n".join(lines))
        self.assertIn("field 'last' of table n.Told is long; it was int", "\n".join(lines))

    def test_tables_without_a_service_are_compared_both_ways(self):
        old = "table A { a:int; b:string; }\n"
        lines, code, _ = self.compare(old, old.replace("b:string", "b:string (required)"))
        self.assertEqual((lines[0].split(":")[2], code), (" " + BOTH, 6))

    # The command.

    def test_strict_counts_warnings(self):
        self.write("old.fbs", SCHEMA)
        self.write("new.fbs", SCHEMA.replace("max: 16", "max: 17"))
        self.assertEqual(self.taut("new.fbs", "--against", "old.fbs").returncode, 0)
        self.assertEqual(self.taut("new.fbs", "--against", "old.fbs", "--strict").returncode, 6)

    def test_json(self):
        self.write("old.fbs", SCHEMA)
        self.write("new.fbs", SCHEMA.replace("note:string", "note:long").replace("max: 16", "max: 17"))
        done = self.taut("new.fbs", "--against", "old.fbs", "--json")
        document = json.loads(done.stdout)
        self.assertEqual((done.returncode, document["schema"], document["breaking"], document["warnings"]),
                         (6, "taut.check/1", 2, 2))
        self.assertEqual(document["services"][0]["name"], "n.Desk")
        self.assertNotEqual(document["services"][0]["new"], document["services"][0]["old"])
        change = document["changes"][0]
        self.assertEqual((change["file"], change["line"], change["rule"], change["breaks_old_clients"],
                          change["breaks_old_servers"]),
                         ("new.fbs", line_of("note", SCHEMA), "field_type", True, True))
        self.assertEqual(document["changes"][1]["breaks_old_clients"], False)

    def test_included_files_have_lines_of_their_own(self):
        os.mkdir(os.path.join(self.folder, "parts"))
        self.write("parts/common.fbs", "namespace n;\n\ntable Ask { a:int; }\n")
        self.write("old.fbs", "include \"parts/common.fbs\";\nnamespace n;\nrpc_service S { Go(Ask):Ask (id: 1); }\n")
        os.mkdir(os.path.join(self.folder, "next"))
        self.write("next/common.fbs", "namespace n;\n\n\ntable Ask { a:long; }\n")
        self.write("new.fbs", "include \"common.fbs\";\nnamespace n;\nrpc_service S { Go(Ask):Ask (id: 1); }\n")
        self.assertIn("common.fbs", self.taut("new.fbs", "--against", "old.fbs").stderr)
        done = self.taut("new.fbs", "--against", "old.fbs", "-I", "next")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("next/common.fbs:4: " + BOTH, done.stdout)

    def test_against_a_live_service(self):
        server = subprocess.Popen([f"{EXAMPLES}/greeter_server"], stdout=subprocess.PIPE, text=True, env=self.environment)
        try:
            self.assertEqual(server.stdout.readline(), "ready shm://greeter\n")
            self.write("greeter.fbs", 'namespace greeter;\ntable HelloRequest { name:[ubyte] (required); }\n'
                                      'table HelloReply { text:string; }\n'
                                      'rpc_service Greeter { SayHello(HelloRequest):HelloReply (id: 1); }\n')
            done = self.taut("greeter.fbs", "--against", "shm://greeter")
            self.assertEqual(done.returncode, 6, done.stderr)
            self.assertIn("greeter.fbs:2: " + BOTH + ": field 'name' of table greeter.HelloRequest is [ubyte]; it was "
                          "string", done.stdout)
            self.write("other.fbs", SCHEMA)
            done = self.taut("other.fbs", "--against", "shm://greeter")
            self.assertEqual((done.returncode, done.stderr),
                             (3, "error: shm://greeter offers no service of the new schema; it offers: greeter.Greeter\n"))
        finally:
            server.kill()
            server.wait()
            server.stdout.close()

    def test_wrong_files_give_one_line(self):
        self.write("good.fbs", SCHEMA)
        self.write("bad.fbs", "table A {\n  a:nothing;\n}\n")
        self.write("ids.fbs", "table A { a:int; }\nrpc_service S {\n  Go(A):A;\n}\n")
        self.write("twice.fbs", "table A { a:int; }\nrpc_service S {\n  Go(A):A (id: 1);\n  Do(A):A (id: 1);\n}\n")
        self.write("no.bfbs", "no schema at all")
        for file, code, words in (("missing.fbs", 3, "missing.fbs cannot be read: No such file or directory"),
                                  (".", 3, "cannot be read: Is a directory"),
                                  ("bad.fbs", 2, "bad.fbs:2"), ("ids.fbs", 2, "ids.fbs:3: method 'Go' has no id"),
                                  ("twice.fbs", 2, "twice.fbs:4: method 'Do' has the id of 'Go'"),
                                  ("no.bfbs", 2, "no.bfbs is no binary schema; make it with flatc"),
                                  ("shm://nobody", 3, "no service 'nobody'"),
                                  ("tcp://far:1", 2, "tcp://far:1 is neither FILE.fbs")):
            done = self.taut("good.fbs", "--against", file)
            self.assertEqual((done.returncode, done.stdout), (code, ""), (file, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(words, done.stderr)
        self.assertIn("needs --against", self.taut("good.fbs").stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("CheckTest." + name for name in sys.argv[3:])])
