"""How long who was away waits for the answer: `PYTHONPATH=scripts scripts/python -m benchmarks.absences`.

A log of a week, whose reservations are published on two channels each, is written as if time had passed; a gateway
reads it, and keeps what it publishes. Then one client after the other comes back to a restaurant's channel, to a place
of 5 minutes, an hour and 6 days ago: the time until the answer (`subscribed`), and until all that was missed has come.
"""

import argparse
import json
import random
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from unittest import mock

import orjson
from load.gateway import serving
from websockets.sync.client import connect

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.eventlog.sqlite import database
from mesaya_ws.eventlog.sqlite.database import Database

RESTAURANTS = 1000
WEEK = round(6.9 * 86_400)
"""Seconds: what is older than HISTORY_HOURS is not kept."""
GROUP = 5000
AGES = {"5 minutes": 300, "an hour": 3600, "6 days": 6 * 86_400}
ASKED = 40
"""Channels of which places are known."""


def restaurant(number):
    """Return the id of a restaurant."""
    return f"restaurant-{number:04}"


def channel(number):
    """Return the channel of a restaurant's reservations."""
    return f"restaurant:{restaurant(number)}:reservations"


def reservation(number, draw):
    """Return a record that is published on a channel of a restaurant, and on one of a user."""
    data = {
        "id": f"reservation-{number}",
        "restaurantId": restaurant(draw.randrange(RESTAURANTS)),
        "userId": f"user-{draw.randrange(5000)}",
        "reservationDate": "2026-01-22T00:00:00.000Z",
        "reservationTime": "2026-01-22T19:30:00.000Z",
        "numberOfGuests": 4,
        "status": "PENDING",
    }
    value = {"event_type": "created", "entity_id": data["id"], "data": data, "timestamp": "2026-01-22T01:34:00.000Z"}
    return NewRecord(topic_of("reservations"), orjson.dumps(value))


def fill(path, count):
    """Append so many records, which are spread over a week that ends now."""
    draw, now = random.Random(1), time.time()
    with closing(Database(path, 10)) as log:
        log.migrate(TOPICS)
        for start in range(0, count, GROUP):
            at = round((now - WEEK * (1 - start / count)) * 1e9)
            with mock.patch.object(database, "time_ns", lambda at=at: at):
                log.append([[reservation(number, draw) for number in range(start, min(start + GROUP, count))]])


def subscribe(client, name, position=None):
    """Subscribe; return what comes first on the channel, and the seconds that took."""
    message = {"type": "subscribe", "channel": name}
    began = time.perf_counter()
    client.send(json.dumps(message if position is None else message | {"position": position}))
    while (answer := json.loads(client.recv())).get("type") != "subscribed":
        pass
    return answer, time.perf_counter() - began


def missed(client, count):
    """Return so many messages of a channel."""
    found = []
    while len(found) < count:
        message = json.loads(client.recv())
        if "position" in message:
            found.append(message)
    return found


def entries(port):
    """Return how many publications a gateway has on disk."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('mesaya_state_entries{what="publications"'))


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--publications", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=1000)
    chosen = parser.parse_args()
    draw = random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"EVENT_LOG_FILE": f"{folder}/log.sqlite3", "STATE_DIR": f"{folder}/state"}
        with serving(**settings) as (_, environment), connect(f"ws://127.0.0.1:{environment['PORT']}/ws") as client:
            begins = {number: subscribe(client, channel(number))[0]["position"] for number in range(ASKED)}
        fill(Path(folder) / "log.sqlite3", chosen.publications // 2)
        began = time.monotonic()
        with serving(**settings, MESSAGES_PER_SECOND="1000000") as (_, environment):
            print(f"read in {time.monotonic() - began:.0f} s")
            while (kept := entries(environment["PORT"])) < chosen.publications:
                time.sleep(0.5)
            print(f"{kept:,.0f} publications on disk")
            url = f"ws://127.0.0.1:{environment['PORT']}/ws"
            places = {}
            for number, position in begins.items():
                with connect(url, max_size=None) as client:
                    answer, _ = subscribe(client, channel(number), position)
                    places[number] = [position, *[each["position"] for each in missed(client, answer["replayed"])]]
            print("| absent for | missed | answer, median ms | p99 | worst | all received, median ms | p99 |")
            print("|---|---:|---:|---:|---:|---:|---:|")
            for name, age in AGES.items():
                answers, alls, counts = [], [], []
                for _ in range(chosen.tries):
                    number = draw.randrange(ASKED)
                    known = places[number]
                    at = round((len(known) - 1) * (1 - age / WEEK))
                    position = known[at]
                    with connect(url, max_size=None) as client:
                        answer, seconds = subscribe(client, channel(number), position)
                        assert answer["recovered"], answer
                        began = time.perf_counter()
                        missed(client, answer["replayed"])
                        answers.append(seconds)
                        alls.append(seconds + time.perf_counter() - began)
                        counts.append(answer["replayed"])
                answers.sort()
                alls.sort()
                p99 = len(answers) * 99 // 100
                figures = answers[len(answers) // 2], answers[p99], answers[-1], alls[len(alls) // 2], alls[p99]
                ms = " | ".join(f"{figure * 1000:.1f}" for figure in figures)
                print(f"| {name} | {sum(counts) / len(counts):.0f} | {ms} |")


if __name__ == "__main__":
    main()
