#!/usr/bin/env python3
"""Holds what a call costs that a coroutine awaits, in instructions, against the same call with a callback.

    awaited_instructions.py PROGRAM COROUTINE_MAX TASKS_MAX

The maxima are ratios: of one coroutine that awaits call behind call, and of a task for each call.
"""
import sys

import instructions


def main():
    program, most = sys.argv[1], {"coroutine": float(sys.argv[2]), "tasks": float(sys.argv[3])}
    instructions.need_valgrind()
    callback = instructions.per_call(program, "callbacks")
    print(f"callback: {callback:.1f} instructions a call")
    over = []
    for way, limit in most.items():
        cost = instructions.per_call(program, way)
        print(f"{way}: {cost:.1f}, {cost / callback:.3f} times a callback's; at most {limit}")
        if cost > limit * callback:
            over.append(way)
    if over:
        sys.exit(f"more than it may cost: {', '.join(over)}")


if __name__ == "__main__":
    main()
