"""A table is held for one user, whichever instance was asked, how often, and what became of the answers."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.hold import Ended
from mesaya_ws.core.interactions.hold_records import Claim, Expire, Release, hold_record, read_hold_record
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.session.authenticating import end_identity
from mesaya_ws.core.session.commands import TooManyAppendsError, Turn
from mesaya_ws.core.session.hold_rules import MAX_UNANSWERED
from mesaya_ws.core.wire import codes
from tests.core.replicas import Replica, SharedLog, said, send
from tests.described import problem
from tests.support.log import record

PLAN, DESK = "restaurant:r1:tables", "restaurant:r1:reservations"
LEASE = 300_000


class Place:
    """A restaurant with some tables, and two instances."""

    def __init__(self):
        self.log = SharedLog()
        self.log.restaurant("r1", "o1")
        self.log.restaurant("r2", "o2")
        for what, id, fields in (
            ("section", "s1", {"restaurantId": "r1"}),
            ("section", "s2", {"restaurantId": "r2"}),
            ("table", "t1", {"sectionId": "s1"}),
            ("table", "foreign", {"sectionId": "s2"}),
        ):
            new = record(f"{what}.created", id, **fields)
            self.log.append(new.topic, new.value)
        self.replicas = [Replica(self.log, name=name) for name in "ab"]

    def propose(self, said):
        new = hold_record(said)
        self.log.append(new.topic, new.value, new.key)

    def settle(self):
        for replica in self.replicas:
            replica.append()
        for replica in self.replicas:
            replica.read()

    def records(self):
        return [read_hold_record(each) for each in self.log.records if each.topic == HOLDS]


@pytest.fixture
def place():
    return Place()


def select(session, hold="h1", tables=("t1",), **fields):
    send(session, "table.select", restaurantId="r1", tableIds=list(tables), holdId=hold, id=hold, **fields)


def received(session):
    """Return what a client has received, all of which is described."""
    messages = said(session)
    assert [problem(each) for each in messages] == [None] * len(messages)
    return messages


def test_first_claim_is_selected_and_others_learn_until_when(place):
    one, other = place.replicas[0].client("u1"), place.replicas[1].client("u2")
    watcher = place.replicas[1].client()
    send(watcher, channel=PLAN)
    said(watcher)
    select(one, "h1", **{"from": "2027-01-22T19:00:00Z"})
    select(other, "h2")
    assert said(one) == said(other) == []
    place.settle()
    [answer] = received(one)
    ends = answer["expiresAt"]
    assert 299 <= answer.pop("expiresIn") <= 300
    assert answer == {
        "type": "selected",
        "id": "h1",
        "holdId": "h1",
        "tableIds": ["t1"],
        "from": "2027-01-22T19:00:00.000Z",
        "to": "2027-01-22T20:30:00.000Z",
        "token": 0,
        "expiresAt": ends,
    }
    [refused] = received(other)
    assert (refused["type"], refused["code"], refused["id"]) == ("error", "conflict", "h2")
    assert (refused["until"], 299 <= refused["expiresIn"] <= 300) == (ends, True)
    [event] = received(watcher)
    assert (event["type"], event["data"]["tableIds"]) == ("table.selecting", ["t1"])
    assert "u1" not in str(event)
    assert "h1" not in str(event)


def test_restaurant_sees_who_holds_and_may_release(place):
    guest, owner = place.replicas[0].client("u1"), place.replicas[1].client("o1", "OWNER")
    send(owner, channel=DESK)
    said(owner)
    select(guest)
    place.settle()
    said(guest)
    [event] = received(owner)
    assert (event["type"], event["data"]["holdId"], event["data"]["userId"]) == ("hold.created", "h1", "u1")
    send(owner, "table.release", holdId="h1", id=7)
    place.settle()
    event, answer = received(owner)
    assert (event["type"], event["data"]["reason"]) == ("hold.ended", "released")
    assert answer == {
        "type": "released",
        "id": 7,
        "holdId": "h1",
        "tableIds": ["t1"],
        "from": None,
        "to": None,
        "reason": "released",
    }


def test_known_id_is_answered_at_once_with_its_first_outcome(place):
    one, other = place.replicas[0].client("u1"), place.replicas[1].client("u2")
    select(one)
    select(other, "h2")
    place.settle()
    first, refused = said(one), said(other)
    select(one, tables=["t9"])
    select(other, "h2")
    assert [{**each, "expiresIn": 0} for each in said(one)] == [{**each, "expiresIn": 0} for each in first]
    assert said(other)[0]["until"] == refused[0]["until"]
    assert not any(replica.services.commands for replica in place.replicas)


def test_id_of_somebody_else_says_nothing_of_the_hold(place):
    one, other = place.replicas[0].client("u1"), place.replicas[0].client("u2")
    select(one)
    place.settle()
    select(other, "h1", ["t5"])
    [answer] = received(other)
    assert answer == {
        "type": "error",
        "code": "conflict",
        "id": "h1",
        "message": "The hold with this id is somebody else's.",
    }


def test_second_tab_gets_the_hold_that_there_is(place):
    one, two = (replica.client("u1") for replica in place.replicas)
    select(one, "h1")
    place.settle()
    select(two, "h2")
    place.settle()
    [first], [second] = said(one), said(two)
    assert (second["type"], second["holdId"], second["id"]) == ("selected", "h1", "h2")
    assert second["expiresAt"] == first["expiresAt"]


def test_third_hold_in_a_restaurant_is_one_too_many(place):
    session = place.replicas[0].client("u1")
    for number in range(3):
        select(session, f"h{number}", [f"x{number}"])
    place.settle()
    first, _, third = received(session)
    assert (third["code"], third["until"]) == ("too_many", first["expiresAt"])


@pytest.mark.parametrize(
    ("user", "fields", "code"),
    [
        (None, {}, "unauthorized"),
        ("u1", {"restaurantId": "r9"}, "unknown_restaurant"),
        ("u1", {"tableIds": []}, "bad_message"),
        ("u1", {"tableIds": ["t1"] * 5}, "bad_message"),
        ("u1", {"tableIds": [1]}, "bad_message"),
        ("u1", {"tableIds": ["a b"]}, "bad_message"),
        ("u1", {"tableIds": ["foreign"]}, "not_found"),
        ("u1", {"holdId": "a b"}, "bad_message"),
        ("u1", {"from": "tomorrow"}, "bad_message"),
        ("u1", {"from": "2027-01-22"}, "bad_message"),
        ("u1", {"from": 5}, "bad_message"),
        ("u1", {"to": "2027-01-22T19:00:00Z"}, "bad_message"),
        ("u1", {"from": "2027-01-22T19:00:00Z", "to": "2027-01-22T19:00:00Z"}, "bad_message"),
        ("u1", {"from": "2027-01-22T19:00:00Z", "to": "2027-01-24T19:00:00Z"}, "bad_message"),
        ("u1", {"from": "0001-01-01T00:00:00+14:00"}, "bad_message"),
        ("u1", {"from": "9999-12-31T23:59:00Z"}, "bad_message"),
    ],
)
def test_claim_that_cannot_be_made_is_refused_before_it_is_in_the_log(place, user, fields, code):
    session = place.replicas[0].client(user)
    send(session, "table.select", **({"restaurantId": "r1", "tableIds": ["t1"], "holdId": "h1", "id": 1} | fields))
    [error] = received(session)
    assert (error["code"], error["id"]) == (code, 1)
    assert not place.replicas[0].services.commands


def test_instance_that_is_still_reading_holds_nothing():
    log = SharedLog()
    log.restaurant("r1", "o1")
    replica = Replica(log)
    replica.feed.progress.live = False
    session = replica.client("u1")
    select(session)
    assert said(session)[0]["code"] == "unavailable"


def test_sixth_claim_in_a_second_is_too_often(place):
    session = place.replicas[0].client("u1")
    for number in range(6):
        select(session, f"h{number}", [f"x{number}"])
    assert [each["code"] for each in received(session)] == ["rate_limited"]


def test_release_of_ones_own_hold_is_answered_and_so_is_its_retry(place):
    session = place.replicas[0].client("u1")
    select(session)
    send(session, "table.release", holdId="h1", id=1)
    place.settle()
    _, answer = received(session)
    assert (answer["type"], answer["reason"]) == ("released", "released")
    send(session, "table.release", holdId="h1", id=1)
    assert received(session) == [answer]
    select(session)
    assert received(session) == [{**answer, "id": "h1"}], "a claim that has ended is not made again"


@pytest.mark.parametrize("hold", ["h1", "h9"])
def test_hold_of_another_guest_and_unknown_one_are_not_found(place, hold):
    one, other = place.replicas[0].client("u1"), place.replicas[0].client("u2")
    select(one)
    place.settle()
    send(other, "table.release", holdId=hold, id=1)
    place.settle()
    [error] = received(other)
    assert error["code"] == "not_found"
    assert place.replicas[0].feed.known.hold_outcome("h1").hold.ended is None


def test_refused_claim_can_be_released_no_more_than_an_unknown_one(place):
    one, other = place.replicas[0].client("u1"), place.replicas[0].client("u2")
    select(one)
    place.settle()
    select(other, "h2")
    place.settle()
    said(other)
    send(other, "table.release", holdId="h2")
    assert received(other)[0]["code"] == "not_found"


def knows_time(replica):
    """Let an instance append a record at once, so that it knows the log's time from both sides."""
    now = round(replica.seconds * 1000)
    replica.holds.log_clock.appended(replica.log.now, now, now)


