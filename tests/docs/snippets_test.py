#!/usr/bin/env python3
"""Code that a page shows is code that a test compiles and runs.

  snippets_test.py SOURCE_DIR

Above each block that is checked stands a comment: <!-- from tests/examples/greeter_test.cpp -->. The block must be in
that file, line by line.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r"^<!-- from (\S+) -->\n```\w*\n(.*?)^```", re.M | re.S)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    wrong = []
    checked = 0
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = page.read_text()
        blocks = BLOCK.findall(text)
        if len(blocks) != text.count("<!-- from "):
            wrong.append(f"{page.relative_to(root)}: a comment without a block directly below it")
        for name, block in blocks:
            checked += 1
            if not (root / name).is_file() or block not in (root / name).read_text():
                wrong.append(f"{page.relative_to(root)}: this block is not in {name}:\n{block}")
    for line in wrong:
        print(line)
    print(f"{checked} blocks, {len(wrong)} wrong")
    return 1 if wrong or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
