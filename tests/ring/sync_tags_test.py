#!/usr/bin/env python3
"""Ordering in core/ and transports/ comes in named pairs, and no order is a default.

  sync_tags_test.py SOURCE_DIR

- Every sync(tag) stands at least twice in the code, so that searching for it finds the partners.
- Every sync(tag) has its section "## tag" in docs/memory-model.md, and every section has its tag or is named below.
- Every load, store and read-modify-write of an atomic names its order, and no atomic is used through an operator.
"""
import pathlib
import re
import sys

# The writing half exists, the reading half does not yet. A partner that comes makes its line here an error.
PARTNER_TO_COME = {}
# Sections about words that are ordered without a pair.
SECTIONS_WITHOUT_TAG = {"taken"}

CALL = re.compile(r"(?:\.|->)(load|store|exchange|fetch_\w+|compare_exchange_\w+|test_and_set)\(")
DECLARED = re.compile(r"(?:std::atomic(?:_ref)?(?:<[^;={}()]*>|_\w+)|\bSharedWord)\s+(\w+)\s*[;{=]")


def sources(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                yield path, path.read_text()


def arguments(text, opening):
    depth, at = 1, opening + 1
    while depth != 0 and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return text[opening + 1:at - 1]


def without_comments(text):
    return re.sub(r"//[^\n]*", lambda comment: " " * len(comment.group()), text)


def main():
    root = pathlib.Path(sys.argv[1])
    wrong = []
    places = {}
    # The partner of a tag may stand in a test or a tool; what a tag means is decided in core/ and transports/.
    for path, text in sources(root, "core", "transports", "tools", "tests"):
        for found in re.finditer(r"sync\(([\w-]+)\)", text):
            line = text.count("\n", 0, found.start()) + 1
            places.setdefault(found.group(1), []).append(f"{path.relative_to(root)}:{line}")
    ours = {tag for tag, where in places.items() if any(place.startswith(("core/", "transports/")) for place in where)}
    document = root / "docs/memory-model.md"
    sections = set(re.findall(r"^## ([\w-]+)$", document.read_text(), re.M)) if document.exists() else set()
    for tag in sorted(ours):
        if len(places[tag]) < 2 and tag not in PARTNER_TO_COME:
            wrong.append(f"{places[tag][0]}: sync({tag}) stands alone: write the tag at its partner too")
        if len(places[tag]) > 1 and tag in PARTNER_TO_COME:
            wrong.append(f"sync({tag}) has its partner now: take it out of PARTNER_TO_COME")
        if tag not in sections:
            wrong.append(f"{places[tag][0]}: docs/memory-model.md has no section '## {tag}'")
    for section in sorted(sections - ours - SECTIONS_WITHOUT_TAG):
        wrong.append(f"docs/memory-model.md: the section '## {section}' is about a tag that no code has")

    accesses = 0
    for path, text in sources(root, "core", "transports"):
        code = without_comments(text)
        place = lambda at: f"{path.relative_to(root)}:{code.count(chr(10), 0, at) + 1}"
        atomics = set(DECLARED.findall(code))
        if "<atomic>" in code or "SharedWord" in code or "atomic_ref" in code or ".load(" in code:
            for call in CALL.finditer(code):
                given = arguments(code, call.end() - 1)
                accesses += 1
                if "order" not in given.lower():
                    wrong.append(f"{place(call.start())}: {call.group(1)}({given}) names no order: seq_cst by habit")
        for name in atomics:
            for use in re.finditer(rf"(?:\+\+|--)\s*{name}\b|(?<![\w.>]){name}\s*(?:\+\+|--|[-+|&^]?=(?!=))", code):
                if not re.search(rf"(?:atomic[^;]*|SharedWord\s+){name}\s*=?$", code[:use.end()].rsplit("\n", 1)[-1]):
                    wrong.append(f"{place(use.start())}: '{use.group()}' is seq_cst by habit: call the function, name the order")

    if accesses == 0:
        wrong.append("no access of an atomic was found: this test looks in the wrong place")
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{len(ours)} tags in pairs, {accesses} accesses that name their order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