def test_others_are_refused_before_the_log_where_a_hold_surely_stands(place):
    replica = place.replicas[0]
    one, other = replica.client("u1"), replica.client("u2")
    select(one)
    place.settle()
    knows_time(replica)
    select(other, "h2")
    [error] = received(other)
    assert error["code"] == "conflict"
    assert 299 <= error["expiresIn"] <= 300
    assert not replica.services.commands
    replica.seconds += 298
    select(other, "h3")
    assert said(other) == []
    assert len(replica.services.commands) == 1, "it may have ended when the claim is in the log"


def test_nobody_is_refused_before_the_log_by_an_instance_that_is_late_or_knows_no_time(place):
    replica = place.replicas[0]
    one, other = replica.client("u1"), replica.client("u2")
    select(one)
    place.settle()
    select(other, "h2")
    assert len(replica.services.commands) == 1
    knows_time(replica)
    new = record("restaurant.updated", "r2", name="x")
    place.log.append(new.topic, new.value)
    replica.feed.ingest(replica._metadata(), place.log.now)
    select(other, "h3")
    assert len(replica.services.commands) == 2


def test_client_that_has_signed_out_by_its_turn_gets_no_hold(place):
    replica = place.replicas[0]
    session = replica.client("u1")
    select(session, "h1")
    replica.append()
    select(session, "h2", ["t2"])
    end_identity(session, codes.SIGNED_OUT, 0.0)
    said(session)
    place.settle()
    assert [answer["code"] for answer in received(session)] == ["unauthorized"] * 2
    replica.append_proposed()
    place.settle()
    assert [type(said).__name__ for said in place.records()] == ["Claim", "Release"]
    assert place.replicas[1].feed.known.hold_outcome("h1").hold.ended is Ended.ABANDONED


