#!/usr/bin/env python3
"""Counts the instructions of one call over loopback, exactly, and fails when there are 3% more than recorded.

    instructions.py PROGRAM BASELINE [--record]
    instructions.py PROGRAM --no-more-than OTHER   compares two programs of one build instead

Two runs under callgrind differ only in their number of calls, so the difference is what the calls cost. The figure
belongs to one compiler in one build type; another compiler's is not compared.
"""
import pathlib
import re
import shutil
import subprocess
import sys

FEW, MANY = 1000, 11000
TOLERANCE = 1.03


def instructions(*command):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)} failed under callgrind:\n{run.stderr[-2000:]}")
    return int(found.group(1))


def per_call(*command):
    return (instructions(*command, str(MANY)) - instructions(*command, str(FEW))) / (MANY - FEW)


def need_valgrind():
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        sys.exit(77)


def main():
    need_valgrind()
    program = sys.argv[1]
    cost = per_call(program)
    if sys.argv[2] == "--no-more-than":
        other = per_call(sys.argv[3])
        print(f"{cost:.1f} instructions a call; {other:.1f} of {pathlib.Path(sys.argv[3]).name}")
        sys.exit("more than the other's" if cost > other else 0)
    baseline = pathlib.Path(sys.argv[2])
    if "--record" in sys.argv:
        baseline.write_text(f"{cost:.0f}\n")
    recorded = int(baseline.read_text())
    print(f"{cost:.1f} instructions a call; {recorded} are recorded in {baseline.name}")
    if cost > recorded * TOLERANCE:
        sys.exit("more than 3% above the record: find out why, or record the new figure with --record and say why")


if __name__ == "__main__":
    main()
