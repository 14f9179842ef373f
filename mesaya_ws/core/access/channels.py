"""The channels: one grammar for their names, and what feeds them."""

from functools import lru_cache

from attrs import frozen

from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.platform.fields import IDENTIFIER
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of


@frozen
class Kind:
    """One sort of channel; `topics` are those whose records can become messages on it, those of our own the last.

    It `has_history` if no snapshot makes up for its events: they are kept for days (see `recovery.history`).
    """

    name: str
    topics: tuple[str, ...]
    has_history: bool = False


def _kind(name: str, *domains: str, own: tuple[str, ...] = (), has_history: bool = False) -> Kind:
    return Kind(name, (*map(topic_of, domains), *own), has_history)


# `restaurants` feeds every channel of a restaurant: its deletion is their last word.
RESTAURANT_KINDS = {
    kind.name: kind
    for kind in (
        _kind("reservations", "reservations", "payments", "restaurants", own=(ACKS, HOLDS), has_history=True),
        _kind(
            "tables",
            *("tables", "sections", "section-objects", "objects", "restaurants"),
            own=(PARENTS_TOPIC, HOLDS),
        ),
        _kind("menu", "menus", "restaurants"),
        _kind("reviews", "reviews", "restaurants"),
        # Where an image belongs follows from what it is of.
        _kind("info", *("images", "sections", "tables", "menus", "restaurants"), own=(PARENTS_TOPIC,)),
    )
}
USER_KINDS = {
    kind.name: kind
    for kind in (
        _kind(
            "notifications",
            *("reservations", "payments", "owner-upgrade", "subscriptions", "restaurants"),
            own=(PARENTS_TOPIC,),  # may say who owns a restaurant
            has_history=True,
        ),
    )
}
GLOBAL_KINDS = {
    kind.name: kind
    for kind in (
        _kind("restaurants", "restaurants"),
        _kind("announcements", "announcements", has_history=True),
    )
}
CONVERSATION = Kind("chat", (CHAT,))
INBOX = Kind("chats", (CHAT,))
"""Of a restaurant as well as of a user: they are fed by the same records."""

KINDS = RESTAURANT_KINDS | USER_KINDS | GLOBAL_KINDS | {CONVERSATION.name: CONVERSATION, INBOX.name: INBOX}
"""All kinds by the last part of their channels' names, which is unique; conversations have the guest after it."""


@frozen
class Channel:
    """A parsed name: `restaurant:{subject}:{kind}`, `user:{subject}:{kind}`, or `global:{kind}` (no subject).

    That of a conversation is `restaurant:{subject}:chat:{guest}`; all others have no guest.
    """

    name: str
    kind: Kind
    subject: str | None
    guest: str | None = None

    @property
    def is_of_restaurant(self) -> bool:
        """Whether the subject is a restaurant."""
        return self.name.startswith("restaurant:")


LONGEST_NAME = 512
"""Characters; no channel has a longer name."""


def parse_channel(name: str) -> Channel | None:
    """Return the channel called `name`, or None when no channel can have that name.

    Clients of one channel share it, if it was among the latest: it would be a fiftieth of what an idle one costs.
    """
    return _parse(name) if len(name) <= LONGEST_NAME else None


@lru_cache(1024)
def _parse(name: str) -> Channel | None:
    match name.split(":"):
        case ["restaurant", subject, kind] if kind in RESTAURANT_KINDS and IDENTIFIER.fullmatch(subject):
            return Channel(name, RESTAURANT_KINDS[kind], subject)
        case ["restaurant", subject, "chat", guest] if IDENTIFIER.fullmatch(subject) and IDENTIFIER.fullmatch(guest):
            return Channel(name, CONVERSATION, subject, guest)
        case ["restaurant" | "user", subject, "chats"] if IDENTIFIER.fullmatch(subject):
            return Channel(name, INBOX, subject)
        case ["user", subject, kind] if kind in USER_KINDS and IDENTIFIER.fullmatch(subject):
            return Channel(name, USER_KINDS[kind], subject)
        case ["global", kind] if kind in GLOBAL_KINDS:
            return Channel(name, GLOBAL_KINDS[kind], None)
        case _:
            return None


def kind_of(name: str) -> Kind:
    """Return the kind of a channel, by its name."""
    return CONVERSATION if name.count(":") == 3 else KINDS[name.rpartition(":")[2]]


def conversation_channel(restaurant_id: str, user_id: str) -> str:
    """Return the name of the channel of a guest's conversation with a restaurant."""
    return f"restaurant:{restaurant_id}:chat:{user_id}"


def restaurant_channel(restaurant_id: str, kind: str) -> str:
    """Return the name of a restaurant's channel of that kind."""
    return f"restaurant:{restaurant_id}:{kind}"


def user_channel(user_id: str) -> str:
    """Return the name of a user's channel."""
    return f"user:{user_id}:notifications"


def user_inbox(user_id: str) -> str:
    """Return the name of the channel of a guest's conversations."""
    return f"user:{user_id}:chats"