def test_release_on_its_way_is_decided_by_the_log_before_its_user_is_told_selected_again(place):
    session = place.replicas[0].client("u1")
    select(session)
    place.settle()
    said(session)
    send(session, "table.release", holdId="h1", id=1)
    select(session)
    place.settle()
    assert [(answer["type"], answer["id"]) for answer in received(session)] == [("released", 1), ("released", "h1")]


def test_claim_answered_unavailable_is_taken_back_when_it_turns_up(place):
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    select(session)
    [(_, command)] = replica.services.commands
    replica.fail()
    assert received(session)[0]["code"] == "unavailable"
    place.log.append(command.record.topic, command.record.value, command.record.key)
    replica.read()
    replica.holds.on_claim(place.records()[0], replica.feed.known)
    replica.append_proposed()
    place.settle()
    assert place.records()[1:] == [Release("h1", None, "abandoned", "a", 1)]
    assert replica.feed.known.hold_outcome("h1").hold.ended is Ended.ABANDONED
    replica.holds.on_claim(place.records()[0], replica.feed.known)
    assert replica.proposed == [], "once"


def give_up(replica, session):
    """Let a client claim a table, and hear that it is unavailable; return its command, which may be in the log."""
    select(session)
    [(_, command)] = replica.services.commands
    replica.fail()
    assert received(session)[-1]["code"] == "unavailable"
    return command


