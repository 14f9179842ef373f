"""What everybody sees of a hold, what the restaurant sees, and what of it stands in snapshots."""

import orjson

from mesaya_ws.core.access.channels import kind_of, parse_channel
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.feed.snapshot import state, view_of
from mesaya_ws.core.interactions.hold_records import Attach, Claim, Convert, Expire, Release, Slot, hold_record
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import SnapshotRules
from tests.described import problem
from tests.support.instance import a_window
from tests.support.log import event, user

T = 1_790_000_000_000
AT = "2026-09-21T14:13:20.000Z"
LEASE = 300_000
PLAN, DESK = "restaurant:R:tables", "restaurant:R:reservations"
SLOT = Slot(T + 3_600_000, T + 9_000_000)


class Place:
    """What is known of a restaurant, and of the holds of its tables."""

    def __init__(self):
        self.projections, self.offset, self.outcome = Projections(), 0, None
        process(event("restaurant.created", "R", ownerId="o1"), self.projections)
        process(user("u1", "Ana", "Diaz"), self.projections)

    def receives(self, said, at=T, partition=0):
        new = hold_record(said)
        read = decode(Record(HOLDS, partition, self.offset, at, new.key, new.value))
        self.offset += 1
        self.outcome = process(read, self.projections)
        assert len({each.channel for each in self.outcome.messages}) == len(self.outcome.messages)
        for each in self.outcome.messages:
            sent = {"type": each.type, "channel": each.channel, "position": "p", "timestamp": each.timestamp}
            assert problem(sent | {"data": orjson.loads(orjson.dumps(each.data))}) is None
        return {each.channel: (each.type, each.data) for each in self.outcome.messages}

    def shows(self, channel, now=T):
        view = view_of(parse_channel(channel), self.projections, a_window(), T + 10**9, SnapshotRules(), log_now=now)
        return state(view.channel, view).get("holds")


def claim(id="h1", tables=("t1",), slot=None, user="u1"):
    return Claim(id, "R", tables, slot, user, LEASE, "a", 1)


def test_hold_that_begins_names_its_holder_to_the_restaurant_alone():
    messages = Place().receives(claim(slot=SLOT))
    held = {"tableIds": ("t1",), "from": "2026-09-21T15:13:20.000Z", "to": "2026-09-21T16:43:20.000Z"}
    held |= {"expiresAt": "2026-09-21T14:18:20.000Z", "expiresIn": 300}
    holder = {"holdId": "h1", "userId": "u1", "clientName": "Ana Diaz", "token": 0}
    assert messages == {PLAN: ("table.selecting", held), DESK: ("hold.created", holder | held)}
    assert kind_of(PLAN).topics[-1] == kind_of(DESK).topics[-1] == HOLDS


def test_hold_that_ends_says_why_on_both_channels():
    place = Place()
    place.receives(claim())
    messages = place.receives(Convert("h1", "x1"))
    ended = {"tableIds": ("t1",), "from": None, "to": None, "reason": "reserved"}
    assert messages[PLAN] == ("table.released", ended)
    holder = {"holdId": "h1", "userId": "u1", "clientName": "Ana Diaz", "reservationId": "x1"}
    assert messages[DESK] == ("hold.ended", holder | ended)


def test_reservation_that_comes_after_the_end_of_a_hold_is_not_why_it_has_ended():
    place = Place()
    place.receives(claim())
    kind, data = place.receives(Convert("h1", "x1"), T + LEASE)[DESK]
    assert (kind, data["reason"]) == ("hold.ended", "expired")
    assert "reservationId" not in data


def test_claim_that_finds_others_at_their_end_is_one_message_on_each_channel():
    place = Place()
    place.receives(claim())
    place.receives(claim("h2", ("t2",), user="u2"))
    messages = place.receives(claim("h3", ("t1", "t2"), user="u3"), T + LEASE)
    kind, data = messages[PLAN]
    assert (kind, data["tableIds"]) == ("table.selecting", ("t1", "t2"))
    assert [(each["tableIds"], each["reason"]) for each in data["released"]] == [
        (("t1",), "expired"),
        (("t2",), "expired"),
    ]
    kind, data = messages[DESK]
    assert (kind, data["holdId"]) == ("hold.created", "h3")
    assert [(each["holdId"], each["reason"]) for each in data["ended"]] == [("h1", "expired"), ("h2", "expired")]
    assert "u1" not in str(messages[PLAN])
    assert "h1" not in str(messages[PLAN])


def test_void_proposals_become_no_message():
    place = Place()
    place.receives(claim())
    for said in (Expire("h1"), Release("h1", "u2", "released"), claim(), claim("h2", user="u2"), Expire("h9")):
        assert place.receives(said) == {}
        assert place.outcome.reason is Disposition.VOID
    assert place.receives(Attach("h1", "u1", "b", 1)) == {}
    assert place.outcome.reason is Disposition.PUBLISHED


def test_other_partition_than_the_first_decides_nothing():
    place = Place()
    assert place.receives(claim(), partition=1) == {}
    assert place.outcome.reason is Disposition.VOID
    assert len(place.projections.holds) == 0


def test_snapshots_have_the_live_holds_by_the_time_of_the_log():
    place = Place()
    assert (place.shows(PLAN), place.shows(DESK)) == ([], None)
    place.receives(claim())
    place.receives(claim("h2", ("t2",), user="u2"), T + 1000)
    place.receives(Release("h2", "u2", "released"), T + 2000)
    [held] = place.shows(PLAN, T + 100_500)
    assert held == {
        "tableIds": ("t1",),
        "from": None,
        "to": None,
        "expiresAt": "2026-09-21T14:18:20.000Z",
        "expiresIn": 199.5,
    }
    holder = {"holdId": "h1", "userId": "u1", "clientName": "Ana Diaz", "token": 0}
    assert place.shows(DESK, T + 100_500) == [holder | held]
    assert place.shows(PLAN, T + 400_000)[0]["expiresIn"] == 0


def test_deleted_restaurant_shows_and_says_nothing_of_its_holds():
    place = Place()
    place.receives(claim())
    process(event("restaurant.deleted", "R"), place.projections)
    assert place.receives(Release("h1", "u1", "released")) == {}
    assert place.shows(PLAN) == []


def test_holds_are_among_what_a_checkpoint_keeps():
    place, other = Place(), Projections()
    place.receives(claim(slot=SLOT))
    place.receives(claim("h2", user="u2"))
    for row in rows_of(place.projections):
        load_row(other, *row)
    assert list(rows_of(other)) == list(rows_of(place.projections))
