"""How long who was away waits for the answer: `PYTHONPATH=scripts scripts/python -m benchmarks.absences`.

A log of a week, whose reservations are published on two channels each, is written as if time had passed; a gateway
reads it, and keeps what it publishes. Then one client after the other comes back to a restaurant's channel, to a place
of 5 minutes, an hour and 6 days ago: the time until the answer (`subscribed`), and until all that was missed has come.

With `--storm 10000`, so many come back at once, to places of all three ages, while others follow what happens.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from unittest import mock

import orjson
import trio
from load.feed import LogFeed
from load.gateway import serving
from load.plan import Due, Place, Plan
from load.report import display, table, warnings
from load.run import running
from load.wire import POSITION
from load.workload import RESERVATIONS
from rich.console import Console
from websockets.sync.client import connect

from benchmarks.servers import raise_limit
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.environment import load_settings
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.eventlog.sqlite import database
from mesaya_ws.eventlog.sqlite.database import Database
from mesaya_ws.statestore.store import LmdbState

RESTAURANTS = 1000
PLAN = Plan(run="absences", workload=RESERVATIONS, channels=RESTAURANTS)
WEEK = round(6.9 * 86_400)
"""Seconds: what is older than HISTORY_HOURS is not kept."""
GROUP = 5000
AGES = {"5 minutes": 300, "an hour": 3600, "6 days": 6 * 86_400}
BYSTANDERS = 100
"""Clients that are there all the time."""


def reservation(serial, now_ns):
    """Return a record that is published on a channel of a restaurant, and on one of a user."""
    number, channel = divmod(serial, RESTAURANTS)
    subject = PLAN.subject(channel)
    data = {
        "id": f"reservation-{serial}",
        **RESERVATIONS.event(subject, Due(channel, number + 1, now_ns).stamp),
        "userId": f"user-{(serial * 7) % 5003}",
    }
    value = {"event_type": "created", "entity_id": data["id"], "data": data, "timestamp": "2026-01-22T01:34:00.000Z"}
    return NewRecord(topic_of("reservations"), orjson.dumps(value))


def fill(path, count):
    """Append so many records, which are spread over a week that ends now."""
    now = time.time()
    with closing(Database(path, 10)) as log:
        log.migrate(TOPICS)
        for start in range(0, count, GROUP):
            at = round((now - WEEK * (1 - start / count)) * 1e9)
            with mock.patch.object(database, "time_ns", lambda at=at: at):
                log.append([[reservation(serial, at) for serial in range(start, min(start + GROUP, count))]])


async def make_log(settings):
    """Make an empty log."""
    async with open_event_log(load_settings(settings)):
        pass


def places(folder, count, ages):
    """Return, by channel, where clients are that have been away so long, of the week in which `count` were published.

    Nobody may have the store open.
    """
    store = LmdbState(folder)
    store.reopen()
    found = []
    with closing(store), store.view() as view:
        for channel in range(RESTAURANTS):
            frames = [each.frame for each in view.since(PLAN.channel(channel), {}, 1 << 30).publications]
            assert len(frames) == PLAN.fed(count)[channel]
            lasts = [round((len(frames) - 1) * (1 - age / WEEK)) for age in ages]
            found.append([Place(last + 2, POSITION.search(frames[last])[1].decode()) for last in lasts])
    return found


def subscribe(client, name, position):
    """Subscribe; return the answer, and the seconds that it took."""
    began = time.perf_counter()
    client.send(json.dumps({"type": "subscribe", "channel": name, "position": position}))
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


def one_by_one(url, places, count, chosen):
    """Let one client after the other come back, and print how long each waited."""
    draw = random.Random(2)
    print("| absent for | missed | answer, median ms | p99 | worst | all received, median ms | p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for age, name in enumerate(name for name in AGES if chosen.age in (None, name)):
        answers, alls, counts = [], [], []
        for _ in range(chosen.tries):
            channel = draw.randrange(RESTAURANTS)
            next, position = places[channel][age]
            with connect(url, max_size=None) as client:
                answer, seconds = subscribe(client, PLAN.channel(channel), position)
                assert answer["recovered"], answer
                assert answer["replayed"] == PLAN.fed(count)[channel] - next + 1
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
        print(f"| {name} | {sum(counts) / len(counts):.0f} | {ms} |", flush=True)


def storm(settings, observed, places, count, chosen):
    """Let all come back at once, and print how long that took; return whether none missed or heard anything twice."""
    plan = Plan(
        run=PLAN.run,
        port=int(settings["PORT"]),
        workload=RESERVATIONS,
        channels=RESTAURANTS,
        connections=chosen.storm + BYSTANDERS,
        bystanders=BYSTANDERS,
        rate=chosen.rate,
        duration=chosen.duration,
        storm=True,
        away=0.0,
        places=places,
        fed_before=count,
        processes=chosen.processes,
    )
    console = Console(width=120)
    with display(console, plan) as watcher, running(plan, LogFeed(settings), observed, watcher) as run:
        result = run.execute()
    console.print(table(plan, result))
    for warning in warnings(result):
        console.print(warning)
    return not (result.lost or result.duplicates or result.misrouted or result.unrecovered)


def measure(chosen, folder):
    """Measure, and print a table; return whether all was as it must be."""
    count = chosen.publications // 2
    settings = {"EVENT_LOG_FILE": f"{folder}/log.sqlite3", "STATE_DIR": f"{folder}/state"}
    if not (folder / "log.sqlite3").exists():
        trio.run(make_log, settings)
        fill(folder / "log.sqlite3", count)
        began = time.monotonic()
        with serving(**settings) as (_, environment):
            print(f"read in {time.monotonic() - began:.0f} s")
            while (kept := entries(environment["PORT"])) < chosen.publications:
                time.sleep(0.5)
            print(f"{kept:,.0f} publications on disk", flush=True)
    ages = [age for name, age in AGES.items() if chosen.age in (None, name)]
    found = places(folder / "state" / "0", count, ages)
    began = time.monotonic()
    with serving(**settings, MESSAGES_PER_SECOND="1000000") as (observed, environment):
        print(f"ready again after {time.monotonic() - began:.1f} s", flush=True)
        if chosen.storm:
            return storm(environment, observed, found, count, chosen)
        one_by_one(f"ws://127.0.0.1:{environment['PORT']}/ws", found, count, chosen)
        return True


def main():
    """Measure what the command says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--publications", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--storm", type=int, default=0, help="Let so many come at once, rather than one by one.")
    parser.add_argument("--age", choices=AGES, help="How long all have been away, rather than each as long as another.")
    parser.add_argument("--rate", type=float, default=500.0, help="Events a second during a storm.")
    parser.add_argument("--duration", type=float, default=60.0, help="Seconds of them.")
    parser.add_argument("--processes", type=int, default=1, help="Processes of the load.")
    parser.add_argument("--folder", type=Path, help="Where what was read is kept, for another run without a storm.")
    chosen = parser.parse_args()
    raise_limit()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.folder:
            chosen.folder.mkdir(exist_ok=True)
        sys.exit(not measure(chosen, chosen.folder or Path(folder)))


if __name__ == "__main__":
    main()
