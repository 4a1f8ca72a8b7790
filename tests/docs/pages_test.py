#!/usr/bin/env python3
"""What the pages name must be there.

  pages_test.py SOURCE_DIR

- Every relative link of README.md, CHANGELOG.md and docs/ leads to a file or folder, and its #part to a heading.
- Every path in backticks, as core/ring or ring.h or taut/taut.h, is a file or folder of the tree, or the end of one.
- Every test in backticks, as Suite.Name, is a test.
- A block behind <!-- from: PAGE --> stands in that page, which tests its code.
- Every decision is numbered once.
- Every row of docs/threat-model.md's tables names a test, and the tests that it names are there.
- README.md's table of URL options and options.cpp name the same options, and docs/embedding.md's table of CMake options
  and the CMakeLists.txt of the root.
"""
import pathlib
import re
import shutil
import subprocess
import sys

# The top level of the tree, and how files end that pages may name.
FOLDERS = ("core", "transports", "testing", "schemas", "bench", "tools", "tests", "examples", "docs", "cmake", "health")
ENDINGS = (".h", ".cpp", ".py", ".md", ".txt", ".sh", ".cmake", ".json", ".in")
# The services of the README and of docs/tour.md, and what generators make.
MADE = {"prices.fbs", "server.cpp", "client.cpp", "prices.taut.h", "weather.fbs", "watch.cpp", "orders.taut.h", "orders_generated.h"}


def tracked_files(root):
    """All files of the tree, also where it is no git clone."""
    if shutil.which("git"):
        listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
                                capture_output=True, text=True, check=False)
        if listed.returncode == 0 and listed.stdout:
            return [line for line in listed.stdout.splitlines() if (root / line).exists()]
    return [str(path.relative_to(root)) for path in root.rglob("*")
            if path.is_file() and path.relative_to(root).parts[0] not in ("build", ".git")]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def headings(text):
    """As links name them: small letters, spaces to hyphens, nothing but letters, digits, hyphens."""
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-")
            for line in re.findall(r"^#+ (.+)$", without_code(text), re.M)}


def wrong_links(page, text):
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        leads_to = page.parent / path if path else page
        if not leads_to.exists():
            yield f"the link to {target} leads nowhere"
        elif part and part not in headings(leads_to.read_text()):
            yield f"the link to {target}: no such heading"


def wrong_paths(text, files):
    folders = {str(parent) for name in files for parent in pathlib.PurePath(name).parents}
    ends = {"/".join(parts[i:]) for parts in (pathlib.PurePath(name).parts for name in files) for i in range(len(parts))}
    for token in re.findall(r"`([^`\n]+)`", without_code(text)):
        name = token.strip("<>").removeprefix("./").rstrip("/")
        looks_like_path = re.fullmatch(r"[\w.\-/]+", name) and (
            name.endswith(ENDINGS) or name.split("/")[0] in FOLDERS and "/" in token)
        if looks_like_path and name not in MADE and name not in ends and name not in folders:
            yield f"`{token}` is no file or folder of the tree"


def lists_of_tests(root):
    return "\n".join(path.read_text() for path in (root / "tests").rglob("CMakeLists.txt"))


def wrong_excerpts(root, text):
    for source, block in re.findall(r"^<!-- from: (\S+) -->\n```\w*\n(.*?)^```", text, re.M | re.S):
        if block not in (root / source).read_text():
            yield f"{source} does not hold the block that begins with: {block.splitlines()[0]}"


def tests_of(root):
    """The names of each suite."""
    suites = {}
    for path in (root / "tests").rglob("*.cpp"):
        for suite, name in re.findall(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+),\s*(\w+)\)", path.read_text(), re.M):
            suites.setdefault(suite, set()).add(name)
    # One source that is compiled under several names.
    for suite in re.findall(r"TAUT_SUITE=(\w+)", lists_of_tests(root)):
        suites.setdefault(suite, set()).update(suites.get("TAUT_SUITE", ()))
    return suites


def wrong_tests(text, suites):
    for suite, name in re.findall(r"`(\w+)\.(\w+)`", without_code(text)):
        if suite in suites and name not in suites[suite]:
            yield f"`{suite}.{name}` is no test"


def wrong_options(root):
    code = set(re.findall(r'name == "(\w+)"', (root / "core/rpc/src/options.cpp").read_text()))
    readme = (root / "README.md").read_text()
    table = set(re.findall(r"^\| `(\w+)` \|", readme, re.M))
    for name in sorted(code - table):
        yield f"README.md does not list the URL option {name}"
    for name in sorted(table - code):
        yield f"README.md lists the URL option {name}, which options.cpp does not know"
    for url in re.findall(r"\w+://[\w.\-]+\?([\w=&.]+)", readme):
        for option in url.split("&"):
            if option.partition("=")[0] not in code:
                yield f"README.md has a URL with the option {option}, which options.cpp does not know"
    if not code:
        yield "no option was found in options.cpp: this test must learn how it names them"


def wrong_threats(root, suites):
    known = {f"{suite}.{name}" for suite, names in suites.items() for name in names}
    known |= set(re.findall(r"taut_add_script_test\((\S+)", lists_of_tests(root)))
    rows = re.findall(r"^\| (?!defended|---)(.+?) \| (.*) \|$", (root / "docs/threat-model.md").read_text(), re.M)
    if len(rows) < 10:
        yield "docs/threat-model.md: its tables were not found: this test must learn how they look"
    for sentence, tests in rows:
        named = re.findall(r"`([\w.]+)`", tests)
        if not named:
            yield f"docs/threat-model.md: no test holds '{sentence}'"
        for name in named:
            if name not in known:
                yield f"docs/threat-model.md: there is no test {name}"


def wrong_cmake_options(root):
    code = set(re.findall(r"^option\((TAUT_\w+)", (root / "CMakeLists.txt").read_text(), re.M))
    table = set(re.findall(r"^\| `(TAUT_\w+)` \|", (root / "docs/embedding.md").read_text(), re.M))
    yield from (f"docs/embedding.md does not list the option {name}" for name in sorted(code - table))
    yield from (f"docs/embedding.md lists {name}, which is no option of CMakeLists.txt" for name in sorted(table - code))


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = tracked_files(root)
    pages = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    suites = tests_of(root)
    wrong = [*wrong_options(root), *wrong_cmake_options(root), *wrong_threats(root, suites)]
    for page in pages:
        text = page.read_text()
        found = (*wrong_links(page, text), *wrong_paths(text, files), *wrong_tests(text, suites),
                 *wrong_excerpts(root, text))
        wrong += [f"{page.relative_to(root)}: {what}" for what in found]
    numbers = [path.name[:4] for path in (root / "docs/decisions").glob("*.md")]
    wrong += [f"docs/decisions: {number} is there twice" for number in sorted(set(numbers)) if numbers.count(number) > 1]
    for line in wrong:
        print(line)
    print(f"{len(pages)} pages, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
