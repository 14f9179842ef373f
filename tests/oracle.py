"""What must become of the records of the log: a second, slow reading of the rules, to compare the product with.

It shares no code with the package. Every record is read in the order given, with everything before it already known:
ordering and waiting for parents are not its business. The sentences in quotation marks are the rules themselves.

`python -m tests.oracle` says whether the expected files in `tests/data` are what this oracle says now; `--write`
writes them anew.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, TypeGuard

Data = dict[str, Any]
Message = dict[str, Any]

DATA = Path(__file__).parent / "data"
SAMPLES = ("captured", "events")

LATEST, INBOX = 20, 50
"""How many announcements and notifications are "the last n" (docs/protocol.md says it)."""


class RecordLike(Protocol):
    """What the oracle reads of a record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class SampleRecord(NamedTuple):
    """A line of a sample file, as the record that it stands for."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


class Outcome(NamedTuple):
    """The messages that a record becomes, in the order of their channels' names; the reason when there are none."""

    messages: list[Message]
    reason: str | None


class Delivery(NamedTuple):
    """A message, and the record that it comes from."""

    topic: str
    partition: int
    offset: int
    message: Message


def outcomes(records: Iterable[RecordLike]) -> list[Outcome]:
    """Return what becomes of each of `records`, an ordered log from its beginning."""
    oracle = Oracle()
    return [oracle.read(record) for record in records]


def expected(records: Iterable[RecordLike]) -> list[list[Message]]:
    """Return the messages `{"channel", "type", "timestamp", "data"}` that each record becomes."""
    return [outcome.messages for outcome in outcomes(records)]


def why(records: Iterable[RecordLike]) -> list[str | None]:
    """Return for each record why it becomes nothing, or None when it becomes something.

    `tombstone`, `unreadable`, `auth` (applied only), `stripe`, `orphan` (its parent is not known), `unconcerned`
    (it concerns nobody).
    """
    return [outcome.reason for outcome in outcomes(records)]


def deliveries(records: Iterable[RecordLike]) -> dict[str, list[Delivery]]:
    """Return what every subscriber of a channel must have received, by channel, in order."""
    found: dict[str, list[Delivery]] = {}
    records = list(records)
    for record, messages in zip(records, expected(records), strict=True):
        for message in messages:
            delivery = Delivery(record.topic, record.partition, record.offset, message)
            found.setdefault(message["channel"], []).append(delivery)
    return found


def state(records: Iterable[RecordLike], channel: str) -> Data | None:
    """Return the state of a channel after `records`, as a snapshot holds it, `comparable`; None when no rule says it.

    "`:tables` (all tables of the restaurant with their state, and its sections), `:reservations` (those of today and
    later), notifications and announcements (the last n), the others likewise". All reservations count as later.
    """
    oracle = Oracle()
    notifications = []
    for record in records:
        notifications += [message for message in oracle.read(record).messages if message["channel"] == channel]
    held = oracle.state(channel)
    if channel.endswith(":notifications"):
        held = {"events": notifications[-INBOX:], "more": len(notifications) > INBOX}
    return None if held is None else comparable(held)


def comparable(snapshot: Data) -> Data:
    """Return a snapshot with its lists in an order of ours, where the rules give them none, and without positions."""
    found = {}
    for name, entities in snapshot.items():
        if not isinstance(entities, list):  # `restaurant`, and whether there is `more`
            found[name] = entities
            continue
        found[name] = [{key: value for key, value in entity.items() if key != "position"} for entity in entities]
        if name not in ("announcements", "events"):
            found[name].sort(key=lambda entity: json.dumps(entity, sort_keys=True))
    return found


