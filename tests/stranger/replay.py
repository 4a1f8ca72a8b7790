#!/usr/bin/env python3
"""docs/tour.md, exactly as printed: its files written, its commands run in one shell, what they print held against it.

  replay.py PAGE PREFIX WORK_DIR

A line in front of a fenced block says what the block is:

  <!-- file: NAME -->                  a whole file
  <!-- edit: NAME: "TEXT" -->          stands in that file in place of TEXT, which is there once
  <!-- prints nothing of interest -->  commands that only have to succeed
  <!-- not run: REASON -->             for readers alone

A block of sh without such a line is run; the block behind it is what it prints, and no more, or with the line
<!-- among others --> a part of it. Programs in the background print when they like, so lines may come in any order.
Numbers of three digits and more, and runs of spaces, may differ.
"""
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading

PATIENCE_S = 240  # a watchdog, not a speed limit
BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


def steps(page):
    """Pairs of what to do and with what: ('file', name, text), ('edit', name, old, new), ('run', commands, prints, all)."""
    blocks = BLOCK.findall(page.read_text())
    done = []
    while blocks:
        note, language, text = blocks.pop(0)
        if note.startswith("file: "):
            done.append(("file", note.removeprefix("file: "), text))
        elif note.startswith("edit: "):
            name, old = re.fullmatch(r'edit: (\S+): "(.*)"', note).groups()
            done.append(("edit", name, old.replace("\\n", "\n").replace('\\"', '"'), text.removesuffix("\n")))
        elif note.startswith("not run"):
            continue
        elif note == "prints nothing of interest":
            done.append(("run", text, None, True))
        elif language == "sh" and not note and blocks and blocks[0][0] in ("", "among others"):
            note, _, prints = blocks.pop(0)
            done.append(("run", text, prints.splitlines(), not note))
        else:
            sys.exit(f"{page}: a block that this test does not understand, behind '{note}':\n{text}")
    return done


def alike(lines):
    """As they are compared: process ids and the width of columns differ from run to run, fingerprints with the format."""
    varies = re.compile(r"(?:0x|\b)[0-9a-f]{16}\b|\d{3,}|(?<=pid )\d+|(?<=process )\d+|(?<=live)( +)\d+")
    return sorted(re.sub(r" +", " ", varies.sub("N", line)).strip() for line in lines)


def as_written(seen, prints, everything):
    if everything:
        return alike(seen) == alike(prints)
    number = re.compile(r"\b[0-9a-f]*\d[0-9a-f.]*( [num]?s)?\b")  # call ids are hexadecimal, ages have a unit
    seen, prints = ({number.sub("N", line) for line in alike(lines)} for lines in (seen, prints))
    return prints <= seen


class Shell:
    """One bash for the whole page, so that variables and background jobs live on."""

    def __init__(self, folder, environment):
        self.bash = subprocess.Popen(["bash"], cwd=folder, env=environment, text=True, bufsize=1, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.bash.stdout:
            # What bash itself says of a job that was killed.
            if not re.match(r"(bash: )?line \d+: +\d+ (Killed|Terminated)|bash: line \d+: +\d+ ", line):
                self.lines.put(line.rstrip("\n"))

    def run(self, commands, wanted):
        """What was printed until the commands were over and `wanted` lines were there; and the last exit code."""
        self.bash.stdin.write(f"{commands}\necho \"[over $?]\"\n")
        seen, code = [], None
        while code is None or len(seen) < wanted:
            try:
                line = self.lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                return seen + ["(and then nothing more)"], code
            over = re.search(r"\[over (\d+)\]$", line)
            if over:
                code = int(over.group(1))
            else:
                seen.append(line)
        return seen, code

    def end(self):
        os.killpg(self.bash.pid, 9)  # its own session: nothing else is in it
        self.bash.wait()


def play(step, folder, shell):
    """None, or what went wrong."""
    kind, *rest = step
    if kind == "file":
        name, text = rest
        (folder / name).write_text(text)
    elif kind == "edit":
        name, old, new = rest
        text = (folder / name).read_text()
        if text.count(old) != 1:
            return f"{name} holds {old!r} {text.count(old)} times"
        (folder / name).write_text(text.replace(old, new))
    else:
        commands, prints, everything = rest
        seen, code = shell.run(commands, len(prints or ()))
        if prints is None and code != 0:
            return f"{commands}ended with {code}:\n" + "\n".join(seen)
        if prints is not None and not as_written(seen, prints, everything):
            return f"{commands}--- printed\n" + "\n".join(seen) + "\n--- the page says\n" + "\n".join(prints)
    return None


def main():
    page, prefix, work = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(work, ignore_errors=True)
    folder = work / "empty"
    folder.mkdir(parents=True)
    (work / "taut").symlink_to(prefix)  # $HOME/taut, where the page has it
    everything = steps(page)
    # A short path: a socket's address holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="taut-tour-") as directory:
        shell = Shell(folder, {"CCACHE_DIR": os.path.expanduser("~/.cache/ccache"), **os.environ, "HOME": str(work),
                               "TAUT_DIR": directory})
        try:
            for number, step in enumerate(everything, 1):
                wrong = play(step, folder, shell)
                if wrong:
                    sys.exit(f"{page}, step {number} of {len(everything)}: {wrong}")
        finally:
            shell.end()
    print(f"{len(everything)} steps as {page.name} says")


if __name__ == "__main__":
    main()
