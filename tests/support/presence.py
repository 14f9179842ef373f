"""Processes with their sessions, on one log of presence; time passes as tests let it."""

import orjson

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.handlers import handle
from tests.support.instance import a_feed, a_presence, a_session, work
from tests.support.log import NOW


class SharedLog:
    """A log of presence, and the time of all processes on it (ms); its own clock is `skew` ahead of that."""

    def __init__(self):
        self.now = self.skew = 0
        self.records = []
        self.appended = []
        """All that was ever appended, each with the time of it."""
        self.processes = []
        self._started = 0

    def process(self, most=100, offset=0):
        """Start a process, whose clock is `offset` ahead."""
        self.processes.append(Process(self, f"p{self._started}", most, offset))
        self._started += 1
        return self.processes[-1]

    def append(self, records):
        self.appended += [(new, self.now) for new in records]
        self.records += [
            Record(PRESENCE, 0, len(self.records) + number, self.now + self.skew, new.key, new.value)
            for number, new in enumerate(records)
        ]

    def passes(self, milliseconds, step=500):
        """Let time pass, while all processes do what is due."""
        for _ in range(milliseconds // step):
            self.now += step
            self.work()

    def work(self):
        for process in self.processes:
            process.append()
        for process in self.processes:
            process.read()
            list(process.presence.run())

    def kill(self, process):
        self.processes.remove(process)


class Process:
    """One process with its sessions; while it is not `is_up`, the log is away for it."""

    def __init__(self, log, name, most, offset):
        self.log, self.offset = log, offset
        self.feed = a_feed()
        self.presence = a_presence(self.feed.hub, name, most, self.time)
        self.feed.ingest(LogMetadata({}, {}), NOW)
        work(self.feed)
        self.next = 0
        self.is_up = True

    def time(self):
        return self.log.now + self.offset

    def append(self):
        if self.presence.appends_at() <= self.time():
            list(self.presence.count())
            if self.is_up:
                self.log.append(list(self.presence.take()))
            elif list(self.presence.take()):
                self.presence.not_appended()

    def read(self):
        while self.is_up and self.next < len(self.log.records):
            self.presence.read(self.log.records[self.next])
            self.next += 1

    def end(self):
        """End in order."""
        self.log.append(self.presence.tombstones())
        self.log.kill(self)

    def client(self, user=None, roles=()):
        session = a_session(self.feed, auth=False, presence=self.presence)
        if user is not None:
            identify(session, Identity(user, roles), 0)
        return session

    def viewer(self, channel, user=None, *, asks=True):
        """Return a client that has subscribed to a channel."""
        session = self.client(user, () if user == "u1" else ("ADMIN",))
        subscribe(session, channel, presence=asks)
        return session


def subscribe(session, channel, **fields):
    """Have a client subscribe to a channel, and take nothing yet of what it is sent."""
    handle(session, orjson.dumps({"type": "subscribe", "channel": channel, **fields}).decode())


def sent(session, channel):
    """Return what a client was sent of who is on a channel since the last time, and nothing else."""
    return [
        message.get("viewers", {side for side in ("guest", "restaurant") if message.get(side)})
        for message in session.send_queue.said()
        if message["type"] == "presence" and message["channel"] == channel
    ]


def typing(session):
    """Return what a client was sent of who is typing since the last time, and nothing else."""
    return [
        (message["data"]["by"], message["data"]["typing"])
        for message in session.send_queue.said()
        if message["type"] == "chat.typing"
    ]
