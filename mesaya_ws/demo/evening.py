"""An evening in the town: guests reserve, are confirmed, seated, pay, leave, and write reviews.

Each table has one reservation at a time, and its stay goes through these states; one record is one step:

    reservation    table        payment      next
    PENDING        AVAILABLE    -            CONFIRMED; or REJECTED, CANCELLED: over
    CONFIRMED      AVAILABLE    -            CHECKED_IN; or CANCELLED, NO_SHOW: over
    CHECKED_IN     AVAILABLE    -            table OCCUPIED
    CHECKED_IN     OCCUPIED     -            payment created, PENDING
    CHECKED_IN     OCCUPIED     PENDING      payment COMPLETED; or FAILED, and then there is another one
    CHECKED_IN     OCCUPIED     COMPLETED    reservation COMPLETED
    COMPLETED      OCCUPIED     COMPLETED    table BLOCKED, while it is cleared
    COMPLETED      BLOCKED      COMPLETED    a review, or none; table AVAILABLE: over

Before they are seated, some guests ask the restaurant something by chat, which is answered a while later.

What is over is forgotten: the state is at most one stay for each table. It is a function of the last records of each
entity, so an evening can be taken up from a log (`adopt`) wherever it was broken off.
"""

from collections.abc import Iterator
from random import Random

from attrs import define

from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT, ConversationKey, Said, chat_record
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.envelope import Event, platform_time
from mesaya_ws.demo.adopted import OPEN, Adopted
from mesaya_ws.demo.records import Fields, fixed_id, new_id, record
from mesaya_ws.demo.texts import ANNOUNCEMENTS, CHATS, COMMENTS
from mesaya_ws.demo.town import Table, Town
from mesaya_ws.demo.town_records import table_record, town_records

CHATTING = 0.15
"""How often a guest who is not seated yet asks something, at each step of the stay."""

OCCUPANCY = 0.7
"""The share of tables that have a reservation, once the evening is under way."""

_QUARTER = 15 * 60_000
_PAID = "COMPLETED"


@define
class _Stay:
    """A reservation that is not over.

    `payment` is the last one; of a stay that was `reviewed`, no review follows. `chat` is the number of the one of
    `CHATS` that has begun, and `asked` is the id of the question until that is answered.
    """

    table: Table
    reservation: Fields
    payment: Fields | None = None
    reviewed: bool = False
    chat: int | None = None
    asked: str | None = None


