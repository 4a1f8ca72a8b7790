"""Sums up what ctest left in some build folders: how much ran, what was skipped and why, what failed.

usage: test_summary.py MODE SECONDS BUILD_FOLDER...
Exit code 0 when something ran and nothing failed. A folder without results counts as one failure: its build failed.
"""

import collections
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

Preset = collections.namedtuple("Preset", "name passed failed skipped left_out")


def skip_reason(output):
    """GoogleTest prints the reason between 'Skipped' and its mark; of other programs the last line counts."""
    said = re.search(r": Skipped\n(.*?)\n*\[  SKIPPED \]", output, re.DOTALL)
    if said:
        return " ".join(said.group(1).split()) or "no reason given"
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason given"


def read_preset(folder):
    name = os.path.basename(folder)
    passed, failed, skipped = 0, [], []
    try:
        cases = ElementTree.parse(os.path.join(folder, "test_results.xml")).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError):
        return Preset(name, 0, ["(no results: it could not be configured, built or run)"], [], 0)
    for case in cases:
        if case.get("status") == "run":
            passed += 1
        elif case.get("status") == "disabled":
            skipped.append((case.get("name"), "disabled in its source"))
        elif case.find("skipped") is not None and "SKIP_" in case.find("skipped").get("message", ""):
            skipped.append((case.get("name"), skip_reason(case.findtext("system-out", ""))))
        else:  # failed, timed out, or its program is not there
            failed.append(case.get("name"))
    exit_code = find_number(folder, "test_exit_code.txt", r"(\d+)")
    if exit_code != 0 and not failed:
        failed.append(f"(ctest itself ended with code {exit_code}; its words are above)")
    return Preset(name, passed, failed, skipped, find_number(folder, "test_left_out.txt", r"Total Tests: (\d+)"))


def find_number(folder, name, pattern):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return int(re.search(pattern, file.read()).group(1))
    except (OSError, AttributeError):
        return 0


def print_skips(presets, mode):
    by_reason = collections.defaultdict(list)
    for preset in presets:
        for test, reason in preset.skipped:
            by_reason[reason].append(f"{test} ({preset.name})")
    for reason, tests in sorted(by_reason.items()):
        print(f"skipped: {reason}")
        for test in tests:
            print(f"    {test}")
    for preset in presets:
        if preset.left_out:
            print(f"skipped: {preset.left_out} slow tests in {preset.name}; ./tools/test --all runs them")
    if mode == "quick":
        print("not run: the address and undefined-behaviour sanitizers (dev); ./tools/test runs them")
    if mode != "all":
        print("not run: the thread sanitizer (tsan); ./tools/test --all runs it")


def main():
    mode, seconds, folders = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    presets = [read_preset(folder) for folder in folders]
    print()
    print_skips(presets, mode)
    for preset in presets:
        for test in preset.failed:
            print(f"FAILED: {test} ({preset.name})")
    if any(preset.failed for preset in presets):
        print("to run only those again: ctest --preset NAME --rerun-failed, with the name in brackets")
    passed = sum(preset.passed for preset in presets)
    failed = sum(len(preset.failed) for preset in presets)
    skipped = sum(len(preset.skipped) + preset.left_out for preset in presets)
    each = ", ".join(f"{preset.name} {preset.passed + len(preset.failed)}" for preset in presets)
    print(f"{passed + failed} tests ran ({each}) in {seconds // 60} min {seconds % 60} s")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
