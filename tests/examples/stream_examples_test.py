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

    # Chat: everybody hears the same in the same order, also who leaves by being killed.

    def join(self, room, name):
        member = subprocess.Popen([f"{EXAMPLES}/chat_client", "shm://chat", room, name], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, env=self.environment)
        self.running.append(member)
        self.assertEqual(self.hear(member, f"{name} joined")[-1].split(" ", 1)[1], f"{name} joined\n")
        return member

    def hear(self, member, what):
        """What a member hears up to `what`; ctest's timeout ends a hang."""
        heard = []
        for line in member.stdout:
            heard.append(line)
            if line.split(" ", 1)[1] == what + "\n":
                return heard
        self.fail(f"the chat ended before '{what}': {heard}")

    def say(self, member, *lines):
        member.stdin.write("".join(line + "\n" for line in lines))
        member.stdin.flush()

    def test_chat(self):
        server = self.serve("chat_server")
        ada, bob, eve = (self.join("lobby", name) for name in ("ada", "bob", "eve"))
        zoe = self.join("garden", "zoe")
        for member in ada, bob:
            self.hear(member, "eve joined")
        self.assertEqual(self.ask("chat", "Chat/Sum"), {"members": 4, "rooms": 2})

        lines = 50  # of each: all together are fewer than a member's credit, so nobody can be too slow
        for member, name in (ada, "ada"), (bob, "bob"):
            self.say(member, *(f"{name} {i}" for i in range(lines)), "that is all")
        heard = [self.hear(member, "ada: that is all") for member in (ada, bob, eve)]
        rest = "bob: that is all"
        if not any(line.endswith(rest + "\n") for line in heard[0]):
            heard = [before + self.hear(member, rest) for before, member in zip(heard, (ada, bob, eve))]
        self.assertEqual(heard[0], heard[1], "everybody hears the same in the same order")
        self.assertEqual(heard[0], heard[2])
        self.assertEqual([int(line.split()[0]) for line in heard[0]], list(range(4, 4 + len(heard[0]))))
        for name in "ada", "bob":
            said = [line.split(": ", 1)[1] for line in heard[0] if line.split(" ", 1)[1].startswith(name + ":")]
            self.assertEqual(said, [f"{name} {i}\n" for i in range(lines)] + ["that is all\n"])

        eve.kill()
        for member in ada, bob:
            self.assertEqual(len(self.hear(member, "eve left")), 1)

        dan = self.join("lobby", "dan")
        self.stop(dan)
        heard = []
        for i in range(6):  # the others read along; dan's credit ends
            self.say(ada, *["more"] * lines, f"round {i}")
            self.hear(ada, f"ada: round {i}")
            heard += self.hear(bob, f"ada: round {i}")
        self.until(lambda: self.ask("chat", "Chat/Sum")["members"] == 3)
        dan.send_signal(signal.SIGCONT)
        self.ends(dan, RESOURCE_EXHAUSTED)

        self.ends(ada, 0)  # closes its stdin, which says good-bye
        heard += self.hear(bob, "ada left")
        self.assertTrue(any(line.endswith(" dan left\n") for line in heard))
        self.say(zoe, "nobody here")
        self.assertEqual(self.hear(zoe, "zoe: nobody here"), ["2 zoe: nobody here\n"], "rooms do not hear each other")
        self.end(server)
        for member in bob, zoe:
            self.ends(member, 0)
        self.assertEqual(os.listdir(self.directory), [])

    # Pipeline: a task that asks two other processes, whose caller waits, gives up, dies, and has a deadline.

    def set_price(self, article, cents):
        subprocess.run([TAUT, "call", "shop-prices", "Prices/Set", str(article), str(cents)], check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE, env=self.environment)

    def until_prices(self, waiting, cancelled):
        self.until(lambda: self.ask("shop-prices", "Prices/Sum") == {"waiting": waiting, "cancelled": cancelled})

    def test_pipeline(self):
        catalog, prices = self.serve("shop_catalog"), self.serve("shop_prices")
        shop = self.serve("shop_shop")

        self.set_price(11, 250)
        buyer = self.start("shop_buyer", "shm://shop", "lamp")
        self.assertEqual([buyer.stdout.readline() for _ in range(2)], ["asked\n", "11 costs 2.50\n"])
        self.until_prices(waiting=2, cancelled=0)  # both at once, although the first is not answered
        self.set_price(13, 1305)
        self.set_price(12, 99)
        out, _ = buyer.communicate(timeout=PATIENCE)
        self.assertEqual((out, buyer.returncode), ("12 costs 0.99\n13 costs 13.05\n", 0))

        buyer = self.start("shop_buyer", "shm://shop", "chair")
        self.until_prices(waiting=2, cancelled=0)
        buyer.send_signal(signal.SIGINT)
        self.ends(buyer, CANCELLED)
        self.until_prices(waiting=0, cancelled=2)

        buyer = self.start("shop_buyer", "shm://shop", "chair")
        self.until_prices(waiting=2, cancelled=2)
        buyer.kill()
        self.until_prices(waiting=0, cancelled=4)

        self.ends(self.start("shop_buyer", "shm://shop", "chair", "1000"), DEADLINE_EXCEEDED)
        self.until_prices(waiting=0, cancelled=6)

        buyer = self.start("shop_buyer", "shm://shop", "chair")
        self.until_prices(waiting=2, cancelled=6)
        prices.kill()
        self.ends(buyer, UNAVAILABLE)

        prices = self.serve("shop_prices")
        self.set_price(21, 100)
        self.set_price(22, 200)

        def bought():
            again = self.start("shop_buyer", "shm://shop", "chair")
            out, _ = again.communicate(timeout=PATIENCE)
            return (out, again.returncode) == ("asked\n21 costs 1.00\n22 costs 2.00\n", 0)
        self.until(bought)  # the shop's link finds the new process by itself
        self.end(shop, prices, catalog)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("StreamExamples." + test for test in sys.argv[3:])])
