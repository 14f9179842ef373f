"""Conversations in a state store, whenever it is committed, fails or is opened again: as if all were in memory."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.chat_records import (
    GUEST,
    RESTAURANT,
    Blocked,
    ConversationKey,
    Deleted,
    Edited,
    Erased,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.chats import ON_DISK, TABLES, Chats
from mesaya_ws.core.interactions.conversation import KEPT
from mesaya_ws.core.interactions.quiet_conversations import HOUR
from mesaya_ws.core.platform.rows import encoded
from mesaya_ws.core.state.interface import Changes, CorruptStateError
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.tracking import Tracking

NOW = 1_790_000_000_000
GUESTS, RESTAURANTS = ("u1", "u2"), ("r1", "r2")
KEYS = [ConversationKey(restaurant, guest) for restaurant in RESTAURANTS for guest in GUESTS]


class PlainChats:
    """The page on chat, read once more: everything in lists, and counted anew whenever it is asked for."""

    def __init__(self):
        self.now, self.known, self.erased = 0, {}, {}

    def of(self, key):
        known = self.known.get(key)
        if known is None or known["last"] < self.now - KEPT:
            return None
        known["messages"] = [each for each in known["messages"] if each["at"] >= self.now - KEPT]
        if known["blocked"] is not None and known["blocked"] < self.now - KEPT:
            known["blocked"] = None
        return known

    def apply(self, record, offset, at):
        self.now = max(at, self.now)
        if isinstance(record, Erased):
            for key in KEYS:
                if key.guest == record.user and (known := self.of(key)) is not None:
                    for each in known["messages"]:
                        if each["author"] == record.user and each["by"] is None:
                            each["text"], each["by"] = None, each["side"]
            self.erased[record.user] = offset
            return
        key = record.conversation
        known = self.of(key)
        if known is None:
            if not isinstance(record, Said) and not (isinstance(record, Blocked) and record.blocked):
                return
            known = {"messages": [], GUEST: -1, RESTAURANT: -1, "blocked": None}
        if self.change(known, record, offset, at):
            self.known.pop(key, None)
            self.known[key] = known
            known["last"] = at

    def change(self, known, record, offset, at):
        message = next((each for each in known["messages"] if each["id"] == getattr(record, "id", None)), None)
        match record:
            case Said():
                if message is None:
                    message = {"id": record.id, "side": record.side, "author": record.author, "text": record.text}
                    known["messages"].append(message | {"at": at, "offset": offset, "by": None, "edited": None})
                    return True
            case Edited():
                if message is not None and message["by"] is None and message["side"] == record.side:
                    message["text"], message["edited"] = record.text, at
                    return True
            case Deleted():
                may = record.by != GUEST or (message is not None and message["side"] == GUEST)
                if message is not None and message["by"] is None and may:
                    message["text"], message["by"] = None, record.by
                    return True
            case ReadUpTo():
                if (up_to := min(record.up_to, offset)) > known[record.by]:
                    known[record.by] = up_to
                    return True
            case Blocked():
                if record.blocked != (known["blocked"] is not None):
                    known["blocked"] = at if record.blocked else None
                    return True
        return False

    def shown(self):
        inboxes = {
            owner: [key for key in reversed(self.known) if owner in key and self.of(key) is not None]
            for owner in (*GUESTS, *RESTAURANTS)
        }
        return [self.conversation(key) for key in KEYS], inboxes, self.erased

    def conversation(self, key):
        if (known := self.of(key)) is None:
            return None
        unread = [
            sum(
                each["side"] != side and each["by"] is None and each["offset"] > known[side]
                for each in known["messages"]
            )
            for side in (GUEST, RESTAURANT)
        ]
        names = ("id", "side", "author", "text", "at", "offset", "by", "edited")
        messages = [tuple(each[name] for name in names) for each in known["messages"]]
        return messages, known[GUEST], known[RESTAURANT], unread, known["blocked"]


class Life:
    """Conversations of one process, with a store or without, which has applied the log up to `at`."""

    def __init__(self, log, store=None, at_once=1):
        self.log, self.store, self.at = log, store, 0
        self.tracking, self.stored = Tracking(), Stored()
        self.follower = None if store is None else self.tracking.follow()
        on_disk = None if store is None else self.stored
        self.chats = Chats(tracking=self.tracking, stored=on_disk, at_once=at_once, hot=1)
        if store is not None:
            self.pin()
            view = self.stored.view
            with self.tracking.paused():
                for table in sorted(TABLES - ON_DISK):
                    rows = ((id, orjson.loads(value)) for id, value in view.rows(table))
                    for id, value in sorted(rows, key=lambda row: row[1][-1]):
                        self.chats.load(table, id, value)
            self.at = int(view.head or b"0")

    def pin(self):
        former = self.stored.view
        self.stored.view = self.store if isinstance(self.store, MemoryState) else self.store.pin()
        if former is not None and former is not self.store:
            former.close()

    def read(self, end):
        for offset in range(self.at, end):
            record, at = self.log[offset]
            self.chats.apply(record, 0, offset, at)
            list(self.chats.finish())
        self.at = max(end, self.at)

    def capture(self):
        return self.at, self.follower.take(), self.chats.capture()

    def commit(self, at, rows, captured):
        entities = {
            table: {id: None if value is None else encoded(value) for id, value in known.items()}
            for table, known in rows.items()
        }
        self.store.commit(Changes(b"%d" % at, entities, captured.members, emptied=captured.emptied))
        self.pin()
        list(captured.committed(entities))

    def end(self):
        if self.stored.view is not None and self.stored.view is not self.store:
            self.stored.view.close()

    def shown(self):
        chats = self.chats
        of = {owner: chats.conversations.of_guest(owner) for owner in GUESTS} | {
            at: chats.conversations.of_restaurant(at) for at in RESTAURANTS
        }
        inboxes = {owner: [key for key in keys if chats.get(key) is not None] for owner, keys in of.items()}
        erased = {user: place[1] for user, place in ((id, row) for _, id, row in chats.erased.rows())}
        return [self.conversation(key) for key in KEYS], inboxes, erased

    def conversation(self, key):
        if (known := self.chats.get(key)) is None:
            return None
        messages, before = [], None
        while page := known.before(before, 2):
            messages, before = page + messages, page[0].offset
        assert known.last == (messages[-1] if messages else None)
        assert all(known.find(each.id) == each for each in messages)
        assert not messages or not known.has_before(messages[0].offset)
        rows = [
            (each.id, each.side, each.author, each.text, each.sent_at, each.offset, each.deleted_by, each.edited_at)
            for each in messages
        ]
        unread = [known.unread(GUEST), known.unread(RESTAURANT)]
        return rows, known.marks.guest, known.marks.restaurant, unread, known.blocked_at


CONVERSATIONS = st.sampled_from(KEYS)
IDS = st.sampled_from(["m1", "m2", "m3", "m4"])
SIDES = st.sampled_from([GUEST, RESTAURANT])
TEXTS = st.sampled_from(["a", "b"])
RECORDS = st.one_of(
    st.builds(Said, CONVERSATIONS, IDS, SIDES, st.sampled_from([*GUESTS, "o1"]), TEXTS),
    st.builds(Said, CONVERSATIONS, IDS, SIDES, st.sampled_from([*GUESTS, "o1"]), TEXTS),
    st.builds(Edited, CONVERSATIONS, IDS, SIDES, TEXTS),
    st.builds(Deleted, CONVERSATIONS, IDS, st.sampled_from([GUEST, RESTAURANT, "admin"])),
    st.builds(ReadUpTo, CONVERSATIONS, SIDES, st.integers(0, 60)),
    st.builds(Blocked, CONVERSATIONS, st.booleans()),
    st.builds(Erased, st.sampled_from(GUESTS)),
)
TIMES = st.sampled_from([1, 1, 1, 1, HOUR, KEPT // 3, KEPT + 1])
WHAT = st.sampled_from(["goes on", "goes on", "commits", "commits while it goes on", "fails to", "is killed"])


def a_log(steps):
    """Return records with their append times."""
    log, at = [], NOW
    for record, step, _ in steps:
        at += step
        log.append((record, at))
    return log


@given(st.lists(st.tuples(RECORDS, TIMES, st.just("")), max_size=60))
def test_chats_in_memory_are_what_the_page_says(steps):
    log, plain = a_log(steps), PlainChats()
    life = Life(log)
    for offset, (record, at) in enumerate(log):
        plain.apply(record, offset, at)
        life.read(offset + 1)
        assert life.shown() == plain.shown()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(RECORDS, TIMES, WHAT), max_size=60))
def test_chats_in_a_store_are_those_in_memory_whenever_it_is_committed_or_the_process_killed(new_store, steps):
    log, store = a_log(steps), new_store()
    life, memory = Life(log, store), Life(log)
    flight = None
    for end, (*_, what) in enumerate(steps, 1):
        memory.read(end)
        life.read(end)
        assert life.shown() == memory.shown()
        if what == "is killed":
            life.end()
            life, flight = Life(log, store), None
            life.read(end)
        elif flight is not None:
            life.commit(*flight)
            flight = None
        elif what == "commits":
            life.commit(*life.capture())
        elif what == "commits while it goes on":
            flight = life.capture()
        elif what == "fails to":
            _, rows, _ = life.capture()
            life.follower.give_back(rows)
        assert life.shown() == memory.shown()
    life.end()


def test_nothing_is_left_in_the_store_of_what_was_forgotten(new_store):
    log = [(Said(key, f"m{number}", GUEST, key.guest, "a"), NOW + number) for number in range(40) for key in KEYS]
    log += [(Said(KEYS[0], "on", RESTAURANT, "o1", "a"), NOW + KEPT // 2)]
    other = ConversationKey("r3", "u3")
    log += [(Said(other, "first", GUEST, "u3", "a"), NOW + KEPT // 2 + HOUR)]
    log += [(ReadUpTo(other, RESTAURANT, number), NOW + KEPT + HOUR) for number in range(len(log), len(log) + 200)]
    store = new_store()
    life = Life(log, store)
    for end in range(0, len(log), 30):
        life.read(end)
        life.commit(*life.capture())
    life.read(len(log))
    life.commit(*life.capture())
    assert [key for key in (*KEYS, other) if life.chats.get(key)] == [KEYS[0], other]
    with store.view() as view:
        assert sorted(id for id, _ in view.rows("chat/conversation")) == ["r1:u1", "r3:u3"]
        assert not list(view.rows("chat/sweeping"))
        # Of a conversation that goes on, what is too old is swept up with its next record.
        texts = [orjson.loads(value)[0] for _, value in view.rows("chat/message")]
        assert texts == [*(f"m{number}" for number in range(40)), "on", "first"]
        count = {index: members_of(view, index) for index in ("chat/id", "chat/guest", "chat/restaurant", "chat/hour")}
        assert count == {"chat/id": 42, "chat/guest": 2, "chat/restaurant": 2, "chat/hour": 3}
    life.end()


def test_nothing_is_left_in_the_store_of_what_a_wrong_clock_made_too_old(new_store):
    keys = [ConversationKey("r1", f"u{number}") for number in range(100)]
    log = [(Said(key, "m", GUEST, key.guest, f"of {key.guest}"), NOW + number) for number, key in enumerate(keys)]
    other = ConversationKey("r3", "x")
    log += [(Said(other, f"ahead{number}", GUEST, "x", "a"), NOW + 3 * KEPT + number) for number in range(2)]
    back = NOW + 2 * HOUR
    log += [(Said(other, "back", GUEST, "x", "a"), back), (Erased("u99"), back + 1)]
    log += [(ReadUpTo(other, RESTAURANT, number), back + 2) for number in range(10)]
    erased = len(log)
    log += [(Said(other, f"later{number}", GUEST, "x", "a"), back + KEPT + HOUR) for number in range(300)]
    store = new_store()
    life = Life(log, store, at_once=10)
    for end in (*range(0, erased, 30), erased):
        life.read(end)
        life.commit(*life.capture())
    assert [key for key in (*keys, other) if life.chats.get(key)] == [other]
    with store.view() as view:
        rows = [orjson.loads(value) for _, value in view.rows("chat/message")]
        assert "of u98" in [row[4] for row in rows], "they go with later records"
        assert "of u99" not in [row[4] for row in rows]
    life.read(len(log))
    life.commit(*life.capture())
    with store.view() as view:
        assert [id for id, _ in view.rows("chat/conversation")] == ["r3:x"]
        assert {orjson.loads(value)[3] for _, value in view.rows("chat/message")} == {"x"}
        assert members_of(view, "chat/guest") == members_of(view, "chat/restaurant") == 1
    life.end()


def members_of(view, index):
    return sum(1 for parent in view.parents(index) for _ in view.members(index, parent))


def test_topic_that_was_created_again_leaves_nothing_of_the_former_one(new_store):
    log = [(Said(key, "m1", GUEST, key.guest, "former"), NOW) for key in KEYS]
    store = new_store()
    life = Life(log, store)
    life.read(4)
    life.commit(*life.capture())
    flight = life.capture()
    former, life.chats = life.chats, life.chats.anew()
    list(former.discard())
    life.commit(*flight)
    assert life.shown() == Life([]).shown()
    life.chats.apply(Said(KEYS[1], "m2", GUEST, "u2", "now"), 0, 0, NOW)
    life.commit(*life.capture())
    memory = Life([(Said(KEYS[1], "m2", GUEST, "u2", "now"), NOW)])
    memory.read(1)
    assert life.shown() == memory.shown()
    life.end()
    again = Life([], store)
    assert again.shown() == memory.shown()
    again.end()


def test_message_that_the_store_has_lost_is_reported_as_damage():
    log, store, reported = [(Said(KEYS[0], "m1", GUEST, "u1", "a"), NOW)], MemoryState(), []
    life = Life(log, store)
    life.read(1)
    life.commit(*life.capture())
    [id] = [id for id, _ in store.rows("chat/message")]
    store.commit(Changes(b"1", {"chat/message": {id: None}}))
    life.stored.on_damage = reported.append
    with pytest.raises(CorruptStateError):
        _ = life.chats.get(KEYS[0]).last
    assert len(reported) == 1