def turn_up(place, replica, command):
    """Let the log show a claim that its instance has given up, and the instance see that it has."""
    place.log.append(command.record.topic, command.record.value, command.record.key)
    replica.read()
    replica.holds.on_claim(place.records()[-1], replica.feed.known)


@pytest.fixture
def abandoned(place):
    """Let a claim of the first instance be read that was answered as unavailable, and its end be proposed there."""
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    turn_up(place, replica, give_up(replica, session))
    place.replicas[1].read()
    assert len(replica.proposed) == 1
    return session


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("is_first", [True, False])
def test_retry_of_what_is_being_taken_back_is_decided_by_the_log(place, abandoned, number, is_first):
    """An answer at once would be `selected`, and the hold would end right after it, if the release is first."""
    replica = place.replicas[number]
    session = abandoned if number == 0 else replica.client("u1")
    select(session)
    assert received(session) == []
    if is_first:
        replica.append()
    place.replicas[0].append_proposed()
    place.settle()
    [answer] = received(session)
    hold = place.replicas[1].feed.known.hold_outcome("h1").hold
    if is_first:
        assert (answer["type"], hold.ended) == ("selected", None)
        select(session)
        assert received(session)[0]["type"] == "selected", "at once: what was proposed is void"
    else:
        assert (answer["type"], answer["reason"], hold.ended) == ("released", "abandoned", Ended.ABANDONED)
        select(session, "h2")
        place.settle()
        assert received(session)[0]["type"] == "selected"


def test_retry_that_is_given_up_too_is_taken_back_though_its_record_is_never_read(place):
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    command = give_up(replica, session)
    select(session)
    turn_up(place, replica, command)
    assert replica.proposed == [], "the retry waits"
    replica.fail()
    assert received(session)[0]["code"] == "unavailable"
    replica.append_proposed()
    place.settle()
    assert place.records()[1:] == [Release("h1", None, "abandoned", "a", 1)]


def test_retry_that_is_read_after_the_first_claim_was_taken_back_is_taken_back_too(place):
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    for command in [give_up(replica, session) for _ in range(2)]:
        turn_up(place, replica, command)
    replica.append_proposed()
    place.settle()
    assert replica.feed.known.hold_outcome("h1").hold.ended is Ended.ABANDONED


def test_retry_that_was_read_keeps_the_hold_from_another_that_was_given_up(place):
    replica = place.replicas[0]
    one, other = replica.client("u1"), replica.client("u1")
    select(one)
    [(_, first)] = replica.services.commands
    replica.services.commands.clear()
    second = give_up(replica, other)
    replica.services.commands.append((one, first))
    place.settle()
    assert received(one)[0]["type"] == "selected"
    turn_up(place, replica, second)
    assert replica.proposed == []


def test_hold_of_which_another_tab_was_told_is_not_taken_back(place):
    replica = place.replicas[0]
    select(replica.client("u1"))
    [(_, first)] = replica.services.commands
    replica.services.commands.clear()
    place.log.append(first.record.topic, first.record.value, first.record.key)
    tab, late = replica.client("u1"), replica.client("u1")
    select(tab, "h2")
    replica.append()
    select(late)
    replica.read()
    assert [(each["type"], each["holdId"]) for each in received(tab)] == [("selected", "h1")]
    [(_, command)] = replica.services.commands
    replica.fail()
    assert received(late)[0]["code"] == "unavailable"
    turn_up(place, replica, command)
    assert replica.proposed == []


def test_hold_that_its_user_has_is_not_taken_back_for_a_retry_that_was_unavailable(place):
    """A client that has moved to another instance asks for its hold again; that it has, it was told before."""
    there, session = place.replicas[1], place.replicas[0].client("u1")
    select(session)
    place.settle()
    assert received(session)[0]["type"] == "selected"
    turn_up(place, there, give_up(there, there.client("u1")))
    assert there.proposed == []