def sample(name: str) -> Iterator[SampleRecord]:
    """Yield the records of `tests/data/{name}.jsonl`, each topic with offsets of its own in one partition."""
    ends: dict[str, int] = {}
    with (DATA / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            topic, value = (record := json.loads(line))["topic"], record["value"]
            offset = ends.get(topic, 0)
            ends[topic] = offset + 1
            # "a string value is a record that is no JSON object; null is a tombstone"
            match value:
                case None:
                    raw = None
                case str():
                    raw = value.encode()
                case _:
                    raw = json.dumps(value, ensure_ascii=False).encode()
            yield SampleRecord(topic, 0, offset, raw)


# -- the shapes of the platform's entities ("data by domain") ----------------------------------------------------------


class Shape(NamedTuple):
    """The fields of an entity (its own id apart): their types, and which of them may be absent or null."""

    types: dict[str, tuple[type, ...]]
    optional: frozenset[str]
    nullable: frozenset[str]

    @property
    def required(self) -> set[str]:
        return self.types.keys() - self.optional


def shape(
    *,
    text: str = "",
    number: str = "",
    truth: str = "",
    list_: str = "",
    object_: str = "",
    optional: str = "",
    nullable: str = "",
) -> Shape:
    kinds: tuple[tuple[str, tuple[type, ...]], ...] = (
        (text, (str,)),
        (number, (int, float)),
        (truth, (bool,)),
        (list_, (list,)),
        (object_, (dict,)),
    )
    types = {name: types for names, types in kinds for name in names.split()}
    return Shape(types, frozenset(optional.split()), frozenset(nullable.split()))


SHAPES = {
    "reservation": shape(
        text="restaurantId userId tableId reservationDate reservationTime status createdAt updatedAt "
        "userName userEmail",
        number="numberOfGuests",
        optional="userName userEmail",
    ),
    "table": shape(
        text="sectionId tableImageId chairImageId status createdAt updatedAt",
        number="number capacity posX posY width height",
        truth="isAvailable",
    ),
    "section": shape(
        text="restaurantId name description status createdAt updatedAt",
        number="width height posX posY",
        list_="tables",
        object_="layoutMetadata",
        optional="tables",
        nullable="description",
    ),
    "restaurant": shape(
        text="name description openTime closeTime subscriptionId imageId status adminNote ownerId createdAt updatedAt",
        number="totalCapacity",
        truth="active",
        list_="daysOpen sections",
        object_="location",
        nullable="description imageId adminNote ownerId",
    ),
    "menu": shape(
        text="restaurantId name description imageId createdAt updatedAt",
        number="price",
        list_="dishes",
        optional="dishes",
        nullable="imageId",
    ),
    "dish": shape(
        text="restaurantId name description imageId menuId categoryId categoryName categoryDescription "
        "createdAt updatedAt",
        number="price categoryOrder",
        optional="imageId menuId",
        nullable="categoryId categoryName categoryDescription categoryOrder",
    ),
    "review": shape(
        text="restaurantId userId userName comment createdAt updatedAt", number="rating", nullable="userName comment"
    ),
    "image": shape(text="url storagePath title description entityId createdAt updatedAt"),
    "object": shape(text="imageId createdAt updatedAt", number="posX posY width height"),
    "section_object": shape(text="sectionId objectId createdAt updatedAt"),
    "payment": shape(
        text="reservationId subscriptionId date paymentStatus createdAt updatedAt",
        number="amount",
        optional="reservationId subscriptionId",
    ),
    "subscription": shape(
        text="subscriptionPlanId restaurantId subscriptionStartDate stateSubscription createdAt updatedAt"
    ),
    "plan": shape(text="name subscriptionPeriod stateSubscriptionPlan createdAt updatedAt", number="price"),
    "owner_upgrade": shape(
        text="userId status statusKey restaurantName restaurantLocation restaurantDescription "
        "preferredSubscriptionPlanId userNote adminNote assignedRestaurantId processedBy processedAt "
        "createdAt updatedAt",
        nullable="restaurantDescription preferredSubscriptionPlanId userNote adminNote assignedRestaurantId "
        "processedBy processedAt",
    ),
    "announcement": shape(),
}

KINDS = {  # by domain; where there are two, `entity_subtype` says which
    "restaurants": ("restaurant",),
    "sections": ("section",),
    "tables": ("table",),
    "objects": ("object",),
    "section-objects": ("section_object",),
    "menus": ("menu", "dish"),
    "reviews": ("review",),
    "images": ("image",),
    "reservations": ("reservation",),
    "payments": ("payment",),
    "subscriptions": ("subscription", "plan"),
    "owner-upgrade": ("owner_upgrade",),
    "announcements": ("announcement",),
}

# "its id as `reservationId`, `tableId`, … (never a bare `id`)"
ID_NAMES = {
    "reservation": "reservationId",
    "table": "tableId",
    "section": "sectionId",
    "restaurant": "restaurantId",
    "menu": "menuId",
    "dish": "dishId",
    "review": "reviewId",
    "image": "imageId",
    "object": "objectId",
    "section_object": "sectionObjectId",
    "payment": "paymentId",
    "subscription": "subscriptionId",
    "plan": "subscriptionPlanId",
    "owner_upgrade": "requestId",
    "announcement": "announcementId",
}

# What routing needs of a record, beside its own id: all of them ids.
NEEDED = {
    "reservation": ("restaurantId", "userId"),
    "table": ("sectionId",),
    "section": ("restaurantId",),
    "section_object": ("sectionId",),
    "menu": ("restaurantId",),
    "dish": ("restaurantId",),
    "review": ("restaurantId",),
    "image": ("entityId",),
    "payment": ("reservationId", "subscriptionId"),
    "subscription": ("restaurantId",),
    "owner_upgrade": ("userId",),
    "restaurant": ("ownerId",),
}

NESTED = {"sections": "section", "tables": "table", "dishes": "dish"}

STATUSES = {"status", "paymentStatus", "stateSubscription", "newStatus", "previousStatus", "decision"}

PRIVATE = {"ownerId", "adminNote", "userNote", "storagePath", "subscriptionId"}

WORDS = ("created", "updated", "deleted", "status_changed")

# Whose types the rules name a `status_changed` for; for all others it is an `updated`: "A table's status is part of
# `table.updated`, as in the seed."
WITH_STATUS = ("reservation", "restaurant", "payment", "subscription", "owner_upgrade")

# "**reservation**: …"
RESERVATION = (
    *("reservationId", "restaurantId", "tableId", "userId", "clientName", "date", "numberOfGuests", "status"),
    *("createdAt", "updatedAt"),
)

AUTH_TYPES = {
    *("user.signed-up", "user.created", "user.updated", "user.logged-in", "user.logged-out"),
    *("user_signed_up", "user_logged_in", "roles_updated", "permissions_updated"),
}


# -- reading a record --------------------------------------------------------------------------------------------------


class NothingError(Exception):
    """The record becomes nothing, for this reason."""


def nothing(reason: str) -> NoReturn:
    raise NothingError(reason)


class Event(NamedTuple):
    """A record that was understood: `what` happened to the entity `id` of a `kind`, and what the record says of it."""

    kind: str
    what: str
    id: str
    said: Data
    """The fields of the right type, statuses and ids included, its own id under the name that it will have."""
    mistyped: set[str]
    metadata: Data
    timestamp: str | None


def is_id(value: object) -> TypeGuard[str]:
    # "ids: 1–128 of `A–Z a–z 0–9 . _ ~ -`"
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", value) is not None


def json_object(value: bytes) -> Data:
    # "Cannot be understood (no JSON, no object, …)"
    try:
        # "Half a surrogate pair is U+FFFD, a byte order mark in front is passed over".
        found = json.loads(value.decode("utf-8-sig"), parse_constant=lambda _: nothing("unreadable"))
        found = json.loads(
            json.dumps(found, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    except (ValueError, RecursionError):
        nothing("unreadable")
    return found if isinstance(found, dict) else nothing("unreadable")


def clean(kind: str, data: Data, entity_id: str) -> tuple[Data, set[str]]:
    """Return the fields that have the right type, the own id renamed; and the names of the others."""
    # "A field of the wrong type that routing does not need is dropped from `data`, never a reason to lose the rest."
    own = ID_NAMES[kind]
    right: Data = {own: entity_id}
    wrong = set()
    for name, value in data.items():
        if name in ("id", own):
            continue
        if isinstance(value, str) and SHAPES[kind].types.get(name) == (int, float):
            # "A number written as text is the number."
            value = (
                json.loads(value) if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", value) else value
            )
        if fits(kind, name, value):
            right[name] = value
        else:
            wrong.add(name)
    return right, wrong


def fits(kind: str, name: str, value: object) -> bool:
    types, _, nullable = SHAPES[kind]
    if name in ("newStatus", "previousStatus", "decision"):
        return isinstance(value, str)
    if name not in types:
        return True  # "the rest as it came"
    if value is None:
        return name in nullable
    if name in NEEDED.get(kind, ()):
        return is_id(value)
    if isinstance(value, bool):
        return types[name] == (bool,)
    return isinstance(value, types[name])


def decode(domain: str, envelope: Data) -> Event:
    """Return the event that an envelope holds; raise `NothingError` ("unreadable") when it cannot be understood."""
    kinds = KINDS[domain]
    if "event_type" in envelope:
        what, data = envelope["event_type"], envelope.get("data")
        # "`entity_subtype`: in `menus` `menu` or `dish`; in `subscriptions` `subscription` or `plan`."
        kind = kinds[0] if len(kinds) == 1 else envelope.get("entity_subtype")
        entity_id = envelope.get("entity_id")
    else:
        # "**Older envelope** `{action, entity, entityId, timestamp}`: `action` is `<entity>.<what>`; then the same
        # rules."
        action = envelope.get("action")
        kind, _, what = action.partition(".") if isinstance(action, str) else (None, "", None)
        kind = kind.replace("-", "_") if kind else None
        data, entity_id = envelope.get("entity"), envelope.get("entityId")
    # "Cannot be understood (no JSON, no object, unknown `event_type`, missing or mistyped id)"
    # An announcement is "announcement.*": any word.
    known = what in WORDS or (domain == "announcements" and re.fullmatch(r"[a-z_]{1,64}", str(what)))
    if kind not in kinds or not known:
        nothing("unreadable")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        nothing("unreadable")
    # "missing or mistyped id": the envelope's, or where it has none (`entityId?`) that of the entity.
    ids = [found for found in (entity_id, data.get(ID_NAMES[kind]), data.get("id")) if found is not None]
    if not ids or not is_id(ids[0]):
        nothing("unreadable")
    said, mistyped = clean(kind, data, ids[0])
    metadata, timestamp = envelope.get("metadata"), envelope.get("timestamp")
    return Event(
        kind,
        what,
        ids[0],
        said,
        mistyped,
        metadata if isinstance(metadata, dict) else {},
        timestamp if isinstance(timestamp, str) else None,
    )


# -- writing a message -------------------------------------------------------------------------------------------------


def shown(entity: Data) -> Data:
    """Return an entity as it is sent: statuses in lower case, nested entities with ids of the same names."""
    found: Data = {}
    for name, value in entity.items():
        if name in STATUSES and isinstance(value, str):
            found[name] = value.lower()  # "status words in lower case"
        elif name in NESTED and isinstance(value, list):
            found[name] = [shown(child) for child in children(entity, name)]
        else:
            found[name] = value
    return found


def children(entity: Data, name: str) -> list[Data]:
    """Return the entities in the list `name` of an entity, their own ids renamed; those without an id left out."""
    kind = NESTED[name]
    own = ID_NAMES[kind]
    found = []
    for child in entity.get(name) or ():
        if isinstance(child, dict):
            ids = [i for i in (child.get(own), child.get("id")) if is_id(i)]
            if ids:
                found.append(clean(kind, child, ids[0])[0])
    return found


def without_private(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: without_private(value) for name, value in data.items() if name not in PRIVATE}
    if isinstance(data, list):
        return [without_private(value) for value in data]
    return data


def is_public(channel: str) -> bool:
    # The table of channels: `restaurant:{id}:reservations` is for "owner, ADMIN", `user:{id}:notifications` for "that
    # user, ADMIN", all others are "public".
    return not (channel.startswith("user:") or channel.endswith(":reservations"))


def date_of(time: object, day: object) -> str | None:
    # "`date` = `reservationTime` as `YYYY-MM-DDTHH:MM:SSZ` (it is an instant; when it is only a time of day, the day of
    # `reservationDate`)." "Times are UTC"
    if isinstance(time, str) and re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d+)?)?Z?", time):
        if not isinstance(day, str) or (start := instant(day)) is None:
            return None
        time = f"{start:%Y-%m-%d}T{time}"
    if not isinstance(time, str) or "T" not in time or (start := instant(time)) is None:
        return None
    return f"{start:%Y-%m-%dT%H:%M:%SZ}"


def instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Oracle:
    """All that the records so far have said, and what the next one becomes."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Data]] = {kind: {} for kind in SHAPES}
        self.owners: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.closed: set[str] = set()
        self.records: list[tuple[Any, RecordLike]] = []
        self.last: dict[tuple[str, str], Any] = {}
        self.latest: dict[tuple[str, str], dict[int, int]] = {}
        self.lives: dict[str | None, int] = {}
        self.event: Event | None = None
        self.was_at: str | None = None
        self.late = False

    def read(self, record: RecordLike) -> Outcome:
        self.begin_anew(record)
        homes = self.homes_of_images()
        try:
            messages = list(self.messages(record))
        except NothingError as error:
            messages, reason = [], str(error)
        else:
            reason = "late" if self.late else ""
        messages += self.images_along(record, homes)
        if not messages:
            return Outcome([], reason)
        for message in messages:
            # "`ownerId`, `adminNote`, `userNote`, `storagePath` and `subscriptionId` leave only on channels of those
            # whom they concern."
            if is_public(message["channel"]):
                message["data"] = without_private(message["data"])
        channels = [message["channel"] for message in messages]
        open_ = [channel for channel in channels if channel.split(":")[1] not in self.closed]
        messages = [message for message in messages if message["channel"] in open_]
        if not messages:
            return Outcome([], "orphan")
        for message in messages:
            # "`restaurant.deleted` goes to every channel of that restaurant as its last word."
            if message["type"] == "restaurant.deleted":
                self.closed.add(message["data"]["restaurantId"])
        # "**One record becomes at most one message on any one channel.**"
        assert len(channels) == len(set(channels)), record
        return Outcome(sorted(messages, key=lambda message: message["channel"]), None)

    def messages(self, record: RecordLike) -> Iterable[Message]:
        if record.value is None:
            nothing("tombstone")  # "a tombstone (null) is counted and silent"
        envelope = json_object(record.value)
        domain = record.topic.removeprefix("mesa-ya.").removesuffix(".events")
        if domain == "auth":
            self.records.append(
                ((getattr(record, "timestamp", 0), record.topic, record.partition, record.offset), record)
            )
            self.apply_auth(envelope)
            nothing("auth")  # "`auth` is applied (names, roles) and **never** forwarded"
        if domain == "payments" and "payment_intent_id" in envelope:
            nothing("stripe")  # "Keyed Stripe records: counted, not sent."
        event = decode(domain, envelope)
        if event.kind == "plan":
            nothing("unconcerned")  # "What concerns nobody (plans, …)"
        self.event, self.was_at = event, self.place_of(event.kind, event.id)
        self.late = self.comes_late(record, event)
        if self.late:
            # "The state stands on the latest (timestamp, partition, offset); a record that comes late does not take it
            # back: it is counted as `late`, and sent as `updated` with the state as it stands (of what is deleted by
            # then, nothing is sent)."
            if event.id not in self.known[event.kind]:
                nothing("late")
            event = Event(event.kind, "updated", event.id, {}, set(), {}, event.timestamp)
        try:
            interpret = getattr(self, event.kind)
            return interpret(event)  # type: ignore[no-any-return]
        except NothingError:
            # What routing needs and cannot find, because it has the wrong type, is a "mistyped id".
            if event.mistyped & set(NEEDED.get(event.kind, ())):
                nothing("unreadable")
            raise

    def comes_late(self, record: RecordLike, event: Event) -> bool:
        """Take note of a record; if one was read before it that counts as later, read all of them in their order."""
        entity = event.kind, event.id
        # Within a partition the order never changes, and so no clock goes back.
        within = self.latest.setdefault(entity, {})
        time = max(getattr(record, "timestamp", 0), within.get(record.partition, 0))
        within[record.partition] = time
        place = time, record.partition, record.offset
        is_late = place < self.last.get(entity, place)
        self.last[entity] = max(place, self.last.get(entity, place))
        self.records.append(((time, record.topic, *place[1:]), record))
        if is_late:
            self.read_again(sorted(self.records, key=lambda placed: placed[0]))
        return is_late

    def read_again(self, records: Iterable[tuple[Any, RecordLike]]) -> None:
        again = Oracle()
        for _, record in records:
            again.read(record)
        self.known, self.owners, self.names, self.closed = again.known, again.owners, again.names, again.closed

    def begin_anew(self, record: RecordLike) -> None:
        """See whether the topic of a record was created again; on the embedded log, all of them are at once."""
        # "**A topic that was deleted and created again** begins anew: what only it said is forgotten".
        life, topic = getattr(record, "life", 0), None if getattr(record, "source", None) is None else record.topic
        if life > self.lives.get(topic, 0):
            self.lives[topic] = life
            self.records = [placed for placed in self.records if topic not in (None, placed[1].topic)]
            self.last, self.latest = {}, {}
            self.read_again(self.records)

    # -- images, which come and go with what they are of

    def homes_of_images(self) -> dict[str, str | None]:
        return {id: self.owner_of_image(image.get("entityId")) for id, image in self.known["image"].items()}

    def place_of(self, kind: str, id: str) -> str | None:
        return self.owner_of_image(id) if id in self.known[kind] else None

    def images_along(self, record: RecordLike, before: dict[str, str | None]) -> list[Message]:
        """Return what is said of images that a record about something else has moved."""
        event, self.event = self.event, None
        if event is None or event.kind not in ("section", "table", "menu", "dish"):
            return []
        gone: dict[str, list[str]] = {}
        come: dict[str, list[Data]] = {}
        for id, home in self.homes_of_images().items():
            if home != before.get(id):
                if (left := before.get(id)) is not None:
                    gone.setdefault(left, []).append(id)
                if home is not None:
                    come.setdefault(home, []).append(shown(self.known["image"][id]))
        messages = []
        here = self.place_of(event.kind, event.id)
        for channel in dict.fromkeys((*gone, *come)):
            what = "deleted" if channel != here else "updated" if channel == self.was_at else "created"
            data: Data = {ID_NAMES[event.kind]: event.id}
            data |= {"imageIds": gone[channel]} if channel in gone else {}
            data |= {"images": come[channel]} if channel in come else {}
            messages.append(message(event, f"{event.kind}.{what}", data, channel))
        return messages

    # -- the state

    def apply_auth(self, envelope: Data) -> None:
        kind = envelope.get("type", envelope.get("event_type"))
        said = envelope.get("payload", envelope.get("data"))
        if kind not in AUTH_TYPES or not isinstance(said, dict):
            nothing("unreadable")
        ids = [i for i in (said.get("userId"), said.get("id"), envelope.get("entity_id")) if is_id(i)]
        if not ids:
            nothing("unreadable")
        parts = [said.get("firstName"), said.get("lastName")]
        if name := " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip()):
            self.names[ids[0]] = name

    def apply(self, event: Event) -> tuple[str, Data | None, Data]:
        """Take in an event; return what happened, the entity before (None when not known) and the entity now."""
        known = self.known[event.kind]
        before = known.get(event.id)
        said = {k: v for k, v in event.said.items() if k not in ("newStatus", "previousStatus")}
        if event.kind in ("reservation", "restaurant") and "newStatus" in event.said:
            said["status"] = event.said["newStatus"]
        # "What a minimal record leaves out is filled from the state". A record that has all that is never absent is not
        # minimal: what it leaves out has no value any more.
        minimal = not SHAPES[event.kind].required <= said.keys()
        # "It is unknown from then on (an update never shows the old value as the new one)"; but "a field … that routing
        # does not need": an id that it needs, and that cannot be read, is still the last that is known.
        unknown = event.mistyped - {*NEEDED.get(event.kind, ())}
        kept = {name: value for name, value in (before or {}).items() if name not in unknown}
        now = {**kept, **said} if minimal else said
        # "**What happened is decided by the state, not by the word**: `created` of an id that is known and not deleted
        # → `updated`."
        what = "updated" if event.what == "created" and before is not None else event.what
        if what == "status_changed" and event.kind not in WITH_STATUS:
            what = "updated"
        if what == "deleted":
            # "A `deleted` that brings only an id is filled from the state"
            known.pop(event.id, None)
        else:
            known[event.id] = now
        return what, before, now

    def status_news(self, event: Event, what: str, before: Data | None, now: Data) -> tuple[str, Data]:
        """Return what happened, decided by the status, and the fields that say it."""
        if what not in ("updated", "status_changed"):
            return what, {}
        # "a record that names `previousStatus` itself is believed"
        previous = event.said.get("previousStatus") or (before or {}).get("status")
        status = now.get("status")
        if previous is not None:
            # "an `updated` or `status_changed` whose status differs from the known one → `reservation.status_changed`
            # with `newStatus` and `previousStatus` beside the whole entity"; "The same status → `reservation.updated`."
            differs = status is not None and status.lower() != previous.lower()
            what = "status_changed" if differs else "updated"
        # "Status unknown before: `status_changed` → `reservation.status_changed` with `previousStatus: null`, `updated`
        # → `reservation.updated`."
        return what, {"newStatus": status, "previousStatus": previous} if what == "status_changed" else {}

    def home(self, section_id: object) -> str | None:
        """Return the restaurant of a section ("`sectionId` → section → restaurant")."""
        section = self.known["section"].get(section_id) if isinstance(section_id, str) else None
        return section.get("restaurantId") if section else None

    def placed_in(self, kind: str, section_id: str) -> list[Data]:
        return [entity for entity in self.known[kind].values() if entity.get("sectionId") == section_id]

    def forget(self, kind: str, name: str, value: str) -> None:
        gone = [key for key, entity in self.known[kind].items() if entity.get(name) == value]
        for key in gone:
            del self.known[kind][key]

    def state(self, channel: str) -> Data | None:
        """Return what a snapshot of a channel holds, as far as the records alone say it."""

        def of(kind: str) -> list[Data]:
            return [shown(entity) for entity in self.known[kind].values() if entity.get("restaurantId") == subject]

        scope, subject, *_ = channel.split(":")
        match scope, channel.rpartition(":")[2]:
            case "restaurant", "tables":
                sections = [section["sectionId"] for section in of("section")]
                tables = [table for section in sections for table in self.placed_in("table", section)]
                objects = [placed for section in sections for placed in self.placed_in("section_object", section)]
                held = {
                    "sections": of("section"),
                    "tables": [*map(shown, tables)],
                    "sectionObjects": objects,
                    "holds": [],
                }
            case "restaurant", "reservations":
                bookings = [now for now in self.known["reservation"].values() if now.get("restaurantId") == subject]
                held = {"reservations": [shown(self.booking(now)) for now in bookings]}
            case "restaurant", "menu":
                held = {"menus": of("menu"), "dishes": of("dish")}
            case "restaurant", "info":
                whole = self.known["restaurant"].get(subject)
                images = [i for i in self.known["image"].values() if self.owner_of_image(i.get("entityId")) == channel]
                held = {"restaurant": whole and shown(whole), "images": [*map(shown, images)]}
            case "restaurant", "reviews":
                held = {"reviews": of("review")}
            case "global", "restaurants":
                held = {"restaurants": [*map(shown, self.known["restaurant"].values())]}
            case "global", "announcements":
                # "the last 20, in the order of (timestamp, partition, offset) of the record that named each last".
                known = self.known["announcement"]
                latest = sorted(known, key=lambda each: self.last["announcement", each])[-LATEST:]
                held = {"announcements": [shown(known[id]) for id in latest]}
            case _:
                return None
        return without_private(held) if is_public(channel) else held  # type: ignore[no-any-return]

    # -- the channels, one method for a kind of entity

    def reservation(self, event: Event) -> Iterator[Message]:
        what, before, now = self.apply(event)
        what, news = self.status_news(event, what, before, now)
        data = shown(self.booking(now) | news)
        guest = user_channel(now.get("userId"))
        return send(event, f"reservation.{what}", data, restaurant(now, "reservations"), guest)

    def booking(self, now: Data) -> Data:
        # "`clientName` = the record's `userName`, else the name known from `auth` or `reviews`, else null. The e-mail
        # is not sent."
        fields = {
            **now,
            "clientName": now.get("userName") or self.names.get(now.get("userId") or ""),
            "date": date_of(now.get("reservationTime"), now.get("reservationDate")),
        }
        return {name: fields.get(name) for name in RESERVATION}

    def payment(self, event: Event) -> Iterator[Message]:
        # "`payment.created`, `payment.status_changed`, `payment.deleted`"
        what, _, now = self.apply(event)
        # "`paymentId, reservationId?, subscriptionId?, amount, paymentStatus, date`"
        names = ("paymentId", "reservationId", "subscriptionId", "amount", "paymentStatus", "date")
        optional = ("reservationId", "subscriptionId")
        data = shown({n: now.get(n) for n in names if n not in optional or n in now})
        # "to the guest and to the restaurant of its reservation, or to the owner for a subscription"
        if "reservationId" in now:
            parent = self.known["reservation"].get(now["reservationId"], {})
            # A subscription does not concern a guest.
            for_guest = {n: v for n, v in data.items() if n != "subscriptionId"}
            guest, owner = user_channel(parent.get("userId")), restaurant(parent, "reservations")
            messages = [message(event, f"payment.{what}", for_guest, guest)] if guest else []
            messages += [message(event, f"payment.{what}", data, owner)] if owner else []
            return iter(messages or nothing("orphan"))
        parent = self.known["subscription"].get(now.get("subscriptionId", ""), {})
        return send(event, f"payment.{what}", data, self.owner_channel(parent.get("restaurantId")))

    def subscription(self, event: Event) -> Iterator[Message]:
        # `user:{id}:notifications`: "subscription.*, … of the owner"
        what, _, now = self.apply(event)
        return send(event, f"subscription.{what}", shown(now), self.owner_channel(now.get("restaurantId")))

    def owner_upgrade(self, event: Event) -> Iterator[Message]:
        # `user:{id}:notifications`: "reservation.* and payment.* of the guest; owner_upgrade.*"
        what, _, now = self.apply(event)
        assigned, user = now.get("assignedRestaurantId"), now.get("userId")
        if (now.get("status") or "").upper() == "APPROVED" and is_id(assigned) and user:
            # "approving an owner-upgrade sets `restaurants.ownerId` with no `restaurants` event"
            self.owners[assigned] = user
            if assigned in self.known["restaurant"]:
                self.known["restaurant"][assigned]["ownerId"] = user
        return send(event, f"owner_upgrade.{what}", shown(now), user_channel(user))

    def restaurant(self, event: Event) -> Iterator[Message]:
        was_closed = event.id in self.closed and event.what != "deleted"
        self.closed.discard(event.id)
        old_owner = self.owners.get(event.id)
        what, before, now = self.apply(event)
        what, news = self.status_news(event, what, before, now)
        reassigned = event.metadata.get("action") == "owner_reassigned" and event.what == "updated"
        if reassigned and "ownerId" not in event.said and is_id(event.metadata.get("user_id")):
            now["ownerId"] = event.metadata["user_id"]  # "where it is the **new owner**"
        if now.get("ownerId"):
            self.owners[event.id] = now["ownerId"]
        # "`global:restaurants` | public | restaurant.* (for lists)"; `:info`: "restaurant.*"
        public = [f"restaurant:{event.id}:info", "global:restaurants"]
        if reassigned:
            # "**owner_reassigned** → `restaurant.owner_changed` (to the old and the new owner; `:info` and lists get
            # `restaurant.updated` without owners)."
            owners = {user_channel(old_owner), self.owner_channel(event.id)} - {None}
            changed = [message(event, "restaurant.owner_changed", shown(now), owner) for owner in owners if owner]
            return iter(changed + [message(event, "restaurant.updated", shown(now), channel) for channel in public])
        if what == "deleted":
            return self.restaurant_deleted(event, now, public)
        # To the owner only "restaurant.status_changed and restaurant.owner_changed of the owner".
        owner = self.owner_channel(event.id) if what == "status_changed" else None
        data = shown(now | news)
        if was_closed:
            # What was said of it while deleted "comes with it when it is created again", on each of its channels.
            messages = list(send(event, f"restaurant.{what}", data, "global:restaurants", owner))
            for kind in ("reservations", "tables", "menu", "reviews", "info"):
                channel = f"restaurant:{event.id}:{kind}"
                contents = {name: held for name, held in (self.state(channel) or {}).items() if name != "restaurant"}
                messages.append(message(event, f"restaurant.{what}", data | contents, channel))
            return iter(messages)
        images = [shown(image) for image in self.known["image"].values() if image.get("entityId") == event.id]
        if before is None and images:
            # "When the parent comes, its own message carries what was known (…; the same for every parent)".
            info, lists = public
            news = [message(event, f"restaurant.{what}", data | {"images": images}, info)]
            return iter([*news, *send(event, f"restaurant.{what}", data, lists, owner)])
        return send(event, f"restaurant.{what}", data, *public, owner)

    def restaurant_deleted(self, event: Event, now: Data, public: list[str]) -> Iterator[Message]:
        # "deleting a parent deletes its sections, tables, section-objects, reservations, reviews, subscriptions without
        # events"
        for section_id in [i for i in self.known["section"] if self.home(i) == event.id]:
            self.forget("table", "sectionId", section_id)
            self.forget("section_object", "sectionId", section_id)
        for kind in ("section", "reservation", "review", "subscription"):
            self.forget(kind, "restaurantId", event.id)
        self.owners.pop(event.id, None)
        # "`restaurant.deleted` goes to every channel of that restaurant as its last word."
        others = [f"restaurant:{event.id}:{kind}" for kind in ("reservations", "tables", "menu", "reviews")]
        return send(event, "restaurant.deleted", shown(now), *public, *others)

    def section(self, event: Event) -> Iterator[Message]:
        what, before, now = self.apply(event)
        was_in, is_in = (before or {}).get("restaurantId"), now.get("restaurantId")
        tables, objects = self.placed_in("table", event.id), self.placed_in("section_object", event.id)
        contents = {"tables": [shown(table) for table in tables]}
        if objects:
            contents["sectionObjects"] = [shown(placed) for placed in objects]
        standing = {"sectionObjectIds": [placed["sectionObjectId"] for placed in objects]} if objects else {}
        if what == "deleted":
            # "`section.deleted` always names its `tableIds`": those that the record names, and those that we know of.
            named = [table["tableId"] for table in children(now, "tables")]
            ids = list(dict.fromkeys(named + [table["tableId"] for table in tables]))
            for table_id in ids:
                self.known["table"].pop(table_id, None)
            self.forget("section_object", "sectionId", event.id)
            return send(event, "section.deleted", shown(now) | {"tableIds": ids} | standing, restaurant(now, "tables"))
        if was_in and is_in != was_in:
            # "**A section that moves** to another restaurant: `section.deleted` with `tableIds` on the old channel,
            # `section.created` with `tables` on the new one." What leaves is sent as it was.
            assert before is not None
            left = shown(before) | {"tableIds": [table["tableId"] for table in tables]} | standing
            return iter(
                [
                    message(event, "section.deleted", left, f"restaurant:{was_in}:tables"),
                    message(event, "section.created", shown(now) | contents, f"restaurant:{is_in}:tables"),
                ]
            )
        # "When the parent comes, its own message carries what was known (`section.created` with `tables`)."
        carries = what == "created" or (was_in is None and (tables or objects))
        return send(event, f"section.{what}", shown(now) | (contents if carries else {}), restaurant(now, "tables"))

    def table(self, event: Event) -> Iterator[Message]:
        what, before, now = self.apply(event)
        was_in, is_in = self.home((before or {}).get("sectionId")), self.home(now.get("sectionId"))
        return self.moves(event, what, before, now, *(home and f"restaurant:{home}:tables" for home in (was_in, is_in)))

    section_object = table

    def moves(
        self, event: Event, what: str, before: Data | None, now: Data, left: str | None, here: str | None
    ) -> Iterator[Message]:
        """Return what is said of something that was on the channel `left`, and is on the channel `here`."""
        # "**A table that moves** within a restaurant: `table.updated`; to another one: `table.deleted` there,
        # `table.created` here; to a section that is not known: `table.deleted` there (likewise everything that has a
        # parent)." What leaves is sent as it was.
        messages = []
        if before is not None and left is not None and left != here:
            gone = now if what == "deleted" else before
            messages.append(message(event, f"{event.kind}.deleted", shown(gone), left))
            what = "created" if what != "deleted" else what
        if here is not None:
            messages.append(message(event, f"{event.kind}.{what}", shown(now), here))
        return iter(messages or nothing("orphan"))  # "after that such records are orphans: counted, applied, not sent"

    def menu(self, event: Event) -> Iterator[Message]:
        # `restaurant:{id}:menu`: "menu.*, dish.*"
        what, _, now = self.apply(event)
        for dish in children(event.said, "dishes"):
            # A dish may be named only here, and its `deleted` brings "the id alone".
            known = self.known["dish"].get(dish["dishId"], {})
            self.known["dish"][dish["dishId"]] = {"restaurantId": now.get("restaurantId")} | known | dish
        return send(event, f"menu.{what}", shown(now), restaurant(now, "menu"))

    def dish(self, event: Event) -> Iterator[Message]:
        what, _, now = self.apply(event)
        return send(event, f"dish.{what}", shown(now), restaurant(now, "menu"))

    def review(self, event: Event) -> Iterator[Message]:
        # `restaurant:{id}:reviews`: "review.*"
        what, _, now = self.apply(event)
        if now.get("userName") and now.get("userId"):
            self.names[now["userId"]] = now["userName"]  # "the name known from `auth` or `reviews`"
        return send(event, f"review.{what}", shown(now), restaurant(now, "reviews"))

    def image(self, event: Event) -> Iterator[Message]:
        # `restaurant:{id}:info`: "image.* of it or its parts"
        what, before, now = self.apply(event)
        left, here = (self.owner_of_image((image or {}).get("entityId")) for image in (before, now))
        if left is None and here is None:
            nothing("unconcerned")  # "What concerns nobody (plans, unplaced objects, images of unknown things, …)"
        return self.moves(event, what, before, now, left, here)

    def owner_of_image(self, entity_id: object) -> str | None:
        # "`entityId` is an unchecked id of unsaid kind (restaurant, section, table, menu, dish, or nothing known)."
        for kind in ("restaurant", "section", "menu", "dish"):
            if entity := self.known[kind].get(str(entity_id)):
                return restaurant(entity, "info")
        home = self.home(self.known["table"].get(str(entity_id), {}).get("sectionId"))
        return f"restaurant:{home}:info" if home else None

    def announcement(self, event: Event) -> Iterator[Message]:
        # `global:announcements`: "announcement.* (topic `mesa-ya.announcements.events`, and `POST /publish`)"
        what, _, now = self.apply(event)
        return send(event, f"announcement.{what}", shown(now), "global:announcements")

    def owner_channel(self, restaurant_id: object) -> str | None:
        return user_channel(self.owners.get(restaurant_id)) if isinstance(restaurant_id, str) else None

    def object(self, event: Event) -> Iterator[Message]:
        # "What concerns nobody (…, unplaced objects, …)"; those that are placed concern, "by look-up: … objects
        # (section-objects)", whoever looks at "the floor plan".
        standing = [(i, self.home(e.get("sectionId"))) for i, e in self.placements(event.id)]
        what, _, now = self.apply(event)
        if what == "deleted":
            self.forget("section_object", "objectId", event.id)
        found = []
        for home in dict.fromkeys(home for _, home in standing if home):
            # "Cascades are carried inside one message".
            ids = {"sectionObjectIds": [i for i, at in standing if at == home]} if what == "deleted" else {}
            found.append(message(event, f"object.{what}", shown(now) | ids, f"restaurant:{home}:tables"))
        return iter(found or nothing("unconcerned"))

    def placements(self, object_id: str) -> list[tuple[str, Data]]:
        return [(i, e) for i, e in self.known["section_object"].items() if e.get("objectId") == object_id]


def restaurant(entity: Data, kind: str) -> str | None:
    restaurant_id = entity.get("restaurantId")
    return f"restaurant:{restaurant_id}:{kind}" if restaurant_id else None


def user_channel(user_id: object) -> str | None:
    return f"user:{user_id}:notifications" if user_id else None


def message(event: Event, type_: str, data: Data, channel: str) -> Message:
    # "`{"type": "<entity>.<what>", "channel", "position", "timestamp" (the envelope's), "data"}`"
    return {"channel": channel, "type": type_, "timestamp": event.timestamp, "data": data}


def send(event: Event, type_: str, data: Data, *channels: str | None) -> Iterator[Message]:
    """Return the same message for each channel; "orphan" when what the record belongs to is not known."""
    messages = [message(event, type_, data, channel) for channel in channels if channel]
    return iter(messages or nothing("orphan"))


# -- the expected files ------------------------------------------------------------------------------------------------


def expected_lines(name: str) -> Iterator[str]:
    """Yield the lines of `tests/data/expected_{name}.jsonl`: `{"n", "messages"}`, and the `reason` of no messages."""
    for n, (messages, reason) in enumerate(outcomes(sample(name)), start=1):
        line: Data = {"n": n, "messages": messages}
        if reason is not None:
            line["reason"] = reason
        yield json.dumps(line, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description="The expected files of the samples.")
    parser.add_argument("--write", action="store_true", help="write them anew, instead of comparing")
    write = parser.parse_args().write
    for name in SAMPLES:
        path = DATA / f"expected_{name}.jsonl"
        text = "".join(f"{line}\n" for line in expected_lines(name))
        if write:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} differs from what the oracle says. Read the difference before you use --write.")


if __name__ == "__main__":
    main()
