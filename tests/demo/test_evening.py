"""What the demo plays: read by the product itself, which must understand all of it."""

from itertools import islice

import orjson
import pytest

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import Event, decode
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.demo.adopted import DOMAINS
from mesaya_ws.demo.evening import Evening
from mesaya_ws.demo.town import build_town
from mesaya_ws.demo.town_records import table_record

NOON = 1_800_000_000_000
SECOND = 1000


class Played:
    """A log in memory into which evenings are played, and what the product makes of it."""

    def __init__(self, seed=1, restaurants=3):
        self.town = build_town(seed, restaurants)
        self.records = []
        self.outcomes = []
        self.projections = Projections()
        self.now = NOON

    def begin(self):
        """Return an evening that has adopted what is there, and whose beginning is appended."""
        evening = Evening(self.town)
        for domain in DOMAINS:
            for record in self.records:
                if record.topic == topic_of(domain):
                    evening.adopt(decode(record))
        evening.resume(str(len(self.records)) if self.records else "")
        for record in evening.beginning(self.now):
            self.append(record)
        return evening

    def play(self, evening, steps):
        """Append so many steps, a second apart."""
        for _ in range(steps):
            self.now += SECOND
            self.append(evening.step(self.now))

    def append(self, new):
        record = Record(new.topic, 0, len(self.records), self.now, new.key, new.value)
        self.records.append(record)
        self.outcomes.append(process(decode(record), self.projections))

    def events(self):
        return [event for record in self.records if isinstance(event := decode(record), Event)]

    def messages(self):
        return [message for outcome in self.outcomes for message in outcome.messages]

    def tables(self):
        return {id: table["status"] for id, table in self.projections.entities["table"].alive.items()}


@pytest.fixture(scope="module")
def played():
    played = Played()
    played.play(played.begin(), 3000)
    return played


def test_every_record_is_published_but_those_of_users(played):
    dispositions = {outcome.reason for outcome in played.outcomes}
    assert dispositions == {Disposition.PUBLISHED, Disposition.AUTH}
    assert [outcome.mistyped for outcome in played.outcomes if outcome.mistyped] == []


def test_every_field_of_a_record_is_one_that_the_platform_has(played):
    events = played.events()
    assert len(events) == sum(record.topic != CHAT for record in played.records)
    assert [event for event in events if event.unknown] == []


def test_an_evening_shows_everything_that_can_become_of_a_guest(played):
    types = {message.type for message in played.messages()}
    assert types >= {
        "restaurant.created", "section.created", "table.created", "menu.created", "table.updated",
        "reservation.created", "reservation.status_changed", "payment.created", "payment.status_changed",
        "review.created", "announcement.created", "chat.message", "chat.conversation",
    }  # fmt: skip
    changed = [message.data for message in played.messages() if message.type == "reservation.status_changed"]
    assert {data["newStatus"] for data in changed} == {
        "confirmed", "rejected", "cancelled", "checked_in", "no_show", "completed",
    }  # fmt: skip
    assert all(data["previousStatus"] and data["clientName"] and data["tableId"] for data in changed)
    assert {message.data["status"] for message in played.messages() if message.type == "table.updated"} == {
        "available", "occupied", "blocked",
    }  # fmt: skip


def test_a_table_has_one_guest_at_a_time_and_is_occupied_only_while_one_is_there(played):
    guests, occupied = {}, set()
    for event in played.events():
        if event.entity == "reservation":
            table, status = event.data["tableId"], event.data["status"]
            if event.what == "created":
                assert table not in guests
                assert table not in occupied
                guests[table] = event.id
            assert guests[table] == event.id
            if status in ("rejected", "cancelled", "no_show", "completed"):
                del guests[table]
            if status == "completed":
                assert table in occupied
        elif event.entity == "table" and event.data["status"] == "occupied":
            assert event.id in guests
            occupied.add(event.id)
        elif event.entity == "table" and event.data["status"] == "available":
            occupied.discard(event.id)