def test_hold_of_another_user_is_not_taken_back_for_a_claim_with_its_id(place):
    replica = place.replicas[0]
    one, other = replica.client("u1"), replica.client("u2")
    select(one)
    replica.append()
    command = give_up(replica, other)
    replica.read()
    turn_up(place, replica, command)
    assert replica.proposed == []
    assert received(one)[0]["type"] == "selected"


def test_claim_whose_asker_has_left_is_taken_back(place):
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    select(session)
    replica.append()
    session.leave()
    replica.read()
    replica.append_proposed()
    place.settle()
    assert [type(each).__name__ for each in place.records()] == ["Claim", "Release"]


def test_retry_is_answered_with_the_hold_and_keeps_it_whatever_the_first_instance_takes_back(place):
    first, second = place.replicas
    session = first.client("u1")
    select(session)
    [(_, command)] = first.services.commands
    first.fail()
    place.log.append(command.record.topic, command.record.value, command.record.key)
    again = second.client("u1")
    select(again)
    second.append()
    first.read()
    first.holds.on_claim(place.records()[0], first.feed.known)
    first.append_proposed()
    place.settle()
    assert [each["type"] for each in received(again)] == ["selected"]
    assert all(replica.feed.known.hold_outcome("h1").hold.ended is None for replica in place.replicas)


def test_retry_to_the_same_instance_waits_again(place):
    replica, session = place.replicas[0], place.replicas[0].client("u1")
    select(session)
    [(_, command)] = replica.services.commands
    replica.fail()
    said(session)
    place.log.append(command.record.topic, command.record.value, command.record.key)
    select(session)
    replica.read()
    replica.holds.on_claim(place.records()[0], replica.feed.known)
    assert replica.proposed == []
    place.settle()
    assert received(session)[0]["type"] == "selected"


def test_claims_that_nobody_waits_for_are_remembered_within_a_bound(place):
    rules = place.replicas[0].holds
    select(place.replicas[0].client("u1"))
    [(_, command)] = place.replicas[0].services.commands
    claim = read_hold_record(Record(HOLDS, 0, 0, 0, None, command.record.value))
    for number in range(MAX_UNANSWERED + 2):
        rules.unanswered(claim._replace(id=f"n{number}"), place.replicas[0].feed.known, may_turn_up=True)
    assert len(rules._unanswered) == MAX_UNANSWERED
    assert [("a", id, "u1") in rules._unanswered for id in ("n1", "n2")] == [False, True]


@pytest.mark.parametrize(
    ("is_handed_over", "result", "may_turn_up"),
    [
        (False, TooManyAppendsError("You have too many."), False),
        (False, LogUnavailableError("It takes those before it."), False),
        (True, RecordRejectedError("It is too large."), False),
        (True, LogUnavailableError("It is away."), True),
    ],
)
def test_claim_is_remembered_if_the_log_may_have_it_alone(place, is_handed_over, result, may_turn_up):
    replica = place.replicas[0]
    session = replica.client("u1")
    select(session)
    [(_, command)] = replica.services.commands
    if is_handed_over:
        assert command.turn() is Turn.DUE
    session.on_appended(command, result)
    assert received(session)[0]["type"] == "error"
    assert replica.holds._unanswered == ({("a", "h1", "u1"): 1} if may_turn_up else {})
    assert not replica.holds._waiting


