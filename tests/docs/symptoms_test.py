#!/usr/bin/env python3
"""What docs/symptoms.md quotes is what the programs say.

  symptoms_test.py SOURCE_DIR

A quoted text is the first cell of a table's row, in backticks. Its parts between `...` must each stand, in this order,
in one text of the sources: literals that follow each other are one text, and what is formatted into it is a hole.
Tables whose first column is not headed `what is said` are not looked at.
"""
import pathlib
import re
import sys

FOLDERS = ("core", "transports", "schemas/generator", "schemas/stubs", "tools", "cmake")
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
# printf's, fmt's, the generator's and CMake's; and where C++ adds a variable between two literals.
HOLE = re.compile(r"%(?:\.\*)?[-+0#]?[\d.]*(?:ll|z|l)?[a-zA-Z]|%$|\{[^{}]*\}|\$\{?\w*\}?")
HARMLESS = {"nodiscard"}  # the compiler's word, not ours


def texts(root):
    """All literals of the sources, each with its neighbours, holes as one odd character."""
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix not in (".h", ".cpp", ".cmake"):
                continue
            source = re.sub(r'"\s*\n?\s*"', "", path.read_text())  # "one" "text"
            # quoted() and `+ value +` between two literals are holes too.
            source = re.sub(r'"\s*\+[^;"]*?\+\s*"', "\0", source)
            for literal in LITERAL.findall(source):
                yield HOLE.sub("\0", literal.replace('\\"', '"'))


def quotes(page):
    said = False
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if not line.startswith("|"):
            said = False
        elif cells[0] == "what is said":
            said = True
        elif said:
            yield from re.findall(r"`([^`]+)`", cells[0])


def found(quote, sources):
    parts = [re.escape(part) for part in re.split(r"\.\.\.", quote)]
    pattern = re.compile("[^\0]*\0[^\0]*?".join(parts) if len(parts) > 1 else parts[0])
    return any(pattern.search(text) for text in sources)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    sources = list(texts(root))
    quoted = [quote for quote in quotes(root / "docs/symptoms.md") if quote not in HARMLESS]
    wrong = [quote for quote in quoted if not found(quote, sources)]
    for quote in wrong:
        print(f"docs/symptoms.md: no program says: {quote}")
    print(f"{len(quoted)} quoted texts, {len(wrong)} that nobody says")
    return 1 if wrong or not quoted else 0


if __name__ == "__main__":
    sys.exit(main())
