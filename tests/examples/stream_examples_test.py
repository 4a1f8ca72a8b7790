"""The examples of streams and coroutines, as real processes that are stopped, killed, cancelled and too slow.

stream_examples_test.py TAUT EXAMPLES_DIR TEST...
"""
import os
import signal
import subprocess
import sys
import time
import unittest

import back_ends_test
from back_ends_test import EXAMPLES, PATIENCE, TAUT

CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 64 + 1, 64 + 4, 64 + 8, 64 + 14


class StreamExamples(back_ends_test.BackEnds):
    def until(self, holds):
        """Asks again and again; each question is a process of its own, so nobody spins."""
        last = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), last, "this never came")

    def ends(self, process, code):
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, code)

    def stop(self, process):
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)

    # Market data: a watcher that is stopped, one that is killed, and three that miss nothing.

    def watch(self, symbol, last, when_slow, credit):
        watcher = self.start("market_watch", "shm://market", symbol, str(last), when_slow, str(credit))
        self.assertEqual(watcher.stdout.readline(), "watching from 0\n")
        return watcher

    def test_market_data(self):
        last = 3000
        feed = self.serve("market_feed")
        steady = [self.watch("AAPL", last, "send_away", 4096) for _ in range(3)]
        slow = self.watch("AAPL", last, "newest", 8)
        too_slow = self.watch("AAPL", last, "send_away", 8)
        killed = self.watch("AAPL", last, "newest", 8)
        other = self.watch("MSFT", last, "newest", 8)
        self.assertEqual(self.ask("market", "Feed/Sum")["watchers"], 7)
        killed.kill()
        self.until(lambda: self.ask("market", "Feed/Sum")["watchers"] == 6)

        self.stop(slow)
        self.stop(too_slow)
        source = self.start("market_source", "shm://market", "AAPL", str(last), "3000")
        self.ends(source, 0)
        for watcher in steady:
            self.assertEqual(self.result(watcher), {"ticks": last + 1, "last": last, "gaps": 0, "missed": 0})
        totals = self.ask("market", "Feed/Sum")
        self.assertEqual((totals["ticks"], totals["behind"], totals["fell_behind"], totals["sent_away"]),
                         (last, 1, 2, 1))

        slow.send_signal(signal.SIGCONT)
        result = self.result(slow)
        self.assertEqual((result["last"], result["gaps"]), (last, 1), "behind its credit it gets the newest tick")
        self.assertEqual(result["ticks"] + result["missed"], last + 1, "every tick was seen, or shows as missed")
        too_slow.send_signal(signal.SIGCONT)
        self.ends(too_slow, RESOURCE_EXHAUSTED)
        self.until(lambda: self.ask("market", "Feed/Sum")["watchers"] == 1)
        self.end(feed)
        self.assertEqual(self.result(other)["last"], 0)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("StreamExamples." + test for test in sys.argv[3:])])