def test_guests_reserve_for_a_time_to_come_and_within_the_capacity_of_the_table(played):
    capacity = {table.id: table.capacity for restaurant in played.town.restaurants for table in restaurant.tables}
    for event in played.events():
        if event.entity == "reservation" and event.what == "created":
            assert event.data["reservationTime"] > event.timestamp
            assert 1 <= event.data["numberOfGuests"] <= capacity[event.data["tableId"]]


def test_tables_of_one_section_do_not_overlap_and_lie_within_it():
    for restaurant in build_town(7, 6).restaurants:
        for section in restaurant.sections:
            places = [(table.x, table.y) for table in section.tables]
            assert len(set(places)) == len(places)
            assert all(x + 120 <= section.width and y + 80 <= section.height for x, y in places)


def test_the_same_seed_plays_the_same_and_another_one_does_not():
    evenings = [Played(seed=seed) for seed in (5, 5, 6)]
    for evening in evenings:
        evening.play(evening.begin(), 300)
    first, again, other = ([record.value for record in evening.records] for evening in evenings)
    assert first == again
    assert first != other


def test_more_restaurants_leave_the_first_ones_as_they_are():
    assert build_town(3, 9).restaurants[:4] == build_town(3, 4).restaurants
    assert len({restaurant.name for restaurant in build_town(3, 13).restaurants}) == 13


@pytest.mark.parametrize("steps", [0, 1, 7, 100, 333, 1000])
@pytest.mark.slow
def test_an_evening_that_is_taken_up_begins_nothing_anew_and_ends_what_was_begun(steps):
    played = Played(seed=steps)
    played.play(played.begin(), steps)
    before = len(played.records)
    statuses = played.tables()
    evening = played.begin()
    assert len(played.records) == before
    assert played.tables() == statuses
    played.play(evening, 1500)
    ids = [event.id for event in played.events() if event.what == "created"]
    reviews = {orjson.loads(record.value)["entity_id"] for record in played.records if "reviews" in record.topic}
    ids = [id for id in ids if id not in reviews]
    assert len(set(ids)) == len(ids)
    test_a_table_has_one_guest_at_a_time_and_is_occupied_only_while_one_is_there(played)
    # What was open at the interruption has ended by now, but for what is open at the end anyway.
    open_reservations = [
        reservation
        for reservation in played.projections.entities["reservation"].alive.values()
        if reservation["status"] in ("pending", "confirmed", "checked_in")
    ]
    assert len({reservation["tableId"] for reservation in open_reservations}) == len(open_reservations)


def test_what_is_missing_of_a_beginning_that_was_broken_off_is_added():
    played = Played()
    for record in islice(Evening(played.town).beginning(NOON), 70):
        played.append(record)
    played.begin()
    complete = Played()
    complete.begin()
    assert [record.key for record in played.records] == [record.key for record in complete.records]


def test_a_table_that_was_left_occupied_is_freed():
    played = Played()
    played.begin()
    table = played.town.restaurants[0].tables[0]
    played.append(table_record(1, table, "updated", "OCCUPIED", NOON))
    evening = played.begin()
    played.play(evening, 10)
    assert played.tables()[table.id] == "available" or any(
        one["tableId"] == table.id for one in played.projections.entities["reservation"].alive.values()
    )


def test_what_a_guest_asks_is_answered_by_the_restaurant(played):
    said = [message.data for message in played.messages() if message.type == "chat.message"]
    asked = {data["messageId"]: data for data in said if data["from"] == "guest"}
    answers = [data for data in said if data["from"] == "restaurant"]
    assert 0 < len(answers) <= len(asked)
    owners = {restaurant.id: restaurant.owner.id for restaurant in played.town.restaurants}
    for answer in answers:
        assert asked[answer["replyTo"]]["userId"] == answer["userId"]
        assert answer["authorId"] == owners[answer["restaurantId"]]
