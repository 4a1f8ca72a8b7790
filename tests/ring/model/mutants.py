#!/usr/bin/env python3
"""Breaks the ring on purpose, one place at a time, and asks whether the tests notice.

Each mutant is a small change to ring.h or board.h: every memory order one step weaker at every site (found in the
source, so that a new site is a new mutant), every check off, every store moved or dropped. It is compiled against the
unit tests, the checker and the relacy driver, in that order or, for memory orders, relacy first; the first that fails
has caught it. A mutant that none catches must stand in EQUIVALENT below with the reason why it changes nothing that
the ring promises. An unlisted survivor, a listed mutant that is caught, and a mutant whose place is no longer in the
source all make this script fail.

    mutants.py --source DIR --work DIR [--compiler g++] [--jobs 2] [--all] [NAME...]
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

RING = "core/ring/include/taut/ring/ring.h"
BOARD = "core/ring/include/taut/ring/board.h"

# Reviewed survivors: the mutant, and why no run can tell it from the ring.
EQUIVALENT = {
    "next_slowly: acquire to relaxed":
        "The acquire of the pad, one load earlier, has made the record's head and bytes visible: the record was "
        "stored before its pad was released.",
    "next_slowly: a pad behind a violation":
        "bytes_max_ is 0 behind a violation, so the check of the record that the pad leads to refuses it as well.",
}

# name, file, what stands there, what replaces it
CHANGES = [
    # claim(), the quick path
    ("claim: the successor's line is not counted", RING, "if (room + kStep + reserve <= runway_)",
     "if (room + reserve <= runway_)"),
    ("claim: the reserve is not counted", RING, "if (room + kStep + reserve <= runway_)",
     "if (room + kStep <= runway_)"),
    ("claim: a claim of no bytes is good", RING, "u64{(bytes - 1) | (kStep - 1)} + 1", "up(u64{bytes})"),
    # send()
    ("send: the successor is not zeroed", RING,
     "memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);", ""),
    ("send: the successor is zeroed behind the claim, not the record", RING,
     "memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);",
     "memory_.store_head(offset(pos_ + claim.pad + claim.room), 0, Order::relaxed);"),
    ("send: the successor is zeroed only without a pad", RING,
     "memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);",
     "if (claim.pad == 0) memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);"),
    ("send: the successor is zeroed after the commit", RING,
     "    commit(offset(pos_), head.word);\n    pos_ += advance;",
     "    commit(offset(pos_), head.word);\n"
     "    memory_.store_head(offset(pos_ + advance), 0, Order::relaxed);\n    pos_ += advance;",
     ("    memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);\n", "")),
    ("send: the pad is committed before its record", RING,
     "memory_.store_head(claim.at, head.word, Order::relaxed);\n      head = Head::make(claim.pad, Kind::pad);",
     "commit(offset(pos_), Head::make(claim.pad, Kind::pad).word);\n"
     "      memory_.store_head(claim.at, head.word, Order::release);\n"
     "      pos_ += advance;\n      runway_ = 0;\n      return;"),
    ("send: the pad has the record's length", RING, "head = Head::make(claim.pad, Kind::pad);",
     "head = Head::make(claim.room, Kind::pad);"),
    ("send: the record behind a pad has no head", RING, "memory_.store_head(claim.at, head.word, Order::relaxed);", ""),
    ("send: the runway goes on behind a pad", RING, "runway_ = advance;", ""),
    ("send: the runway never ends", RING, "    runway_ -= advance;\n", ""),
    # send_copy() and send_in_place()
    ("send_copy: the lines behind the first stay", RING, "copy<kStep>(to + line, bytes + line);", "{}"),
    ("send_copy: the rest of the first line stays", RING, "    copy<kStep - kWords>(to + kWords, bytes + kWords);\n", ""),
    ("send_copy: the header's words stay", RING, "    write_header(to, header...);\n", ""),
    ("send_copy: no successor", RING, "    end_record(claim, head);\n    std::byte* to", "    std::byte* to"),
    ("send_in_place: the header's words stay", RING, "    write_header(memory_.bytes(claim.at), header...);\n", ""),
    # batches
    ("commit: a batch shows its records one by one", RING, "if (batching_ && held_word_ == 0) {", "if (false) {"),
    ("commit: a batch holds back its last record, not its first", RING, "if (batching_ && held_word_ == 0) {",
     "if (batching_) {"),
    ("end_batch: the first record of the batch is never shown", RING,
     "    memory_.store_head(held_at_, held_word_, Order::release);\n", ""),
    ("end_batch: forgets to forget the batch's head", RING, "    held_word_ = 0;\n  }", "  }"),
    ("end_batch: the batch never ends", RING, "    batching_ = false;\n", ""),
    ("end_batch: an empty batch stores a head", RING, "    if (held_word_ == 0) return;\n", ""),
    # has_free()
    ("has_free: the successor's line is not counted", RING, "pos_ + kStep + bytes - seen_ <= ring_bytes()",
     "pos_ + bytes - seen_ <= ring_bytes()"),
    ("has_free: the successor's line is not counted after asking", RING, "refresh(kStep + bytes)", "refresh(bytes)"),
    ("has_free: never asks the reader", RING, " || refresh(kStep + bytes) == Refusal::none", ""),
    # claim_slowly()
    ("claim_slowly: a claim of no bytes is good", RING, "if (bytes == 0 || room > ", "if (room > "),
    ("claim_slowly: a record above a quarter is good", RING, "room > ring_bytes() / 4 || ", ""),
    ("claim_slowly: a size that overflows is good", RING, " || room < bytes) return", ") return"),
    ("claim_slowly: a record that just fits before the end gets a pad", RING, "const u32 pad = room <= left ? 0 : left;",
     "const u32 pad = room < left ? 0 : left;"),
    ("claim_slowly: no pads", RING, "const u32 pad = room <= left ? 0 : left;", "const u32 pad = 0 * left;"),
    ("claim_slowly: the pad is not counted", RING, "u64{pad} + room + kStep + reserve;", "u64{room} + kStep + reserve;"),
    ("claim_slowly: the successor's line is not counted", RING, "u64{pad} + room + kStep + reserve;",
     "u64{pad} + room + reserve;"),
    ("claim_slowly: the reserve is not counted", RING, "u64{pad} + room + kStep + reserve;", "u64{pad} + room + kStep;"),
    ("claim_slowly: asks although the room is there", RING, "if (pos_ + needed - seen_ > ring_bytes()) {",
     "if (pos_ + needed - seen_ >= ring_bytes()) {"),
    ("claim_slowly: never asks the reader", RING,
     "if (const Refusal refusal = refresh(needed); refusal != Refusal::none) return {.refusal = refusal};",
     "return {.refusal = Refusal::full};"),
    ("claim_slowly: believes that there is room", RING, "if (pos_ + needed - seen_ > ring_bytes()) {", "if (false) {"),
    ("claim_slowly: touched is not moved", RING, "    touch(pos_ + pad + room + kStep);\n", ""),
    ("claim_slowly: touched misses the successor's line", RING, "touch(pos_ + pad + room + kStep);",
     "touch(pos_ + pad + room);"),
    ("claim_slowly: touched misses the pad", RING, "touch(pos_ + pad + room + kStep);", "touch(pos_ + room + kStep);"),
    ("claim_slowly: a dropped claim leaves a runway across the end", RING, "runway_ = pad != 0 ? 0 : runway(left);",
     "runway_ = pad != 0 ? pad + room : runway(left);"),
    ("claim_slowly: a record behind a pad starts at the writer's offset", RING, "{.at = pad == 0 ? at : 0, .room = room",
     "{.at = at, .room = room"),
    ("runway: past the end of the ring", RING, "{left_in_ring, seen_", "{seen_"),
    ("runway: past what the reader released", RING, "left_in_ring, seen_ + ring_bytes() - pos_, ", "left_in_ring, "),
    ("runway: past what is announced as touched", RING, "touched_ - pos_, ring_bytes() / 4", "ring_bytes() / 4"),
    ("runway: for records above a quarter", RING, "touched_ - pos_, ring_bytes() / 4", "touched_ - pos_"),
    ("runway: the largest limit counts", RING, "limit < least ? limit : least", "limit > least ? limit : least"),
    # refresh() and touch()
    ("refresh: an impossible counter is believed", RING, "released - seen_ > pos_ - seen_ || ", ""),
    ("refresh: a counter between lines is believed", RING, " || released % kStep != 0", ""),
    ("refresh: a reader that released everything is a liar", RING, "released - seen_ > pos_ - seen_",
     "released - seen_ >= pos_ - seen_"),
    ("refresh: forgets what it saw", RING, "    seen_ = released;\n", ""),
    ("refresh: full one byte early", RING, "return pos_ + needed - seen_ > ring_bytes() ?",
     "return pos_ + needed - seen_ >= ring_bytes() ?"),
    ("touch: moves at every claim", RING, "touched_ = (end + quarter - 1) & ~(quarter - 1);", "touched_ = end;",
     ("    const u64 quarter = ring_bytes() / 4;\n", "")),
    ("touch: compares positions without a sign", RING, "if (static_cast<std::int64_t>(end - touched_) <= 0) return;",
     "if (end <= touched_) return;"),
    ("touch: the word is not stored", RING,
     "    memory_.store_touched(touched_, Order::relaxed);\n    memory_.fence", "    memory_.fence"),
    ("touch: the fence comes before the word", RING,
     "    memory_.store_touched(touched_, Order::relaxed);\n    memory_.fence(Order::release);",
     "    memory_.fence(Order::release);\n    memory_.store_touched(touched_, Order::relaxed);"),
    ("Writer: touched has no first value", RING,
     "    memory_.store_touched(touched_, Order::relaxed);  // before the link is announced: nobody reads yet\n", ""),
    # next(), the quick path
    ("next: an empty head is looked into", RING, "    if (!head) return {};\n", ""),
    ("next: every kind is a record", RING, "if (u8(head.kind_byte() - u8(Kind::request)) < kKindCount - u8(Kind::request) && ",
     "if ("),
    ("next: every size is good", RING, "bytes - kHeaderMin < bytes_max_ &&\n        ", ""),
    ("next: a record may cross the end", RING, " &&\n        at + up(bytes) <= ring_bytes()) [[likely]]", ") [[likely]]"),
    ("next: steps over the record's bytes, not its lines", RING, "      cursor_ += up(bytes);\n      return",
     "      cursor_ += bytes;\n      return"),
    # next_slowly()
    ("next_slowly: a pad may stand at the start", RING, "if (at == 0 || head.bytes()", "if (head.bytes()"),
    ("next_slowly: a pad may have any length", RING, "head.bytes() != ring_bytes() - at || violated()", "violated()"),
    ("next_slowly: a pad behind a violation", RING, " - at || violated()) return", " - at) return"),
    ("next_slowly: does not look behind the pad", RING, "      head.word = memory_.load_head(0, Order::acquire);\n", ""),
    ("next_slowly: does not step over the pad", RING, "      cursor_ += head.bytes();\n", ""),
    ("next_slowly: every size is good", RING, "if (bytes - kHeaderMin >= bytes_max_ || up(bytes)", "if (up(bytes)"),
    ("next_slowly: a record may cross the end", RING, "up(bytes) > ring_bytes() - at || !known", "!known"),
    ("next_slowly: every kind is known", RING, " || !known(head.kind_byte())) {", ") {"),
    ("next_slowly: does not step over the record", RING, "    cursor_ += up(bytes);\n    return", "    return"),
    ("known: no kind may be skipped", RING, " || (kind & kKindMayBeSkipped) != 0", ""),
    ("known: a pad is a record", RING, "kind >= static_cast<u8>(Kind::request) && kind < kKindCount",
     "kind >= static_cast<u8>(Kind::pad) && kind < kKindCount"),
    ("known: one kind too many", RING, "&& kind < kKindCount", "&& kind <= kKindCount"),
    ("Reader: a record of exactly a quarter is refused", RING, "shape.record_bytes_max() - kHeaderMin + 1",
     "shape.record_bytes_max() - kHeaderMin"),
    ("Reader: a record may be a byte above a quarter", RING, "shape.record_bytes_max() - kHeaderMin + 1",
     "shape.record_bytes_max() - kHeaderMin + 2"),
    ("Reader: released has no first value", RING,
     "    memory_.store_released(published_, Order::relaxed);  // before the link is announced: nobody reads yet\n", ""),
    ("violation: is forgotten", RING, "    bytes_max_ = 0;\n", ""),
    # release(), idle(), publish(), waiting()
    ("release: never publishes", RING, "    if (rpos_ - published_ >= ring_bytes() / 4) publish();\n", ""),
    ("release: publishes a step after the quarter", RING, "if (rpos_ - published_ >= ring_bytes() / 4)",
     "if (rpos_ - published_ > ring_bytes() / 4)"),
    ("release: publishes at once", RING, "if (rpos_ - published_ >= ring_bytes() / 4) publish();", "publish();"),
    ("release: gives back what was read ahead too", RING, "    rpos_ = end;\n", "    rpos_ = end;\n    rpos_ = cursor_;\n"),
    ("idle: does not publish", RING, "    if (rpos_ != published_) publish();\n", ""),
    ("idle: publishes old news", RING, "if (rpos_ != published_) publish();", "publish();"),
    ("publish: says what was read, not what was released", RING, "    published_ = rpos_;\n", "    published_ = cursor_;\n"),
    ("waiting: looks at the record that is held", RING, "return memory_.load_head(offset(cursor_), Order::relaxed) != 0;",
     "return memory_.load_head(offset(rpos_), Order::relaxed) != 0;"),
    ("waiting: never", RING, "return memory_.load_head(offset(cursor_), Order::relaxed) != 0;", "return false;"),
    # board.h
    ("announce_sleep: says nothing", BOARD, "memory.store_state(bits | board::asleep, Order::relaxed);",
     "memory.store_state(bits, Order::relaxed);"),
    ("announce_sleep: forgets the other bits", BOARD, "memory.store_state(bits | board::asleep, Order::relaxed);",
     "memory.store_state(board::asleep | (bits & 0), Order::relaxed);"),
    ("announce_sleep: the fence comes before the word", BOARD,
     "  memory.store_state(bits | board::asleep, Order::relaxed);\n",
     "  memory.fence(Order::seq_cst);\n  memory.store_state(bits | board::asleep, Order::relaxed);\n",
     ("  // sync(sleep): pairs with the fence in bell_wanted().\n  memory.fence(Order::seq_cst);\n", "")),
    ("announce_awake: stays asleep", BOARD, "bits & ~board::asleep", "bits"),
    ("bell_wanted: never", BOARD, "return (memory.load_state(Order::relaxed) & board::asleep) != 0;",
     "return memory.load_state(Order::relaxed) == ~u64{0};"),
    ("bell_wanted: any bit will do", BOARD, "return (memory.load_state(Order::relaxed) & board::asleep) != 0;",
     "return memory.load_state(Order::relaxed) != 0;"),
    ("bell_wanted: the fence comes after the look", BOARD,
     "  return (memory.load_state(Order::relaxed) & board::asleep) != 0;",
     "  const bool wanted = (memory.load_state(Order::relaxed) & board::asleep) != 0;\n"
     "  memory.fence(Order::seq_cst);\n  return wanted;",
     ("  // sync(sleep): pairs with the fence in announce_sleep().\n  memory.fence(Order::seq_cst);\n", "")),
]

# One step weaker. A seq_cst fence has two steps below it that are not ordered among each other.
WEAKER = {"acquire": ["relaxed"], "release": ["relaxed"], "seq_cst": ["acquire", "release"]}


class Mutant:
    def __init__(self, name, path, line, text, checks):
        self.name, self.path, self.line, self.text, self.checks = name, path, line, text, checks


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def function_at(text, at):
    """The name of the function around this place: the last line before it that opens one."""
    found = re.findall(r"^(?:  )?(?!.*\b(?:if|for|return)\b)[^/\n]*?(\w+)\([^;\n]*\)[^;\n]*\{[^}\n]*$", text[:at], re.M)
    return found[-1] if found else "?"


def replaced(source, path, name, old, new):
    if source.count(old) != 1:
        sys.exit(f"{name}: its place is no longer in {path}, or stands there twice:\n  {old}\nMend CHANGES.")
    return source.replace(old, new), source.index(old)


def make_mutants(root):
    sources = {path: open(os.path.join(root, path)).read() for path in (RING, BOARD)}
    mutants = []
    for path, source in sources.items():
        for site in re.finditer(r"Order::(acquire|release|seq_cst)\b", source):
            for order in WEAKER[site.group(1)]:
                text = source[:site.start()] + "Order::" + order + source[site.end():]
                name = f"{function_at(source, site.start())}: {site.group(1)} to {order}"
                mutants.append(Mutant(name, path, line_of(source, site.start()), text, ["relacy", "checker", "unit"]))
    for name, path, old, new, *more in CHANGES:
        text, at = replaced(sources[path], path, name, old, new)
        for old_too, new_too in more:
            text, _ = replaced(text, path, name, old_too, new_too)
        checks = ["relacy", "unit", "checker"] if "fence" in name else ["unit", "checker", "relacy"]
        mutants.append(Mutant(name, path, line_of(sources[path], at), text, checks))
    names = [mutant.name for mutant in mutants]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"two mutants are called '{name}'")
    for name in EQUIVALENT:
        if name not in names:
            sys.exit(f"EQUIVALENT lists '{name}', which is no mutant")
    return mutants


class Runner:
    SECONDS = 60  # a check that takes longer than that hangs, which also catches a mutant

    def __init__(self, options):
        self.options = options

    def compile_line(self, check, include, program):
        root = self.options.source
        # Most mutants end at their first failing test: there the compiler's time counts more than the program's.
        flags = [self.options.compiler, "-std=c++20", "-O0" if check == "unit" else "-O1", "-w", "-I", include]
        flags += ["-I", os.path.join(root, "core/ring/include"), "-I", os.path.join(root, "core/base/include")]
        if check == "unit":
            tests = os.path.join(root, "tests/ring")
            unity = os.path.join(include, "unity.cpp")
            with open(unity, "w") as file:
                for name in ("ring_test", "hostile_test", "threads_test"):
                    file.write(f'#include "{name}.cpp"\n')
            return flags + ["-I", os.path.join(root, "tests"), "-I", tests, unity, "-o", program,
                            "-lgtest", "-lgtest_main", "-lpthread"]
        source = {"checker": "checker.cpp", "relacy": "relacy_ring.cpp"}[check]
        return flags + [os.path.join(root, "tests/ring/model", source), "-o", program]

    def verdict(self, check, include):
        """What the check says about the headers in `include`: None when it passes, else how it noticed."""
        program = os.path.join(include, check)
        compiled = subprocess.run(self.compile_line(check, include, program), capture_output=True, text=True)
        if compiled.returncode != 0:
            sys.exit(f"{include} does not compile against {check}:\n{compiled.stderr[:3000]}")
        arguments = [program, "--gtest_fail_fast"] if check == "unit" else [program]
        environment = dict(os.environ, TAUT_SEED=os.environ.get("TAUT_SEED", "1"))
        try:
            ran = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=self.SECONDS,
                                 env=environment)
        except subprocess.TimeoutExpired:
            return f"{check}: does not end"
        finally:
            os.remove(program)
        if ran.returncode == 0:
            return None
        said = {"unit": r"\[  FAILED  \] ([\w/.]+)", "checker": r"WRONG: (.*)", "relacy": r"^(\S+) .*FAILED"}[check]
        found = re.search(said, ran.stdout, re.M)
        return f"{check}: {found.group(1) if found else f'ends with {ran.returncode}'}"

    def judge(self, number, mutant):
        include = os.path.join(self.options.work, f"{number:03}")
        target = os.path.join(include, mutant.path.split("/include/")[1])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write(mutant.text)
        caught = []
        for check in mutant.checks:
            verdict = self.verdict(check, include)
            if verdict is not None:
                caught.append(verdict)
                if not self.options.all:
                    break
        return caught


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="run every check on every mutant, not up to the first catch")
    parser.add_argument("--list", action="store_true", help="only print the mutants")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    mutants = make_mutants(options.source)
    if options.names:
        mutants = [mutant for mutant in mutants if mutant.name in options.names]
    if options.list:
        for mutant in mutants:
            print(f"{os.path.basename(mutant.path)}:{mutant.line}  {mutant.name}")
        return 0

    runner = Runner(options)
    unchanged = os.path.join(options.work, "unchanged")
    os.makedirs(unchanged, exist_ok=True)
    for check in ("unit", "checker", "relacy"):
        verdict = runner.verdict(check, unchanged)
        if verdict is not None:
            sys.exit(f"the ring as it is fails already: {verdict}")

    caught, equivalent, bad = 0, 0, []
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        for mutant, found in zip(mutants, pool.map(runner.judge, range(len(mutants)), mutants)):
            place = f"{os.path.basename(mutant.path)}:{mutant.line}"
            reason = EQUIVALENT.get(mutant.name)
            if found:
                caught += 1
                outcome = "caught by " + ", ".join(found)
                if reason is not None:
                    bad.append(f"{mutant.name}: is caught, so it is not equivalent; take it out of EQUIVALENT")
            elif reason is not None:
                equivalent += 1
                outcome = "survives: " + reason
            else:
                outcome = "SURVIVES"
                bad.append(f"{mutant.name}: survives; add a test that notices, or the reason to EQUIVALENT")
            print(f"{place:<13} {mutant.name:<68} {outcome}", flush=True)
    print(f"{len(mutants)} mutants: {caught} caught, {equivalent} equivalent, {len(mutants) - caught - equivalent} missed")
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
