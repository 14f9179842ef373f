"""What the records up to now mean: the entities as they are last known, who belongs to whom, what users are called."""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve

from mesaya_ws.core.interactions.acknowledgements import Acknowledgements
from mesaya_ws.core.interactions.chat_capture import ChatCapture
from mesaya_ws.core.interactions.chats import TABLES as CHAT_TABLES
from mesaya_ws.core.interactions.chats import Chats
from mesaya_ws.core.interactions.hold_table import HoldTable
from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.backfill import backfill, find_again, forget_found
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.cold import ColdCapture, OnDisk, capture
from mesaya_ws.core.platform.cold_indexes import ColdDays, ColdSchedule
from mesaya_ws.core.platform.emptying import empty
from mesaya_ws.core.platform.endings import ENDING, Endings
from mesaya_ws.core.platform.entities import CASCADES, ENTITIES, OF_TOPIC
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.envelope import FOUND, Event
from mesaya_ws.core.platform.owners import Owners
from mesaya_ws.core.platform.ranking import Ranking
from mesaya_ws.core.platform.relations import Relations
from mesaya_ws.core.platform.schedule import Schedule
from mesaya_ws.core.platform.settled import SETTLED, Settled
from mesaya_ws.core.platform.tombstones import REMEMBERED
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from mesaya_ws.core.platform.users import REVIEW, LoggedRoles, Users
from mesaya_ws.core.state.tracking import Follower, Tracking

_NAMES_OTHERS = frozenset({"restaurant", "owner_upgrade", "menu", "review", "announcement"})

_FURNITURE = ("table", "section_object")

# By kind: which parts of a floor plan end with an entity.
_PARTS = {name: tuple(part for part in parts if part in _FURNITURE) for name, parts in CASCADES.items()}


PositionAt = Callable[[str, Any, Partition, int], str]
"""Writes a place as a position of the channel of that name and kind."""


