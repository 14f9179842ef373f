"""What a client's messages cost a session: `scripts/python scripts/benchmarks/receive.py [--instructions]`.

A session in this process, with a send queue that writes nothing, subscribes to the channel of a floor plan, ends that,
and is pinged. What is counted is processor time, of many short rounds the fastest; or, with `--instructions`, those of
the processor, which are the same however busy the machine is (valgrind has to be installed): so two revisions are
compared by running each once.
"""

import argparse
import os
import re
import subprocess
import sys
from math import inf
from random import uniform
from time import process_time

import orjson

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.session import Limits, Session

CHANNEL = "restaurant:b18ccb5f-6beb-48b0-885a-3eca7d2d552c:tables"
MESSAGES = {
    "subscribe and unsubscribe": (
        {"type": "subscribe", "channel": CHANNEL},
        {"type": "unsubscribe", "channel": CHANNEL},
    ),
    "ping": ({"type": "ping"},),
}
ROUNDS, WARM_UP = 20, 200
NOW = 1_800_000_000_000


class Nowhere:
    """A send queue that is always empty."""

    backlogged = False
    viewer = None

    def offer(self, data, messages):
        """Take frames, and let go of them."""


def a_session():
    """Return a session of a feed that is live, and has no records."""
    feed = Feed(Hub(), Window(300, 1 << 20), 1.0, lambda record, outcome: None)
    feed.ingest(LogMetadata({}, {}), NOW)
    for _ in feed.process(NOW):
        pass
    limits = Limits(auth=True, max_subscriptions=100, conflate=False)
    identities = SessionIdentities(IdentityRules(0, leeway=5.0, required=False, patience=10.0), uniform)
    presence = Presence(feed.hub, "", 10_000, lambda: 0)
    return Session(
        "c1", feed, Nowhere(), limits, services=None, identities=identities, chat=None, presence=presence, holds=None
    )


def receive(name, times):
    """Pass messages to a session so many times; return the seconds of processor time for one."""
    session, texts = a_session(), [orjson.dumps(message).decode() for message in MESSAGES[name]]
    best = inf
    for repeats in (WARM_UP, *[times // ROUNDS] * ROUNDS):
        began = process_time()
        for _ in range(repeats):
            for text in texts:
                handle(session, text)
        best = min(best, (process_time() - began) / repeats)
    return best


def instructions(name, times=4_000):
    """Return the processor's instructions for one: the difference of two runs, one of which has more of them."""
    counts = []
    for number in (times, 3 * times):
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        command += [sys.executable, __file__, "--times", str(number), "--only", name]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True
        )
        counts.append(int(re.search(r"I +refs: +([\d,]+)", done.stderr)[1].replace(",", "")))
    return (counts[1] - counts[0]) / (2 * times)


def main():
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=40_000)
    parser.add_argument("--only", choices=MESSAGES)
    parser.add_argument("--instructions", action="store_true", help="count those, by valgrind")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else MESSAGES:
        if arguments.instructions:
            print(f"{name}: {instructions(name) / 1000:.1f} thousand instructions")
        else:
            print(f"{name}: {1e6 * receive(name, arguments.times):.2f} µs of CPU")


if __name__ == "__main__":
    main()