def test_hold_whose_time_has_come_is_no_answer_to_a_retry(place):
    session = place.replicas[0].client("u1")
    select(session)
    place.settle()
    said(session)
    place.log.now += LEASE
    select(session)
    place.settle()
    [answer] = received(session)
    assert (answer["type"], answer["reason"]) == ("released", "expired")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_of_any_rush_on_instances_at_any_pace_one_wins_and_its_retries_with_it(data):
    place = Place()
    clients = []
    for number in range(data.draw(st.integers(2, 8), "clients")):
        replica = data.draw(st.sampled_from(place.replicas))
        clients.append((f"h{number}", f"u{number}", replica.client(f"u{number}")))
    answers = {}
    for hold, user, session in clients:
        select(session, hold)
        again = data.draw(st.sampled_from(["no", "same", "other"]), "again")
        if again != "no":
            replica = data.draw(st.sampled_from(place.replicas))
            other = session if again == "same" else replica.client(user)
            select(other, hold)
            answers.setdefault(hold, set()).add(other)
        answers.setdefault(hold, set()).add(session)
        match data.draw(st.sampled_from(["nothing", "append", "fail", "read"]), "then"):
            case "append":
                data.draw(st.sampled_from(place.replicas)).append()
            case "fail":
                data.draw(st.sampled_from(place.replicas)).fail()
            case "read":
                data.draw(st.sampled_from(place.replicas)).read(data.draw(st.integers(1, 3)))
    for _ in range(3):
        place.settle()
    won = {
        hold
        for hold, sessions in answers.items()
        for session in sessions
        for answer in received(session)
        if answer["type"] == "selected"
    }
    live = [[hold.id for hold in replica.feed.known.live_holds_in("r1")] for replica in place.replicas]
    assert live[0] == live[1]
    assert len(live[0]) <= 1
    assert won <= set(live[0])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_hold_of_which_its_user_was_told_is_never_taken_back_whatever_was_unavailable_before(data):
    place, sessions, asked = Place(), [], set()
    ids = data.draw(st.sampled_from([["h1"], ["h1", "h2"]]), "ids")

    def take_back(replica):
        def on_record(record, _):
            if record.topic == HOLDS and isinstance(claim := read_hold_record(record), Claim):
                replica.holds.on_claim(claim, replica.feed.known)

        replica.report = on_record

    def lose(replica):
        pending, replica.appended[:] = list(replica.appended), []
        for session, command, _ in pending:
            session.on_appended(command, LogUnavailableError("It is away."))

    for replica in place.replicas:
        take_back(replica)
    for _ in range(data.draw(st.integers(3, 16), "steps")):
        replica = data.draw(st.sampled_from(place.replicas), "replica")
        match data.draw(st.sampled_from(["ask", "ask", "append", "fail", "lose", "read", "propose"]), "step"):
            case "ask":
                replica.seconds += 10
                sessions.append(replica.client("u1"))
                asked.add(hold := data.draw(st.sampled_from(ids), "hold"))
                select(sessions[-1], hold)
            case "append":
                replica.append()
            case "fail":
                replica.fail()
            case "lose":
                lose(replica)
            case "read":
                replica.read(data.draw(st.integers(1, 2), "records"))
            case "propose":
                replica.append_proposed()
    for _ in range(3):
        place.settle()
        for replica in place.replicas:
            replica.append_proposed()
    told = {each["holdId"] for session in sessions for each in received(session) if each["type"] == "selected"}
    live = [{hold.id for hold in replica.feed.known.live_holds_in("r1")} for replica in place.replicas]
    assert live[0] == live[1]
    assert told <= live[0]
    if asked == {"h1"}:
        assert live[0] == told, "none is left of which nobody knows"


def test_message_with_a_field_of_a_wrong_type_is_refused_by_the_name_on_the_wire(place):
    session = place.replicas[0].client("u1")
    select(session, **{"from": 5})
    [error] = received(session)
    assert error["message"].startswith("In 'table.select', from must be text")


def test_expire_that_is_proposed_ends_a_hold_for_all_that_look(place):
    watcher = place.replicas[0].client()
    send(watcher, channel=PLAN)
    said(watcher)
    session = place.replicas[1].client("u1")
    select(session)
    place.settle()
    place.log.now += LEASE
    place.propose(Expire("h1"))
    place.settle()
    assert [each["type"] for each in received(watcher)] == ["table.selecting", "table.released"]
    send(watcher, channel=PLAN, snapshot=True)
    assert received(watcher)[-1]["data"]["holds"] == []


def test_records_of_clients_are_what_the_page_says(place):
    session = place.replicas[0].client("u1")
    select(session, tables=["t2", "t1", "t2"])
    [(_, command)] = place.replicas[0].services.commands
    assert orjson.loads(command.record.value) == {
        "type": "claim",
        "holdId": "h1",
        "restaurantId": "r1",
        "tables": ["t1", "t2"],
        "from": None,
        "to": None,
        "user": "u1",
        "lease_ms": LEASE,
        "replica": "a",
        "n": 1,
    }
