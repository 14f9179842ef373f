"""Whatever the log holds, in whatever order: nothing is raised, and nothing leaves that must not."""

from collections import Counter

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import KINDS, Channel, parse_channel
from mesaya_ws.core.access.rights import is_private
from mesaya_ws.core.feed.router import RULES, process
from mesaya_ws.core.feed.snapshot import Snapshot, state, view_of
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.entities import ENTITIES, OF_TOPIC
from mesaya_ws.core.platform.envelope import AUTH, FOUND, Event, decode
from mesaya_ws.core.platform.fields import PRIVATE
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.rows import encoded, in_order
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS
from mesaya_ws.core.recovery.parents import missing_parent
from mesaya_ws.core.views.backfill import backfill_rule
from mesaya_ws.core.views.contents import SnapshotRules
from tests.support.instance import a_window, written

SECRET = ("userEmail", "email", "password", "passwordHash", "refreshToken")
CANARY = "CANARY"

ids = st.sampled_from("abc")
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2),
    max_leaves=5,
)
statuses = st.sampled_from(["PENDING", "APPROVED", "ACTIVE"])
times = st.sampled_from(["2026-01-20T19:00:00.000Z", "2026-01-20", "19:00", "0001-01-01T00:00:00+14:00", "T", ""])
references = sorted({name for entity in ENTITIES.values() for name in entity.fields if name.lower().endswith("id")})
others = sorted({name for entity in ENTITIES.values() for name in entity.fields} - {*references, "sections", "tables"})


def data():
    known = st.dictionaries(st.sampled_from(references), ids, max_size=8)
    odd = st.dictionaries(st.sampled_from([*others, *references, "newStatus", "extra"]), junk | times, max_size=3)
    status = st.fixed_dictionaries({}, optional={"status": statuses, "previousStatus": statuses, "createdAt": times})
    secret = st.sampled_from([{}, dict.fromkeys(SECRET, CANARY), {"extra": dict.fromkeys(SECRET, CANARY)}])
    flat = st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, known, odd, status, secret)
    nested = st.fixed_dictionaries({}, optional={"tables": st.lists(flat, max_size=2), "dishes": junk})
    whole = st.fixed_dictionaries({}, optional={"sections": st.lists(nested, max_size=1)})
    return st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, flat, nested, whole)


def envelopes():
    whats = st.sampled_from(["created", "updated", "deleted", "status_changed", FOUND])
    metadata = st.none() | st.just({"action": "owner_reassigned", "user_id": "a"}) | junk
    current = st.fixed_dictionaries(
        {"event_type": whats, "entity_id": ids, "data": data()},
        optional={"metadata": metadata, "timestamp": junk | times, "entity_subtype": st.sampled_from(list(ENTITIES))},
    )
    older = st.fixed_dictionaries(
        {"action": st.builds("{}.{}".format, st.sampled_from(list(ENTITIES)), whats), "entity": data()},
        optional={"entityId": ids},
    )
    auth = st.fixed_dictionaries(
        {"type": st.just("user.created"), "payload": data().map(lambda user: user | {"id": "a"})}
    )
    return current | current | older | auth | junk


def records():
    return st.builds(
        lambda topic, value: Record(topic, 0, 0, 0, None, orjson.dumps(value)),
        st.sampled_from((*TOPICS, PARENTS_TOPIC)),
        envelopes(),
    )


def bare_ids(entity, value):
    """Count the ids that an entity's data still calls just `id`, in the entities within it too."""
    declared = [name for name in ("sections", "tables", "dishes") if name in ENTITIES[entity].fields]
    return ("id" in value) + sum("id" in item for name in declared for item in value.get(name, ()))


@given(st.lists(records(), max_size=30))
def test_nothing_leaves_that_must_not(stream):
    projections = Projections()
    for record in stream:
        event = decode(record)
        if isinstance(event, Event):
            missing_parent(event, projections)
        outcome = process(event, projections)
        assert outcome.reason == "late" or bool(outcome.messages) == (outcome.reason == "published")
        assert all(count == 1 for count in Counter(message.channel for message in outcome.messages).values())
        for message in outcome.messages:
            check(record, message)
    check_index(projections)
    check_snapshots(projections)


