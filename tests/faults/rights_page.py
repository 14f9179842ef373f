"""Who may see what, and what is shown where: a second reading of docs/identity.md, which shares no code with the first.

It reads the log when all is over. A *moment* is how many records of the platform lie before it in the log: what gives
and takes rights are such records, so between two moments nobody's rights change. What records of the platform become
on which channel, `tests.oracle` reads; what those of conversations, holds and acknowledgements become, is read here.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests import oracle

from .log import Held
from .subscribers import Message, identity

AUTH, RESTAURANTS, REQUESTS = (f"mesa-ya.{domain}.events" for domain in ("auth", "restaurants", "owner-upgrade"))
CHAT, HOLDS, ACKS = "mesa-ya.chat.events", "mesaya-ws.holds", "mesaya-ws.acks"

IDS = ("reservationId", "paymentId", "requestId", "restaurantId", "messageId", "holdId")
"""What things are called by that a private channel shows; whoever sees the name has seen the thing."""


class Claims(NamedTuple):
    """What a token says; `expires` in seconds since 1970, as `issued`, if it says that."""

    user: str
    roles: tuple[str, ...]
    issued: int | None
    expires: float


class Facts(NamedTuple):
    """What the log has said up to some moment: who owns what, and who has which roles since when (ms since 1970)."""

    owners: dict[str, str]
    roles: dict[str, tuple[int, tuple[str, ...]]]


class Due(NamedTuple):
    """A message that whoever sees the channel receives: what makes it known, and the moment when it was in the log.

    A record that `is_fact` may be the last one that somebody sees: for it, the rights before it count.
    """

    key: str
    moment: int
    is_fact: bool

    @property
    def seen_at(self) -> int:
        """Up to which moment a right must have lasted."""
        return self.moment - self.is_fact


def count_until(due: Sequence[Due], moment: int) -> int:
    """Return how much of what is due was in the log at a moment."""
    return sum(one.moment <= moment for one in due)


def count_last(due: Sequence[Due], fact: int) -> int:
    """Return how much of what is due somebody is sent who loses the right by the record at a moment."""
    return sum(one.moment < fact or (one.moment == fact and one.is_fact) for one in due)


def is_private(channel: str) -> bool:
    """Return whether a channel is for some alone."""
    return channel.startswith("user:") or channel.split(":")[2:3] in (["reservations"], ["chat"], ["chats"])


def channel_of(question: Message) -> str:
    """Return the channel that a question is about; reservations are called after their restaurants here."""
    if (id := question.get("reservationId")) is not None:
        return f"restaurant:{id.partition('.')[0]}:reservations"
    return question.get("channel", "")


def key_of(message: Message) -> str:
    """Return what no other message of a channel has."""
    data = message["data"]
    match message["type"]:
        case "chat.message":
            return f"message {data['messageId']}"
        case "chat.conversation":
            return f"conversation with {data['last']['messageId']}"
        case "hold.created" | "hold.ended" as kind:
            return f"{kind} {data['holdId']}"
        case "reservation.acknowledged":
            return f"acknowledged {data['reservationId']}"
    return identity(message)


class Page:
    """What `records`, all that the log has held, mean; `written` are those that the platform has written, in order."""

    def __init__(self, records: Sequence[Held], written: Sequence[bytes]) -> None:
        self.facts = [Facts({}, {})]
        self.due: dict[str, list[Due]] = defaultdict(list)
        self._known: dict[str, set[str]] = defaultdict(set)
        self._ended: dict[tuple[object, str], list[int]] = {}
        platform = [one for one in records if one.value is not None and one.topic.removeprefix("mesa-ya.") != one.topic]
        platform = [one for one in platform if one.topic != CHAT]
        becomes = {id(one): messages for one, messages in zip(platform, oracle.expected(platform), strict=True)}
        numbers = {value: number for number, value in enumerate(written, 1)}
        for record in records:
            if record.value is None:
                continue
            is_fact = False
            if record.value in numbers:
                assert numbers[record.value] == len(self.facts), "the log has another order than it was written in"
                self.facts.append(_after(self.facts[-1], record))
                is_fact = self.facts[-1] != self.facts[-2]
            messages = becomes.get(id(record)) or _of_interactions(record)
            for message in messages:
                self._note(message, is_fact=is_fact)
        self.last = len(self.facts) - 1

    def _note(self, message: Message, *, is_fact: bool) -> None:
        channel, key = message["channel"], key_of(message)
        self._known[channel] |= named(message["data"])
        if not any(one.key == key for one in self.due[channel]) or message["type"] not in _ONCE:
            self.due[channel].append(Due(key, len(self.facts) - 1, is_fact))

    def foreign(self, channel: str, data: object) -> set[str]:
        """Return the names of things that are shown on a channel, which never concerned it."""
        return named(data) - self._known[channel] - set(channel.split(":"))

    def may(self, claims: Claims | None, channel: str, moment: int) -> bool:
        """Return whether somebody with those claims may see a channel at a moment, by the table of the page."""
        if not is_private(channel):
            return True
        if claims is None:
            return False
        owners, said = self.facts[moment]
        roles = claims.roles
        # "Roles are those of the token, unless a record of `mesa-ya.auth.events` that is later than its `iat` says
        # others."
        if claims.user in said and (claims.issued is None or said[claims.user][0] > claims.issued * 1000):
            roles = said[claims.user][1]
        if "ADMIN" in roles:
            return True
        scope, subject, _, *guest = channel.split(":")
        return claims.user in ([subject] if scope == "user" else [owners.get(subject), *guest])

    def without(self, claims: Claims | None, channel: str, moment: int) -> int:
        """Return the latest moment, up to some other one, at which somebody had no right to a channel; -1: always."""
        ended = self._ended.get((claims, channel))
        if ended is None:
            ended, latest = [], -1
            for each in range(len(self.facts)):
                latest = latest if self.may(claims, channel, each) else each
                ended.append(latest)
            self._ended[claims, channel] = ended
        return ended[min(moment, self.last)]


_ONCE = ("chat.message", "chat.conversation", "hold.created", "hold.ended", "reservation.acknowledged")
"""Of which the first record counts, and any other one is a retry."""


def named(data: object) -> set[str]:
    """Return the ids of all that is named in some data."""
    match data:
        case dict():
            own = {value for name, value in data.items() if name in IDS and isinstance(value, str)}
            return own.union(*map(named, data.values()))
        case list():
            return set().union(*map(named, data))
    return set()


def _after(facts: Facts, record: Held) -> Facts:
    """Return what is known after a record."""
    said: dict[str, Any] = json.loads(record.value or b"")
    match record.topic:
        case topic if topic == AUTH:
            user = said["data"]["id"]
            return facts._replace(roles=facts.roles | {user: (record.timestamp, tuple(said["data"]["roles"]))})
        case topic if topic == RESTAURANTS:
            id = said["entity_id"]
            if said["event_type"] == "deleted":
                return facts._replace(owners={one: user for one, user in facts.owners.items() if one != id})
            if "ownerId" in said["data"]:
                return facts._replace(owners=facts.owners | {id: said["data"]["ownerId"]})
        case topic if topic == REQUESTS and said["data"]["status"] == "APPROVED":
            data = said["data"]
            return facts._replace(owners=facts.owners | {data["assignedRestaurantId"]: data["userId"]})
    return facts


def _of_interactions(record: Held) -> Iterator[Message]:
    """Yield what a record of a conversation, a hold or an acknowledgement becomes, as far as it is known by that."""
    if record.topic not in (CHAT, HOLDS, ACKS):
        return
    said: dict[str, Any] = json.loads(record.value or b"")
    if record.topic == CHAT:
        data = {"messageId": said["entity_id"], **said["data"]}
        restaurant, guest = data["restaurantId"], data["userId"]
        yield {"type": "chat.message", "channel": f"restaurant:{restaurant}:chat:{guest}", "data": data}
        news = {"restaurantId": restaurant, "last": data}
        for inbox in (f"restaurant:{restaurant}:chats", f"user:{guest}:chats"):
            yield {"type": "chat.conversation", "channel": inbox, "data": news}
    elif said["type"] in ("claim", "release"):
        kind = "hold.created" if said["type"] == "claim" else "hold.ended"
        restaurant = said["holdId"].partition(".")[
            0
        ]  # which a release does not say, and the ids that are given here do
        yield {"type": kind, "channel": f"restaurant:{restaurant}:reservations", "data": {"holdId": said["holdId"]}}
    elif said["type"] == "ack":
        data = {"reservationId": said["reservationId"]}
        yield {
            "type": "reservation.acknowledged",
            "channel": f"restaurant:{said['restaurantId']}:reservations",
            "data": data,
        }
