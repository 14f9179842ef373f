"""Several instances on one log, with clients that bring something in: what is appended, each instance reads in turn."""

import orjson

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Appended, OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.commands import Turn, WaitsFor
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.identity_changes import apply_rights_changes
from tests.support.instance import FakeServices, a_feed, a_session, chat_rules, hold_rules, session_identities
from tests.support.log import NOW, record, user_record


class SharedLog:
    """One log of all topics, which gives out offsets by topic, and append times as `now` says."""

    def __init__(self):
        self.now = NOW
        self.records = []
        self.ends = dict.fromkeys((*TOPICS, CHAT, ACKS, HOLDS), 0)

    def append(self, topic, value, key=None):
        self.now += 1
        said = Record(topic, 0, self.ends[topic], self.now, key, value)
        self.ends[topic] += 1
        self.records.append(said)
        return Appended(topic, 0, said.offset, said.timestamp)

    def restaurant(self, id, owner, what="created"):
        said = record(f"restaurant.{what}", id, ownerId=owner, name=f"Restaurant {id}")
        self.append(said.topic, said.value)

    def user(self, id, name):
        said = user_record(id, name)
        self.append(said.topic, said.value)


class Replica:
    """An instance that has read the log from some `place` on; its clients' commands wait in `services.commands`."""

    def __init__(self, log, feed=None, name="a", place=0):
        self.log = log
        self.proposed = []
        self.services = FakeServices()
        self.holds = hold_rules(300.0, name, lambda: self.seconds, lambda: log.now, propose=self.proposed.append)
        self.chat = chat_rules(("files.example",), lambda: self.seconds, lambda: log.now)
        self.seconds = 0.0
        self.sessions = []
        self.identities = session_identities()
        self.place = place
        # What is reported of its records, unless it is of another's feed.
        self.report = lambda record, outcome: None
        if feed is None:
            feed = a_feed(lambda record, outcome: self.report(record, outcome), max_bytes=1 << 22)
        self.feed = feed
        self.appended = []
        self.feed.ingest(self._metadata(), log.now)
        self.read()

    def _metadata(self):
        ends = {Partition(topic, 0): OffsetRange(0, end, "id") for topic, end in self.log.ends.items()}
        return LogMetadata(ends, {None: len(self.log.records) - self.place})

    def client(self, user=None, *roles, auth=True, most=10):
        shared = {"identities": self.identities, "chat": self.chat, "holds": self.holds}
        session = a_session(self.feed, services=self.services, auth=auth, most=most, **shared)
        if user is not None:
            assert identify(session, Identity(user, roles), 0.0)
        self.sessions.append(session)
        return session

    def append(self):
        """Append what clients have asked for and whose turn it is; answered when it is read."""
        commands, self.services.commands[:] = list(self.services.commands), []
        for session, command in commands:
            turn, new = command.turn(), command.record
            if turn is Turn.DUE:
                self.appended.append((session, command, self.log.append(new.topic, new.value, new.key)))
            elif isinstance(turn, WaitsFor):
                self.services.commands.append((session, command))
            else:
                session.on_appended(command, turn)

    def append_proposed(self):
        """Append what was proposed."""
        records, self.proposed[:] = list(self.proposed), []
        for new in records:
            self.log.append(new.topic, new.value, new.key)

    def fail(self):
        """Hand what is due of what clients have asked for to a log that may take it, and answer that it is away."""
        commands, self.services.commands[:] = list(self.services.commands), []
        for session, command in commands:
            turn = command.turn()
            is_open = turn is Turn.DUE or isinstance(turn, WaitsFor)
            session.on_appended(command, LogUnavailableError("It is away.") if is_open else turn)

    def read(self, most=None):
        """Read on, up to so many records; answer whose record was read."""
        records = self.log.records[self.place : None if most is None else self.place + most]
        self.place += len(records)
        if records:
            lag = len(self.log.records) - self.place
            self.feed.ingest(Records(None, records, lag), self.log.now)
        for _ in self.feed.process(self.log.now):
            for _ in self.feed.hub.fan_out():
                pass
            list(apply_rights_changes(self.identities, self.feed.progress.take_rights_changes()))
        for waiting in list(self.appended):
            session, command, place = waiting
            if self.feed.cursor.next.get(Partition(place.topic, place.partition), 0) > place.offset:
                session.on_appended(command, place)
                self.appended.remove(waiting)

    def settle(self):
        self.append()
        self.read()


def send(session, kind="subscribe", **fields):
    """Send a message; what comes of it is in the session's queue."""
    handle(session, orjson.dumps({"type": kind, **fields}).decode())


def said(session):
    """Return what a client has received since the last call."""
    return session.send_queue.said()


def settle(replicas):
    """Have all append what their clients asked for, and then read all of it."""
    for replica in replicas:
        replica.append()
    for replica in replicas:
        replica.read()
