"""A new reservation is acknowledged once, by whoever is first, and every device of the restaurant sees it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.acknowledgements import Open, Remind, ack_record
from tests.core.replicas import Replica, SharedLog, said, send, settle
from tests.support.log import record

CHANNEL = "restaurant:r1:reservations"


class Place:
    """A restaurant with a new reservation, and two instances."""

    def __init__(self):
        self.log = SharedLog()
        self.log.restaurant("r1", "o1")
        new = record("reservation.created", "x1", restaurantId="r1", userId="u1", status="PENDING")
        self.log.append(new.topic, new.value)
        self.replicas = [Replica(self.log), Replica(self.log)]

    def propose(self, said):
        new = ack_record(said)
        self.log.append(new.topic, new.value, new.key)
        self.settle()

    def settle(self):
        settle(self.replicas)


@pytest.fixture
def place():
    return Place()


def acknowledge(session, id="x1", number=1):
    send(session, "reservation.ack", reservationId=id, id=number)


def test_first_acknowledgement_counts_and_is_the_answer_to_all(place):
    one, other = place.replicas[0].client("o1", "OWNER"), place.replicas[1].client("boss", "ADMIN")
    for session in (one, other):
        send(session, channel=CHANNEL)
        said(session)
    acknowledge(one)
    acknowledge(other)
    assert said(one) == said(other) == []
    place.settle()
    event, answer = said(one)
    assert (event["type"], event["channel"]) == ("reservation.acknowledged", CHANNEL)
    assert event["data"] == {"reservationId": "x1", "by": "o1", "at": event["timestamp"]}
    assert answer == {"type": "acknowledged", "id": 1, **event["data"]}
    assert said(other) == [event, answer]
    acknowledge(other, number=2)
    assert said(other) == [{**answer, "id": 2}], "it is known"
    assert not place.replicas[1].services.commands


def test_device_that_comes_later_sees_in_the_snapshot_what_was_acknowledged(place):
    session = place.replicas[0].client("o1")
    acknowledge(session)
    place.settle()
    later = place.replicas[1].client("o1")
    send(later, channel=CHANNEL, snapshot=True)
    _, snapshot = said(later)
    assert [each["reservationId"] for each in snapshot["data"]["acknowledged"]] == ["x1"]


@pytest.mark.parametrize("user", [None, "u1", "o2"])
@pytest.mark.parametrize("id", ["x1", "unknown"])
def test_reservation_of_others_and_unknown_one_are_refused_in_the_same_way(place, user, id):
    session = place.replicas[0].client(user)
    acknowledge(session, id)
    [error] = said(session)
    assert (error["code"], error["message"]) == ("unauthorized", "The reservation is not one of your restaurant's.")
    assert not place.replicas[0].services.commands


@pytest.mark.parametrize(("user", "code"), [("o1", "unavailable"), ("stranger", "unavailable"), (None, "unauthorized")])
def test_before_the_log_is_read_nobody_knows_whose_reservation_it_is(place, user, code):
    replica = place.replicas[0]
    replica.feed.progress.live = False
    session = replica.client(user)
    for number, id in enumerate(("x1", "unknown")):
        acknowledge(session, id, number)
        [answer] = said(session)
        assert (answer["code"], answer["id"]) == (code, number)
    assert replica.services.commands == []


def test_log_that_is_away_is_unavailable_and_the_retry_counts(place):
    session = place.replicas[0].client("o1")
    acknowledge(session)
    place.replicas[0].fail()
    assert said(session)[0]["code"] == "unavailable"
    acknowledge(session)
    place.settle()
    assert said(session)[0]["type"] == "acknowledged"


def test_reminders_are_sent_in_their_order_until_somebody_acknowledges(place):
    session = place.replicas[0].client("o1")
    send(session, channel=CHANNEL)
    said(session)
    place.propose(Open("x1", "r1", 1000))
    place.log.now += 1000
    for _ in range(2):
        place.propose(Remind("x1", "r1", 1))
    [reminder] = said(session)
    assert (reminder["type"], reminder["data"]) == ("reservation.reminder", {"reservationId": "x1", "n": 1})
    acknowledge(session)
    place.settle()
    said(session)
    place.log.now += 1000
    place.propose(Remind("x1", "r1", 2))
    assert said(session) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_replicas_that_read_at_any_pace_acknowledge_once_for_the_same_user(data):
    place = Place()
    watchers = [replica.client("o1") for replica in place.replicas]
    for watcher in watchers:
        send(watcher, channel=CHANNEL)
        said(watcher)
    sessions = []
    for _ in range(data.draw(st.integers(1, 8))):
        replica = data.draw(st.sampled_from(place.replicas))
        sessions.append(replica.client(data.draw(st.sampled_from(["o1", "boss"])), "ADMIN"))
        acknowledge(sessions[-1])
        if data.draw(st.booleans()):
            replica.append()
        if data.draw(st.booleans()):
            data.draw(st.sampled_from(place.replicas)).read(data.draw(st.integers(1, 3)))
    place.settle()
    [first], [second] = map(said, watchers)
    assert first == second
    for session in sessions:
        [answer] = said(session)
        assert answer["by"] == first["data"]["by"]