class Evening:
    """Decides what happens next in a town: with the same seed, the same town and the same times, the same."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._tables = {table.id: table for restaurant in town.restaurants for table in restaurant.tables}
        self._stays: dict[str, _Stay] = {}
        self._status: dict[str, str] = {}
        self._adopted = Adopted(frozenset(self._tables))
        self._random = Random(town.seed)

    def adopt(self, event: Event) -> None:
        """Note what the log already says; in the order of `DOMAINS`, and within one in any order."""
        self._adopted.adopt(event)

    def resume(self, place: str) -> None:
        """Take up what was adopted; `place` is where the log ends, and decides with the seed what happens from here."""
        for id, table in self._tables.items():
            status, reservation, payment = self._adopted.standing(id)
            if reservation is not None:
                self._stays[id] = _Stay(table, reservation, payment)
            if status != "AVAILABLE":
                self._status[id] = status
        self._random = Random(f"{self._town.seed}:{place}") if place else Random(self._town.seed)

    def beginning(self, now: int) -> Iterator[NewRecord]:
        """Yield what the log lacks for an evening to begin."""
        adopted, self._adopted = self._adopted, Adopted(frozenset(self._tables))
        yield from town_records(self._town, now, frozenset(adopted.known))

    def step(self, now: int) -> NewRecord:
        """Return what happens next, at the time `now` in ms since the epoch."""
        random = self._random
        if random.random() < 0.004:
            return self._announcement(now)
        # A table is left as it is when a run was broken off between two records of it that depend on each other.
        left = next((id for id in self._status if id not in self._stays), None)
        if left is not None:
            return self._set_table(self._tables[left], "AVAILABLE", now)
        share = len(self._stays) / len(self._tables)
        if not self._stays or (share < OCCUPANCY and random.random() < 0.35) or random.random() < 0.02:
            free = [table for id, table in self._tables.items() if id not in self._stays]
            if free:
                return self._reserve(random.choice(free), now)
        return self._advance(random.choice(list(self._stays.values())), now)

    def _reserve(self, table: Table, now: int) -> NewRecord:
        random = self._random
        start = (now // _QUARTER + random.randint(1, 8)) * _QUARTER
        guest = random.choice(self._town.guests)
        reservation: Fields = {
            "id": new_id(random),
            "restaurantId": table.restaurant,
            "userId": guest.id,
            "tableId": table.id,
            "reservationDate": platform_time(start)[:10] + "T00:00:00.000Z",
            "reservationTime": platform_time(start),
            "numberOfGuests": random.randint(max(1, table.capacity - 2), table.capacity),
            "status": "PENDING",
            "createdAt": platform_time(now),
            "updatedAt": platform_time(now),
        }
        self._stays[table.id] = _Stay(table, reservation)
        return record("reservations", "created", reservation["id"], reservation, now, user=guest.id)

    def _advance(self, stay: _Stay, now: int) -> NewRecord:
        """Return the next step of a stay: a row of the module's table."""
        random, payment = self._random, stay.payment
        if (said := self._chat(stay, now)) is not None:
            return said
        table = self._status.get(stay.table.id, "AVAILABLE")
        match stay.reservation["status"], table:
            case "PENDING", _:
                return self._set_reservation(stay, _drawn(random, CONFIRMED=88, REJECTED=6, CANCELLED=6), now)
            case "CONFIRMED", _:
                return self._set_reservation(stay, _drawn(random, CHECKED_IN=90, CANCELLED=5, NO_SHOW=5), now)
            case "CHECKED_IN", "AVAILABLE" | "BLOCKED":
                return self._set_table(stay.table, "OCCUPIED", now)
            case "CHECKED_IN", _:
                if payment is None or payment["paymentStatus"] not in ("PENDING", _PAID):
                    return self._begin_payment(stay, now)
                if payment["paymentStatus"] == "PENDING":
                    return self._end_payment(payment, _drawn(random, COMPLETED=95, FAILED=5), now)
                return self._set_reservation(stay, "COMPLETED", now)
            case _, "OCCUPIED":
                return self._set_table(stay.table, "BLOCKED", now)
            case _:
                if not stay.reviewed and random.random() < 0.5:
                    stay.reviewed = True
                    return self._review(stay, now)
                del self._stays[stay.table.id]
                return self._set_table(stay.table, "AVAILABLE", now)

    def _set_reservation(self, stay: _Stay, status: str, now: int) -> NewRecord:
        stay.reservation |= {"status": status, "updatedAt": platform_time(now)}
        if status.lower() not in OPEN:
            del self._stays[stay.table.id]
        actor = stay.reservation["userId"] if status == "CANCELLED" else self._owner_of(stay.table.restaurant)
        return record("reservations", "status_changed", stay.reservation["id"], stay.reservation, now, user=actor)

    def _owner_of(self, restaurant: str) -> str:
        return next(one.owner.id for one in self._town.restaurants if one.id == restaurant)

    def _set_table(self, table: Table, status: str, now: int) -> NewRecord:
        if status == "AVAILABLE":
            self._status.pop(table.id, None)
        else:
            self._status[table.id] = status
        return table_record(self._town.seed, table, "updated", status, now)

    def _begin_payment(self, stay: _Stay, now: int) -> NewRecord:
        guests = stay.reservation["numberOfGuests"]
        stay.payment = payment = {
            "paymentId": new_id(self._random),
            "reservationId": stay.reservation["id"],
            "amount": round(guests * self._random.uniform(9, 28), 2),
            "date": platform_time(now),
            "paymentStatus": "PENDING",
            "createdAt": platform_time(now),
            "updatedAt": platform_time(now),
        }
        return record("payments", "created", payment["paymentId"], payment, now)

    def _end_payment(self, payment: Fields, status: str, now: int) -> NewRecord:
        payment |= {"paymentStatus": status, "updatedAt": platform_time(now)}
        return record("payments", "status_changed", payment["paymentId"], payment, now)

    def _review(self, stay: _Stay, now: int) -> NewRecord:
        random, restaurant = self._random, stay.table.restaurant
        user = stay.reservation["userId"]
        name = next((guest.name for guest in self._town.guests if guest.id == user), None)
        rating = int(_drawn(random, **{"5": 45, "4": 35, "3": 15, "2": 5}))
        review = {
            "id": fixed_id(self._town.seed, "review", restaurant, user),  # one for each user and restaurant
            "restaurantId": restaurant,
            "userId": user,
            "userName": name,
            "rating": rating,
            "comment": random.choice(COMMENTS[rating]),
            "createdAt": platform_time(now),
            "updatedAt": platform_time(now),
        }
        return record("reviews", "created", review["id"], review, now, user=user)

    def _chat(self, stay: _Stay, now: int) -> NewRecord | None:
        """Return what is said next by chat, if anything is."""
        random, reservation, restaurant = self._random, stay.reservation, stay.table.restaurant
        conversation = ConversationKey(restaurant, reservation["userId"])
        if stay.chat is None:
            if reservation["status"] not in ("PENDING", "CONFIRMED") or random.random() >= CHATTING:
                return None
            stay.chat, stay.asked = random.randrange(len(CHATS)), new_id(random)
            said = Said(conversation, stay.asked, GUEST, conversation.guest, CHATS[stay.chat][0])
        elif stay.asked is not None and random.random() < 0.5:
            answer, owner = CHATS[stay.chat][1], self._owner_of(restaurant)
            said = Said(conversation, new_id(random), RESTAURANT, owner, answer, reply_to=stay.asked)
            stay.asked = None
        else:
            return None
        return chat_record(said, platform_time(now))

    def _announcement(self, now: int) -> NewRecord:
        title, message = self._random.choice(ANNOUNCEMENTS)
        return record("announcements", "created", new_id(self._random), {"title": title, "message": message}, now)


def _drawn(random: Random, **weights: int) -> str:
    """Return one of the words, each as often as its weight says."""
    [word] = random.choices(list(weights), list(weights.values()))
    return word


def restaurant_channels(town: Town) -> list[tuple[str, str]]:
    """Return the name of each restaurant, and the channel of its floor plan."""
    return [(restaurant.name, f"restaurant:{restaurant.id}:tables") for restaurant in town.restaurants]