class Projections:
    """What all records up to now mean. `entities` are in a table for each kind, by its name.

    Of each kind, so many deleted ones are `remembered`. `names` are what users are called; `owner` returns who owns a
    restaurant, or owned it when it was deleted. While there are `endings` that are pending, they go first. What is
    settled is kept for so many days (see `settled`), without `keep_settled_days` for ever.

    What changes is noted in the `tracking`, for each who asks to follow it (`follow_changes`). What grows with time,
    reservations and payments, is `on_disk`, if that is given, and in memory only as far as it is in use (see `cold`).
    """

    def __init__(
        self,
        remembered: int = REMEMBERED,
        keep_settled_days: int | None = None,
        tracking: Tracking | None = None,
        on_disk: OnDisk | None = None,
    ) -> None:
        self._tracking = tracking = tracking or Tracking()
        self._on_disk = on_disk
        self.entities = {
            name: EntityTable(entity, tracking, on_disk if name in SETTLED else None)
            for name, entity in ENTITIES.items()
        }
        self.announcements = Ranking()
        self.chats = Chats(
            tracking=tracking,
            stored=None if on_disk is None else on_disk.stored,
            anew=on_disk is not None and on_disk.anew,
        )
        self.acks = Acknowledgements(tracking)
        self.holds = HoldTable(tracking=tracking)
        self.position_at: PositionAt = lambda channel, kind, partition, next_offset: ""
        """Writes a place in one partition as a position of a channel; whoever owns the projections sets it."""
        self._remembered = remembered
        self._keep_settled_days = keep_settled_days
        self.settled: dict[str, Settled] = {}
        if keep_settled_days is not None:
            self.settled = {name: Settled(self.entities[name], keep_settled_days, tracking) for name in SETTLED}
        self._connect(Users(tracking), Owners(self.entities, tracking))

    def _connect(self, users: Users, owners: Owners) -> None:
        self.users = users
        self.names = users.names
        self.owners = owners
        self.owner = owners.of
        self.relations = Relations(self.entities, owners)
        self.endings = Endings(self.entities, owners, self._remembered, self.settled)
        self._pending = self.endings.pending

    def draft(self) -> "Projections":
        """Return projections that know the same, to which events can be applied without changing these.

        It holds until these change, and while nothing is pending that ends. To make one takes some 20 µs. It does not
        know which announcements are the latest, nor which reservations are to come, and what is old in it stays.
        """
        draft = Projections(self._remembered)
        draft.entities = {name: table.draft() for name, table in self.entities.items()}
        draft.chats, draft.acks, draft.holds = self.chats.draft(), self.acks.draft(), self.holds.draft()
        draft.position_at = self.position_at
        draft._connect(self.users.draft(), self.owners.draft(draft.entities))
        return draft

    def lookup(self, event: Event) -> Before:
        """Return what is known of what an event is about, before it is applied; of any kind but `auth`."""
        entity, id = event.entity, event.id
        data = self.entities[entity].alive.get(id)
        parts = _PARTS.get(entity)
        if parts is None:  # of nearly all
            return Before(data)
        field = ENTITIES[entity].id_field
        return Before(
            data,
            entity != "restaurant" or self.relations.is_open(id),
            self.owner(id) if entity == "restaurant" else None,
            {part: dict(self.entities[part].children.under(field, id)) for part in parts},
        )

    def apply(self, event: Event) -> After:
        """Apply an event, of any kind but `auth`; return what it has made of the entity, with what others said of it.

        A deleted entity takes with it what the platform's database deletes with it: of much, only a piece at once (see
        `endings`). Only the router applies what the log says: what a rule needs of the time before, `lookup` says.
        """
        entity, id = event.entity, event.id
        if event.what == FOUND:
            return backfill(event, self.entities, self.owners, self.relations)
        table = self.entities[entity]
        ends = event.what == "deleted"
        after = table.apply(id, event.at, event.data, event.unknown, ends=ends)
        if ends:
            self._end_parts(table, event, after.data)
        elif entity in ENDING and after.exists and self.endings.ended_with_parent(table, id, after.data):
            after = After(after.data, True, False)
        if entity in _NAMES_OTHERS:
            self._apply_more(event, after.data)
        if not after.exists:
            self.endings.forget_oldest(table)
        if (settled := self.settled.get(entity)) is not None:
            settled.note(id)
            for ids in settled.advance(event.at[0]):
                self.endings.forget_settled(table, ids)
        if self._pending:
            self.endings.end_some()
        return after

    def _apply_more(self, event: Event, data: Data) -> None:
        """Take in what an event says of others."""
        match event.entity:
            case "restaurant":
                self.owners.apply_restaurant(event)
            case "owner_upgrade":
                self.owners.apply_request(event.id)
            case "menu":
                self._apply_dishes(event, data.get("restaurantId"))
            case "review":
                self.users.name(REVIEW, data.get("userId"), event.data.get("userName"), event.at)
            case "announcement":
                self.announcements.put(event.id, self.entities["announcement"].newest(event.id))

    def apply_user(self, event: Event) -> None:
        """Apply an event of `auth`."""
        self.users.apply(event)

    def owner_of(self, restaurant: str) -> str | None:
        """Return who owns a restaurant now: of one that is deleted, nobody."""
        return self.owner(restaurant) if self.relations.is_open(restaurant) else None

    def has_restaurant(self, restaurant: str) -> bool:
        """Return whether a restaurant is known, and not deleted."""
        return restaurant in self.entities["restaurant"].alive

    def roles_of(self, user: str) -> LoggedRoles | None:
        """Return the roles of a user as `auth` had them last, and when."""
        return self.users.roles_of(user)

    def capture_cold(self) -> list[ColdCapture | ChatCapture]:
        """Return what has changed of what is on disk, and is to be committed now, with the rows that were taken."""
        captured: list[ColdCapture | ChatCapture] = []
        for table in self.entities.values():
            if table.cold is not None:
                indexes = [table.schedule.index] if isinstance(table.schedule, ColdSchedule) else []
                settled = self.settled.get(table.entity.name)
                if settled is not None and isinstance(settled.days, ColdDays):
                    indexes.append(settled.days.index)
                captured.append(capture(table.cold, indexes))
        if self._on_disk is not None:
            captured.append(self.chats.capture())
        return captured

    def next_places(self) -> dict[str, int]:
        """Return the rows of the table `places`: for each kind on disk, the place that the next one will have."""
        return {name: table.next_place for name, table in self.entities.items() if table.cold is not None}

    @property
    def is_on_disk(self) -> bool:
        """Whether there is, or was, anything that is on disk, and may be there alone."""
        return self._on_disk is not None and (self.chats.next_place > 0 or any(self.next_places().values()))

    def reservations_of(self, restaurant: str) -> Iterator[Data]:
        """Yield the reservations of a restaurant, in the order of the schedule, if there is one."""
        table = self.entities["reservation"]
        if table.schedule is not None:
            return table.schedule.since(restaurant, "")
        return iter(table.children.under("restaurantId", restaurant).values())

    @property
    def schedule(self) -> Schedule | ColdSchedule:
        """The reservations that exist, by restaurant and day."""
        schedule = self.entities["reservation"].schedule
        assert schedule is not None  # noqa: S101 - by its entity
        return schedule

    def follow_changes(self) -> Follower:
        """Return who can take the rows that change from now on, by table and id, as often as is wanted.

        Followers are independent of each other. What is taken relates to `projection_rows.rows_of` like this: a table
        and an id name one row; its last value that was taken, `encoded` (see `platform.rows`), is that which `rows_of`
        yields now, encoded; None: it is yielded no longer; and what was never taken is as it was when one began to
        follow. To load rows that were kept by their names, put them `in_order` before. What is loaded is noted as well,
        unless the tracking is `paused`. Neither has what conversations hold (`chats.rows`).
        """
        return self._tracking.follow(without=CHAT_TABLES)

    def replaced(self, topic: str) -> Iterator[None]:
        """Forget what only `topic` has said, of which nothing is left, yielding often; nothing may be applied then."""
        # What is still to end was known before: it is to be found among that.
        yield from self.endings.end_in_steps()
        gone: list[dict[Any, Any]] = []
        announced = Ranking()
        for entity in OF_TOPIC.get(topic, ()) if topic != PARENTS_TOPIC else ():
            table = self.entities[entity.name]
            yield from table.discard()
            on_disk = None if table.cold is None else evolve(table.cold.on_disk, anew=True)
            fresh = self.entities[entity.name] = EntityTable(entity, self._tracking, on_disk)
            yield from find_again(fresh, table.found)
            gone += table.tables()
            if (settled := self.settled.get(entity.name)) is not None and self._keep_settled_days is not None:
                gone += settled.tables()
                self.settled[entity.name] = begun = Settled(fresh, self._keep_settled_days, self._tracking)
                self._tracking.table("settled").note(entity.name, begun.row())
        if topic == PARENTS_TOPIC:
            yield from self.owners.forget_found()
            for table in self.entities.values():
                yield from forget_found(table)
        if topic == topic_of("owner-upgrade"):
            yield from self.owners.forget_assigned()
        if topic == topic_of("announcements"):
            announced, self.announcements = self.announcements, announced
        if topic == CHAT:
            former, self.chats = self.chats, self.chats.anew()
            yield from former.discard()
        if topic == ACKS:
            yield from self.acks.discard()
        if topic == HOLDS:
            yield from self.holds.discard()
        yield from self.users.replaced(topic, gone)
        yield from announced.discard()
        yield from empty(*gone)

    def latest_announcements(self, count: int) -> list[Data]:
        """Return the `count` announcements with the last records, in the order of those, the latest one last."""
        alive = self.entities["announcement"].alive
        return [alive[id] for id in self.announcements.last(count)]

    def _apply_dishes(self, menu: Event, restaurant: str | None) -> None:
        """Take in the dishes that come with their menu: the event that deletes one brings its id alone."""
        dishes = self.entities["dish"]
        unknown = [name.removeprefix("dishes.") for name in menu.unknown if name.startswith("dishes.")]
        for dish in menu.data.get("dishes", ()) if menu.what != "deleted" else ():
            after = dishes.apply(dish["dishId"], menu.at, dish, unknown)
            if after.exists and restaurant is not None and "restaurantId" not in after.data:
                id = dish["dishId"]
                dishes.keep(id, after.data | {"restaurantId": restaurant}, dishes.provenances[id])

    def _end_parts(self, table: EntityTable, event: Event, data: Data) -> None:
        """End what the platform's database deletes with an entity, as far as no later record is about it."""
        time = table.gone[event.id].ended
        self.endings.end_under(table, event.id, time)
        if event.entity == "section":
            # The record's own tables: where they stand may not be known.
            standing = [table["tableId"] for table in self.relations.listed(data)]
            self.endings.end("sectionId", time, self.entities["table"], standing[::-1])
