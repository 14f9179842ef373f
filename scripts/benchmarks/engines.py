"""What an engine for the state directory costs: `scripts/python scripts/benchmarks/engines.py [--entities N] [--sync]`.

It does what the gateway does with its state: changed entities are flushed in sorted batches, publications are appended
by their serial with an index by channel, single entities are read, a channel is read after a place, and the oldest
publications are forgotten. Of each: CPU of the process for each item (threads of the engine's own are in it), and the
longest transaction. An engine that is not installed is left out: `rocksdict` is no dependency of the project.
"""

import argparse
import os
import random
import sqlite3
import struct
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time

ENTITY_BYTES = 380
FRAME_BYTES = 330
CHANNELS = 1000


class _Lmdb:
    """Two tables of values, and an index whose entries of one channel are sorted 16-byte values."""

    def __init__(self, folder, sync):
        import lmdb

        self.env = lmdb.open(str(folder), map_size=16 << 30, max_dbs=4, metasync=False, sync=sync, subdir=True)
        self.entities = self.env.open_db(b"entities")
        self.log = self.env.open_db(b"log")
        self.index = self.env.open_db(b"index", dupsort=True, dupfixed=True)

    def put_entities(self, batch):
        with self.env.begin(write=True, db=self.entities) as txn, txn.cursor() as cursor:
            cursor.putmulti(batch)

    def append(self, batch):
        with self.env.begin(write=True) as txn:
            with txn.cursor(self.log) as cursor:
                cursor.putmulti([(struct.pack(">Q", serial), frame) for serial, _, frame in batch], append=True)
            with txn.cursor(self.index) as cursor:
                entries = sorted((channel, struct.pack(">QQ", serial, serial)) for serial, channel, _ in batch)
                cursor.putmulti(entries)

    def get(self, ids):
        with self.env.begin(db=self.entities) as txn:
            return sum(len(txn.get(id)) for id in ids)

    def after(self, channel, serial, most):
        frames = []
        with self.env.begin() as txn, txn.cursor(self.index) as cursor:
            found = cursor.set_range_dup(channel, struct.pack(">Q", serial))
            while found and len(frames) < most:
                frames.append(txn.get(cursor.value()[8:], db=self.log))
                found = cursor.next_dup()
        return frames

    def forget(self, before):
        with self.env.begin(write=True) as txn:
            gone = []
            with txn.cursor(self.log) as log:
                found = log.first()
                while found and log.key() < struct.pack(">Q", before):
                    gone.append((log.value()[:16].strip(), log.key()))
                    found = log.delete()
            with txn.cursor(self.index) as index:
                for channel, key in sorted(gone):
                    if index.set_key_dup(channel, key + key):
                        index.delete()
        return len(gone)

    def close(self):
        self.env.close()


class _Sqlite:
    """Tables without row ids, in a file with a write-ahead log."""

    def __init__(self, folder, sync):
        self.db = sqlite3.connect(folder / "state.sqlite3", isolation_level=None)
        self.db.execute("pragma journal_mode = wal")
        self.db.execute(f"pragma synchronous = {'normal' if sync else 'off'}")
        self.db.execute("create table entities (id blob primary key, value blob) without rowid")
        self.db.execute("create table log (serial integer primary key, channel blob, frame blob)")
        self.db.execute("create index by_channel on log (channel, serial)")

    def put_entities(self, batch):
        self.db.execute("begin")
        self.db.executemany("insert or replace into entities values (?, ?)", batch)
        self.db.execute("commit")

    def append(self, batch):
        self.db.execute("begin")
        self.db.executemany("insert into log values (?, ?, ?)", batch)
        self.db.execute("commit")

    def get(self, ids):
        ask = "select value from entities where id = ?"
        return sum(len(self.db.execute(ask, (id,)).fetchone()[0]) for id in ids)

    def after(self, channel, serial, most):
        ask = "select frame from log where channel = ? and serial >= ? order by serial limit ?"
        return [frame for (frame,) in self.db.execute(ask, (channel, serial, most))]

    def forget(self, before):
        return self.db.execute("delete from log where serial < ?", (before,)).rowcount

    def close(self):
        self.db.close()


