"""Of all who want a table at the same time on an instance, one is written, and decides on the others."""

import pytest

from mesaya_ws.core.interactions.hold_records import Claim, Detach, Release, hold_record
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.session.commands import Turn, WaitsFor
from tests.core.replicas import send
from tests.core.session.test_holds import Place, knows_time, received, select


@pytest.fixture
def place():
    return Place()


def rush(replica, count, tables=("t1",), **fields):
    """Let so many guests of one instance want the same tables, and none anything else; return them."""
    guests = [replica.client(f"u{number}") for number in range(count)]
    for number, guest in enumerate(guests):
        select(guest, f"h{number}", tables, **fields)
    turns = [turn(each) for each in replica.services.commands]
    assert turns[0] is Turn.DUE
    assert all(isinstance(each, WaitsFor) for each in turns[1:])
    return guests


def test_of_all_who_rush_for_a_table_on_an_instance_one_is_written_and_decides(place):
    replica = place.replicas[0]
    knows_time(replica)
    winner, *others = rush(replica, 50)
    place.settle()
    [answer] = received(winner)
    replica.append()
    assert {(each["code"], each["until"]) for other in others for each in received(other)} == {
        ("conflict", answer["expiresAt"])
    }
    assert [claim.id for claim in place.records()] == ["h0"]
    assert not replica.services.commands


def test_claim_waits_for_those_of_other_users_that_are_in_its_way_alone(place):
    replica = place.replicas[0]
    select(replica.client("u1"), "h1", ["t1", "t2"], **{"from": "2027-01-22T19:00:00Z"})
    select(replica.client("u2"), "late", ["t1"], **{"from": "2027-01-22T20:30:00Z"})
    select(replica.client("u3"), "beside", ["t3"])
    select(replica.client("u1"), "tab", ["t1"], **{"from": "2027-01-22T19:00:00Z"})
    select(replica.client("u4"), "in-the-way", ["t2", "t3"])
    replica.append()
    assert [claim.id for claim in place.records()] == ["h1", "late", "beside", "tab"]


@pytest.mark.parametrize("how", ["cannot be written", "is refused", "ends at once"])
def test_all_who_waited_are_written_where_the_first_claim_decides_nothing(place, how):
    replica = place.replicas[0]
    knows_time(replica)
    if how == "is refused":
        owner = replica.client("u0")
        for number in range(2):
            select(owner, f"x{number}", [f"x{number}"])
        place.settle()
    _, *others = rush(replica, 5)
    if how == "cannot be written":
        session, command = replica.services.commands.pop(0)
        session.on_appended(command, RecordRejectedError("It is too large."))
    else:
        replica.append()
        if how == "ends at once":
            place.propose(Release("h0", None, "released"))
        place.settle()
    place.settle()
    assert [claim.id for claim in place.records() if isinstance(claim, Claim)][-4:] == ["h1", "h2", "h3", "h4"]
    kinds = [each["type"] for other in others for each in received(other)]
    assert kinds == ["selected", "error", "error", "error"]


def test_who_is_not_answered_at_once_waits_for_nobody_else(place):
    """Or who wants a table that all want would wait for one after the other."""
    replica = place.replicas[0]
    first, second, _ = rush(replica, 3)
    session, command = replica.services.commands.pop(0)
    assert session is first
    session.on_appended(command, RecordRejectedError("It is too large."))
    select(first, "again")
    assert [turn(each) for each in replica.services.commands] == [Turn.DUE] * 3
    replica.append()
    assert received(second) == []
    place.settle()
    assert received(second)[0]["type"] == "selected"


def test_all_who_waited_are_answered_like_the_first_claim_where_the_log_does_not_answer(place):
    """Or all of them would be written to a log that hangs, and turn up once it does not."""
    replica = place.replicas[0]
    knows_time(replica)
    first, *others = rush(replica, 5)
    session, command = replica.services.commands.pop(0)
    assert session is first
    session.on_appended(command, LogUnavailableError("It is away."))
    place.settle()
    assert place.records() == []
    assert [[each["code"] for each in received(other)] for other in others] == [["unavailable"]] * 4
    assert not replica.holds.rushes._claims
    assert [id for _, id, _ in replica.holds._unanswered] == ["h0"], "the others cannot turn up"
    select(others[0], "again")
    place.settle()
    assert received(others[0])[0]["type"] == "selected"


def test_who_waited_for_a_claim_that_was_lost_hears_what_is_known_by_then(place):
    """The claim may have been read after its asker was answered, or another instance's instead."""
    replica = place.replicas[0]
    knows_time(replica)
    _, other = rush(replica, 2)
    session, command = replica.services.commands.pop(0)
    elsewhere = place.replicas[1].client("u9")
    select(elsewhere, "h9")
    place.replicas[1].append()
    replica.read()
    session.on_appended(command, LogUnavailableError("It is away."))
    replica.append()
    [answer] = received(other)
    assert answer["code"] == "conflict"
    assert [claim.id for claim in place.records()] == ["h9"]


def test_claim_whose_asker_has_left_before_its_turn_is_not_written(place):
    replica = place.replicas[0]
    knows_time(replica)
    winner, gone, stays = rush(replica, 3)
    alone = replica.client("u9")
    select(alone, "h9", ["t9"])
    for session in (gone, alone):
        session.leave()
    replica.append()
    replica.read()
    assert received(winner)[0]["type"] == "selected"
    place.propose(Release("h0", None, "released"))
    replica.read()
    place.settle()
    assert [said.id for said in place.records() if isinstance(said, Claim)] == ["h0", "h2"]
    assert received(stays)[0]["type"] == "selected"
    assert not replica.services.commands
    assert not replica.holds.rushes._claims
    assert not replica.holds._waiting
    assert not replica.holds._unanswered, "they cannot turn up"


@pytest.mark.parametrize("how", ["has left", "releases it", "is detached"])
def test_who_waits_is_not_refused_by_a_hold_whose_end_is_on_its_way(place, how):
    replica = place.replicas[0]
    knows_time(replica)
    winner, *others = rush(replica, 3)
    replica.append()
    match how:
        case "has left":
            winner.leave()
        case "releases it":
            send(winner, "table.release", holdId="h0")
        case "is detached":
            replica.holds.detaching["h0"] = 1
            replica.proposed.append(hold_record(Detach("h0", "a", 1)))
    replica.read()
    late = replica.client("u9")
    select(late, "h9")
    replica.append_proposed()
    if how == "releases it":
        # The winner's own command is the first; those who wait are behind it.
        replica.services.commands.sort(key=lambda each: each[0] is not winner)
    place.settle()
    place.settle()
    answers = [answer for each in (*others, late) for answer in received(each)]
    assert [(answer.get("code", "selected"), answer["id"]) for answer in answers] == [
        ("selected", "h1"),
        ("conflict", "h2"),
        ("conflict", "h9"),
    ]


def turn(waiting):
    _, command = waiting
    return command.turn()


def test_nobody_waits_for_a_claim_that_waits_in_the_queue_of_its_own_client(place):
    replica = place.replicas[0]
    for id, user in [("h1", "u1"), ("h2", "u2"), ("h3", "u3")]:
        select(replica.client(user), id)
    in_queue, first, second = replica.services.commands
    assert turn(first) is Turn.DUE
    assert turn(second) == turn(in_queue) == WaitsFor(first[1].key)
    place.settle()
    assert [claim.id for claim in place.records()] == ["h2"]


def test_claims_that_are_answered_are_no_rush_any_more(place):
    replica = place.replicas[0]
    rush(replica, 3)
    for _ in range(3):
        place.settle()
    assert not replica.holds.rushes._claims
