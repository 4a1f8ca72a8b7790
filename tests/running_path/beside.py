#!/usr/bin/env python3
"""What metadata, traces and interceptors cost a call over loopback, in instructions, exactly.

    beside.py PROGRAM

Prints a line each, and fails when one costs more than half of a plain call on top of it: each is a detour of less than a
thousand instructions on both sides together. What unused ones cost is in the
record of instructions.py.
"""
import re
import shutil
import subprocess
import sys

FEW, MANY = 1000, 6000
WHAT = ("plain", "metadata", "trace", "interceptors")
AT_MOST = 1.5


def instructions(program, what, calls):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, what, str(calls)],
        capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{program} {what} {calls} failed under callgrind:\n{run.stderr[-2000:]}")
    return int(found.group(1))


def main():
    program = sys.argv[1]
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        sys.exit(77)
    cost = {what: (instructions(program, what, MANY) - instructions(program, what, FEW)) / (MANY - FEW) for what in WHAT}
    for what in WHAT:
        print(f"{what:12} {cost[what]:7.1f} instructions a call, {cost[what] - cost['plain']:+7.1f}")
    dear = [what for what in WHAT if cost[what] > cost["plain"] * AT_MOST]
    if dear:
        sys.exit(f"more than half of a call on top of it: {', '.join(dear)}")


main()
