"""Stand-ins for what tests do not want to run for real."""

from collections import defaultdict

import trio

from mesaya_ws.core.event_log import (
    TOPICS,
    Appended,
    Batch,
    Extent,
    LogUnavailableError,
    OffsetGoneError,
    Outage,
    Partition,
    Record,
    RecordRefusedError,
    Restored,
    Sources,
)


class FakeLog:
    """An event log in memory, of one partition a topic, that can be told to fail (`outage`)."""

    def __init__(self, topics=TOPICS):
        self.topics = topics
        self.records = defaultdict(list)
        self.order = []
        self.outage = None
        self._changed = trio.Event()

    def _tell(self):
        self._changed.set()
        self._changed = trio.Event()

    def fail(self, reason):
        """Answer nobody from now on."""
        self.outage = reason
        self._tell()

    def recover(self):
        """Answer again."""
        self.outage = None
        self._tell()

    async def append(self, records):
        await trio.lowlevel.checkpoint()
        if self.outage:
            raise LogUnavailableError(self.outage)
        places = []
        for topic, value, key in records:
            if topic not in self.topics:
                raise RecordRefusedError(f"{topic} is not a topic of this log.")
            record = Record(topic, 0, len(self.records[topic]), 1_800_000_000_000 + len(self.order), key, value)
            self.records[topic].append(record)
            self.order.append(record)
            places.append(Appended(topic, 0, record.offset, record.timestamp))
        self._tell()
        return places

    async def extents(self):
        await trio.lowlevel.checkpoint()
        if self.outage:
            raise LogUnavailableError(self.outage)
        return {Partition(topic, 0): Extent(0, len(self.records[topic]), f"id of {topic}") for topic in self.topics}

    async def read(self, partition, start, limit=500):
        await trio.lowlevel.checkpoint()
        if self.outage:
            raise LogUnavailableError(self.outage)
        if start < 0:
            raise OffsetGoneError
        return self.records[partition.topic][start : start + limit]

    async def follow(self, deliver):
        told, down = 0, False
        if not self.outage:
            await deliver(Sources(await self.extents(), {None: len(self.order)}))
        while True:
            changed = self._changed
            if self.outage and not down:
                down = True
                await deliver(Outage(self.outage))
            elif not self.outage:
                if down:
                    down = False
                    await deliver(Restored())
                    await deliver(Sources(await self.extents(), {None: len(self.order) - told}))
                if fresh := self.order[told : told + 200]:
                    told += len(fresh)
                    await deliver(Batch(None, fresh, len(self.order) - told))
                    continue
            await changed.wait()
