"""The two back ends of examples/, as real processes: what goes in comes out once, and SIGTERM ends them cleanly.

back_ends_test.py TAUT EXAMPLES_DIR TEST...
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TAUT, EXAMPLES = sys.argv[1:3]
PATIENCE = 100  # ends a hang; no speed limit


class BackEnds(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="taut-test-")
        self.environment = dict(os.environ, TAUT_DIR=self.directory)
        self.running = []

    def tearDown(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        shutil.rmtree(self.directory)

    def start(self, program, *arguments):
        process = subprocess.Popen([f"{EXAMPLES}/{program}", *arguments], stdout=subprocess.PIPE, text=True,
                                   env=self.environment)
        self.running.append(process)
        return process

    def serve(self, program, *arguments):
        """Starts a server and waits until it says that it is ready; ctest's timeout ends a hang."""
        server = self.start(program, *arguments)
        self.assertTrue(server.stdout.readline().startswith("ready shm://"))
        return server

    def result(self, process):
        """The line of JSON that a program prints at its end, which is code 0."""
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        return json.loads(out.splitlines()[-1])

    def ask(self, service, method):
        done = subprocess.run([TAUT, "call", service, method], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def end(self, *servers):
        """SIGTERM: each drains, says 0, and leaves nothing behind."""
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=PATIENCE)
            self.assertEqual(server.returncode, 0)

    # Order gateway: traders, and a gateway that is restarted while they trade.

    def test_order_gateway(self):
        traders, orders = 3, 3000
        engine = self.serve("order_engine")
        risk = self.serve("order_risk", "shm://order-risk", "12000")
        gateway = self.serve("order_gateway")
        started = [self.start("order_trader", "shm://order-gateway?timeout=60s", str(account), str(orders))
                   for account in range(1, traders + 1)]
        for _ in range(3):  # a quarter, a half and three quarters of the first one's orders
            self.assertIn("orders", started[0].stdout.readline())
            self.end(gateway)
            gateway = self.serve("order_gateway")
        results = [self.result(trader) for trader in started]
        total = {key: sum(result[key] for result in results) for key in results[0]}
        book, limits = self.ask("order-engine", "Engine/Sum"), self.ask("order-risk", "Risk/Sum")

        self.assertEqual(total["unknown"], 0)
        self.assertEqual(total["accepted"] + total["refused"], traders * orders, "every order has one outcome")
        self.assertGreater(total["refused"], 0, "the limit was never reached: the test does not test")
        self.assertGreater(total["repeated"], 0, "no restart was met: the test does not test")
        self.assertEqual(book["orders"], total["accepted"])
        self.assertEqual(book["placed"], total["placed"])
        self.assertEqual(book["cancelled"], total["cancelled"])
        self.assertEqual(book["placed"], 2 * book["traded"] + book["resting"] + book["cancelled"])
        self.assertGreater(book["traded"], 0)
        self.assertLess(book["best_bid"], book["best_ask"], "the book is crossed")
        self.assertEqual(limits["quantity"], book["placed"] - book["cancelled"])
        self.assertEqual(limits["refused"], total["refused"])
        self.end(gateway, risk, engine)
        self.assertEqual(os.listdir(self.directory), [])

    # Game server: 200 players in four programs.

    def test_game_server(self):
        programs, players, inputs = 4, 50, 60
        server = self.serve("game_server")
        url = "shm://game?timeout=60s&inflight=4&ring=32KiB"
        started = [self.start("game_players", url, str(players), str(inputs)) for _ in range(programs)]
        for process in started:
            result = self.result(process)  # code 0: each player was where its inputs led it, after each tick
            self.assertEqual((result["players"], result["inputs"]), (players, players * inputs))
            self.assertGreater(result["seen"], 0, "nobody met anybody")
        world = self.ask("game", "Game/Look")
        self.assertEqual((world["players"], world["joined"], world["inputs"]),
                         (0, programs * players, programs * players * inputs))
        # Stopped for 12 ticks: they are missed, and not made up for.
        server.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
        time.sleep(0.2)
        server.send_signal(signal.SIGCONT)
        server.send_signal(signal.SIGTERM)
        result = self.result(server)
        self.assertEqual(result["inputs"], programs * players * inputs)
        self.assertGreaterEqual(result["ticks"], inputs, "one input of a player a tick")
        self.assertTrue(1 <= result["late"] <= result["ticks"], result)
        self.assertGreaterEqual(result["skipped"], 11)
        self.assertGreaterEqual(result["worst_us"], 180_000)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *("BackEnds." + test for test in sys.argv[3:])])
