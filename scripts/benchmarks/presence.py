"""What presence costs: `scripts/python scripts/benchmarks/presence.py [--clients N] [--restaurants N] [--gateways N]`.

Clients look at floor plans, and move to another one now and then, at first without asking who is there, then asking,
and so in turn, each time with new gateways. What is counted is the processor time of the gateways, all threads
included; what presence costs is the difference, and it is compared with clients that move just as often.
"""

import argparse
import json
import os
import random
import socket
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from select import EPOLLIN, epoll
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.gateway import free_port, serving
from load.wire import handshake, masked

from benchmarks.servers import raise_limit

SETTLE = 8.0
"""Seconds after the last handshake before anything is counted."""

CONNECTED_AT_ONCE = 100

SETTINGS = {"LOG_LEVEL": "error", "MAX_CONNECTIONS": "19000", "PING_INTERVAL": "3600"}
"""The clients answer no ping: those that do not move for long would be dropped."""


class Viewers:
    """Clients on `ports`, evenly; each looks at one of so many floor plans."""

    def __init__(self, count, ports, restaurants, *, asks):
        self.received = 0
        self.asks = asks
        self._restaurants = restaurants
        self._draw = random.Random(7)
        self._epoll = epoll()
        self._sockets = []
        self._at = []
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", ports[number % len(ports)]))
            connection.sendall(handshake("gateway", "/ws"))
            connection.setblocking(False)
            self._epoll.register(connection.fileno(), EPOLLIN)
            self._sockets.append(connection)
            self._at.append(None)
            if number % CONNECTED_AT_ONCE == 0:
                self.read(0.02)

    def read(self, seconds):
        """Read what comes for so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for number, _ in self._epoll.poll(left):
                with suppress(BlockingIOError):
                    data = os.read(number, 1 << 18)
                    self.received += data.count(b'"type":"presence"')

    def move(self, number):
        """Move a client to another floor plan."""
        connection = self._sockets[number]
        if self._at[number] is not None:
            self._say(connection, {"type": "unsubscribe", "channel": self._at[number]})
        self._at[number] = f"restaurant:r{self._draw.randrange(self._restaurants)}:tables"
        message = {"type": "subscribe", "channel": self._at[number]}
        self._say(connection, {**message, "presence": True} if self.asks else message)

    def move_some(self, seconds, each_second):
        """Move clients for so many seconds, so many in each."""
        steps = round(seconds * 20)
        began = time.monotonic()
        due = 0.0
        for step in range(1, steps + 1):
            due += each_second / 20
            while due >= 1:
                self.move(self._draw.randrange(len(self._sockets)))
                due -= 1
            self.read(max(0.0, began + step / 20 - time.monotonic()))

    @staticmethod
    def _say(connection, message):
        connection.sendall(masked(json.dumps(message).encode()))

    def close(self):
        """Leave."""
        for connection in self._sockets:
            connection.close()
        self._epoll.close()


def metric(ports, name):
    """Return the sum of a metric over gateways."""
    total = 0.0
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name):
                    total += float(line.rpartition(" ")[2])
    return total


def measured(arguments, *, asks):
    """Return the share of a core that the gateways take, and the messages about presence a second."""
    with ExitStack() as stack:
        log = {"KAFKA_BROKERS": arguments.kafka} if arguments.kafka else {}
        gateways = []
        for _ in range(arguments.gateways):
            gateways.append(stack.enter_context(serving(**log, **SETTINGS, STATE_DIR=f"state-{free_port()}")))
            log.setdefault("EVENT_LOG_FILE", gateways[0][1]["EVENT_LOG_FILE"])
        ports = [int(settings["PORT"]) for _, settings in gateways]
        viewers = Viewers(arguments.clients, ports, arguments.restaurants, asks=asks)
        stack.callback(viewers.close)
        for number in range(arguments.clients):
            viewers.move(number)
            if number % CONNECTED_AT_ONCE == 0:
                viewers.read(0.05)
        viewers.move_some(SETTLE, arguments.moves)
        name = "mesaya_presence_messages_sent_total"
        cpu, sent, began = sum(gateway.cpu() for gateway, _ in gateways), metric(ports, name), time.monotonic()
        viewers.move_some(arguments.seconds, arguments.moves)
        seconds = time.monotonic() - began
        used = sum(gateway.cpu() for gateway, _ in gateways) - cpu
        return 100 * used / seconds, (metric(ports, name) - sent) / seconds


def main():
    """Measure in turn, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--restaurants", type=int, default=1_000)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--moves", type=float, default=55.0, help="clients that move in a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kafka", default="", help="the address of a Kafka; without, the embedded log")
    arguments = parser.parse_args()
    raise_limit()
    without, with_presence = [], []
    for run in range(arguments.runs):
        for asks, into in ((False, without), (True, with_presence)):
            into.append(measured(arguments, asks=asks))
            share, messages = into[-1]
            who = "asking" if asks else "not asking"
            print(f"run {run + 1}, {who}: {share:.1f} % of a core, {messages:.0f} messages/s", flush=True)
    cost = median(asked[0] - not_asked[0] for asked, not_asked in zip(with_presence, without, strict=True))
    messages = median(each[1] for each in with_presence)
    print(f"presence: {cost:.1f} % of a core, {messages:.0f} messages/s")


if __name__ == "__main__":
    main()
