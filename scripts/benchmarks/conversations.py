"""What chat takes that is kept: `scripts/python scripts/benchmarks/conversations.py [--messages N --conversations M]`.

A feed reads N messages in M conversations, in any order, with a state store and as a gateway has it committed, in one
process. After each tenth it says what memory the process takes that is not of files (anonymous), what CPU a message
took with its part of the commits, the longest step, and the size of the file; at the end, what it takes to read a page
of a history, and both kinds of inboxes, and how long it takes another process to go on from the store.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import trio
from filling import Filling, anonymous, restart

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT, ConversationKey, Said, chat_record
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.runtime.gc_tuning import tuned_gc

BATCH = 100
SINCE = 1_700_000_000_000
DAYS = 20
"""Days over which all of it was written, by the times of the records."""

LARGE = 20_000
"""Conversations of the restaurant that has most."""

HERE = Partition(CHAT, 0)
WORDS = "Is there a table on the terrace for four at eight? We would like to sit outside, if the weather allows it."


def id_of(kind, number):
    """Return an id as the platform has them."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {number}"))


def keys_of(count):
    """Return the conversations: those of one large restaurant, and a hundred of each other one."""
    return [
        ConversationKey(id_of("restaurant", 0 if number < LARGE else number // 100), id_of("user", number // 3))
        for number in range(count)
    ]


def metadata(count):
    """Return what the log holds."""
    ends = dict.fromkeys((Partition(each, 0) for each in TOPICS), 0) | {HERE: count}
    return LogMetadata({at: OffsetRange(0, end, "id") for at, end in ends.items()}, {None: 0}, None, ())


def message(number, keys, times, draw):
    """Return the record of a message."""
    key = draw.choice(keys)
    side = GUEST if draw.random() < 0.6 else RESTAURANT
    author = key.guest if side == GUEST else id_of("owner", key.restaurant)
    text = WORDS[: draw.randrange(10, len(WORDS))]
    new = chat_record(Said(key, str(uuid.UUID(int=draw.getrandbits(128))), side, author, text), "2026-01-01T00:00:00Z")
    return Record(*HERE, number, SINCE + number * times, new.key, new.value)


async def fill(folder, count, keys):
    """Read it all, and print what it takes."""
    async with tuned_gc():
        draw, now, filling = random.Random(1), SINCE, Filling(folder, metadata(0), SINCE)
        times, each = DAYS * 86_400_000 // count, count // 10
        print(f"before the first message: {anonymous():.0f} MB\n")
        print("| messages | anonymous MB | CPU of a message, µs | longest step, ms of CPU | file, MB |", flush=True)
        print("|---:|---:|---:|---:|---:|", flush=True)
        async with trio.open_nursery() as nursery:
            for start in range(0, count, BATCH):
                batch = [message(number, keys, times, draw) for number in range(start, start + BATCH)]
                now = batch[-1].timestamp
                await filling.take(Records(None, batch, 0), now, nursery)
                if (start + BATCH) % each == 0:
                    print(f"| {start + BATCH:,} | {filling.row(each)} |", flush=True)
        await filling.finish(now)
        look_up(filling.feed, keys, draw)
        filling.close()


def look_up(feed, keys, draw):
    """Print what clients' questions cost."""

    def history(key):
        feed.known.chat_history(feed.known.conversation(key), None, 100)

    def inbox(channel):
        for _ in feed.states.snapshot(parse_channel(channel)).write():
            pass

    some = draw.sample(keys, min(500, len(keys)))
    print()
    for what, asked in (
        ("a page of a history", [lambda key=key: history(key) for key in some]),
        ("the inbox of a guest", [lambda key=key: inbox(f"user:{key.guest}:chats") for key in some]),
        ("the inbox of a restaurant", [lambda key=key: inbox(f"restaurant:{key.restaurant}:chats") for key in some]),
        ("that of the largest", [lambda: inbox(f"restaurant:{keys[0].restaurant}:chats")] * 50),
    ):
        took = []
        for ask in asked:
            began = time.thread_time()
            ask()
            took.append((time.thread_time() - began) * 1000)
        print(f"{what}: {sum(took) / len(took):.2f} ms of CPU, {max(took):.2f} at most", flush=True)


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder:
        restart(chosen.folder, metadata(chosen.messages), SINCE)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        trio.run(fill, Path(folder), chosen.messages, keys_of(chosen.conversations))
        command = [sys.executable, __file__, "--messages", str(chosen.messages), "--folder", folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