@given(st.lists(records(), max_size=30))
def test_a_rule_changes_nothing_and_says_the_same_again(stream):
    projections = Projections()
    for event in map(decode, stream):
        if not isinstance(event, Event) or event.entity == "plan":
            continue
        if event.entity == AUTH:
            projections.apply_user(event)
            continue
        before = projections.lookup(event)
        after = projections.apply(event)
        known = list(rows_of(projections)), dict(projections.names), len(projections.endings.pending)
        rule = backfill_rule if event.what == FOUND else RULES[event.entity]
        first = rule(event, before, after, projections)
        assert rule(event, before, after, projections) == first
        assert (list(rows_of(projections)), projections.names, len(projections.endings.pending)) == known
        projections.endings.end_all()


@given(st.lists(records() | st.sampled_from(TOPICS), max_size=30), st.integers(0, 30), st.sampled_from([1, 2, 3, 1000]))
def test_rows_that_were_taken_are_those_that_are_known(stream, first, remembered):
    """By table and id, what was known before and the changes since make up all that is known now, in its order."""
    projections = Projections(remembered, keep_settled_days=1)
    follower, rows = None, {}
    for number, each in enumerate(stream):
        if number == first:
            rows, follower = kept(projections), projections.follow_changes()
        if isinstance(each, str):
            list(projections.replaced(each))
        else:
            process(decode(each), projections)
            projections.endings.end_all()
        if follower is not None and number % 3 == 0:
            take(follower, rows)
    if follower is not None:
        take(follower, rows)
        assert rows == kept(projections)
        again = Projections(remembered, keep_settled_days=1)
        for row in in_order((*name, orjson.loads(value)) for name, value in rows.items()):
            load_row(again, *row)
        assert kept(again) == rows
        for name, table in projections.entities.items():
            assert list(again.entities[name].alive) == list(table.alive)
            assert list(again.entities[name].gone) == list(table.gone)
        check_index(again)


def kept(projections):
    """Return all rows, encoded, by table and id, which name one row each."""
    rows = list(rows_of(projections))
    by_name = {(table, id): encoded(value) for table, id, value in rows}
    assert len(by_name) == len(rows)
    return by_name


def take(follower, rows):
    """Take what has changed, as one does who keeps rows by table and id."""
    for table, changed in follower.take().items():
        for id, value in changed.items():
            if value is None:
                rows.pop((table, id), None)
            else:
                rows[table, id] = encoded(value)


def check(record, message):
    channel = parse_channel(message.channel)
    assert channel is not None
    assert record.topic in channel.kind.topics, "a position on the channel would not say that this was seen"
    assert record.topic in OF_TOPIC
    encoded = orjson.dumps(message.data).decode()
    assert CANARY not in encoded
    assert bare_ids(message.type.partition(".")[0], message.data) == 0
    if not is_private(channel.kind.name):
        assert not PRIVATE & names(orjson.loads(encoded))


def names(value):
    """Return the names of all fields, however deep."""
    if type(value) is dict:
        return value.keys() | names(list(value.values()))
    return {name for item in value for name in names(item)} if type(value) is list else set()


def check_snapshots(projections):
    for kind in KINDS.values():
        for subject in "abc":
            channel = Channel(f"of:{subject}:{kind.name}", kind, subject)
            window = a_window(seconds=0, max_bytes=0)
            view = view_of(channel, projections, window, 0, SnapshotRules())
            snapshot = Snapshot(channel, state(channel, view), "", True, window)
            encoded = orjson.dumps(written(snapshot))
            assert CANARY.encode() not in encoded
            if not is_private(kind.name):
                assert not PRIVATE & names(orjson.loads(encoded))


def check_index(projections):
    for table in projections.entities.values():
        for field in table.entity.parents:
            parents = {data.get(field) for data in table.alive.values()} - {None}
            for parent in parents:
                assert list(table.children.under(field, parent)) == [
                    id for id, data in table.alive.items() if data.get(field) == parent
                ]