class _Rocks:
    """One table for all, distinguished by the first byte of the keys."""

    def __init__(self, folder, sync):
        import rocksdict

        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        self.batch = lambda: rocksdict.WriteBatch(raw_mode=True)
        self.db = rocksdict.Rdict(str(folder), options)
        self.write_options = rocksdict.WriteOptions()
        self.write_options.sync = sync

    def put_entities(self, batch):
        written = self.batch()
        for id, value in batch:
            written.put(b"e" + id, value)
        self.db.write(written, self.write_options)

    def append(self, batch):
        written = self.batch()
        for serial, channel, frame in batch:
            key = struct.pack(">Q", serial)
            written.put(b"l" + key, frame)
            written.put(b"i" + channel + key, b"")
        self.db.write(written, self.write_options)

    def get(self, ids):
        return sum(len(self.db[b"e" + id]) for id in ids)

    def after(self, channel, serial, most):
        frames = []
        start = b"i" + channel
        keys = self.db.iter()
        keys.seek(start + struct.pack(">Q", serial))
        while keys.valid() and keys.key().startswith(start) and len(frames) < most:
            frames.append(self.db[b"l" + keys.key()[-8:]])
            keys.next()
        return frames

    def forget(self, before):
        written, gone, keys = self.batch(), 0, self.db.iter()
        keys.seek(b"l")
        while keys.valid() and keys.key() < b"l" + struct.pack(">Q", before):
            written.delete(keys.key())
            written.delete(b"i" + keys.value()[:16].strip() + keys.key()[1:])
            gone += 1
            keys.next()
        self.db.write(written, self.write_options)
        return gone

    def close(self):
        self.db.close()


ENGINES = {"lmdb": _Lmdb, "sqlite3": _Sqlite, "rocksdict": _Rocks}


def timed(batches, do):
    """Do something with every batch; return µs of CPU for each item, and the longest one's milliseconds."""
    items, longest, began = 0, 0.0, process_time()
    for batch in batches:
        at = perf_counter()
        do(batch)
        longest = max(longest, perf_counter() - at)
        items += len(batch)
    return (process_time() - began) * 1e6 / max(items, 1), longest * 1000


def channel_of(number):
    """Return the name of a channel, all of one length."""
    return b"%-16d" % (number % CHANNELS)


def measure(name, entities, sync):
    """Yield what was measured with an engine: the subject, µs of CPU each, and ms of the longest transaction."""
    draw = random.Random(1)
    ids = [draw.randbytes(16) for _ in range(entities)]
    # As alike as entities are: an engine that compresses may gain by it.
    names = [draw.randbytes(4).hex() for _ in range(200)]
    value = " ".join(draw.choices(names, k=ENTITY_BYTES // 9)).encode()
    with tempfile.TemporaryDirectory() as folder:
        engine = ENGINES[name](Path(folder), sync)
        serial = 0
        ordered = sorted(ids)
        for at in range(0, entities, 10_000):
            engine.put_entities([(id, value) for id in ordered[at : at + 10_000]])
        for size in (200, 2000, 10_000):
            chosen = [sorted(draw.sample(ids, size)) for _ in range(max(3, 30_000 // size))]
            batches = [[(id, value) for id in batch] for batch in chosen]
            yield f"changed entities, {size:,} at a time", *timed(batches, engine.put_entities)
        for size in (200, 2000, 10_000):
            batches = []
            for _ in range(max(10, 100_000 // size)):
                numbers = range(serial + 1, serial + size + 1)
                serial += size
                channels = [channel_of(draw.randrange(CHANNELS)) for _ in numbers]
                frame = os.urandom(FRAME_BYTES - 16)
                batches.append([(n, channel, channel + frame) for n, channel in zip(numbers, channels, strict=True)])
            yield f"publications, {size:,} at a time", *timed(batches, engine.append)
        yield "entity read", *timed([draw.sample(ids, 1000) for _ in range(50)], engine.get)
        asked = [[channel_of(draw.randrange(CHANNELS))] for _ in range(500)]
        found = []
        cpu, longest = timed(asked, lambda batch: found.extend(engine.after(batch[0], serial // 2, 100)))
        yield "publication read, 100 of a channel", cpu * len(asked) / max(len(found), 1), longest
        steps = [range(at, at + 2000) for at in range(1, serial // 4, 2000)]
        yield "publication forgotten, 2,000 at a time", *timed(steps, lambda step: engine.forget(step.stop))
        engine.close()
        size = sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())
        yield "MiB on disk at the end", size / 2**20, 0.0


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entities", type=int, default=300_000)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--sync", action="store_true", help="wait for the disk at every transaction")
    arguments = parser.parse_args()
    print("| engine | what | µs of CPU each | longest transaction, ms |\n|---|---|---:|---:|")
    for name in arguments.engine or ENGINES:
        if find_spec(name) is None:
            print(f"| {name} | is not installed | | |")
            continue
        for what, cpu, longest in measure(name, arguments.entities, arguments.sync):
            print(f"| {name} | {what} | {cpu:.2f} | {longest:.1f} |", flush=True)


if __name__ == "__main__":
    main()
