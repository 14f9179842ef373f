"""Who may do what on which channel: one table, and the facts that it is asked with.

A client stands to a channel in some `Relation`s: by who it is, by its roles, and by what the log says now. The table
names those that suffice. It is asked at each subscription and resumption, so the past is shown by today's rights too.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Protocol

from mesaya_ws.core.access.channels import INBOX, KINDS, RESTAURANT_KINDS, Channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.platform.users import LoggedRoles

ADMIN = "ADMIN"
"""The role that stands above all; the platform's others (`OWNER`, `USER`) give no right by themselves."""


class Action(StrEnum):
    """What a client may want to do on a channel."""

    SUBSCRIBE = "subscribe"
    SPEAK = "speak"
    """Write in a conversation: publish, edit, delete, mark as read."""
    BLOCK = "block"
    ACKNOWLEDGE = "acknowledge"
    """Take note of a new reservation, for the restaurant."""
    HOLD = "hold"
    """Have tables held for oneself."""
    RELEASE = "release"
    """End the holds of others; one's own may always be ended."""

    __hash__ = str.__hash__  # an enumeration's own is a function in Python


class Relation(Enum):
    """How a client may stand to a channel."""

    ANYBODY = "anybody"
    """Every client, also one of whom nothing is known."""
    KNOWN = "known"
    """Every client that has said who it is."""
    OWNER = "owner"
    """The owner of the restaurant that the channel names, as the log has it now."""
    SELF = "self"
    """The user whom the channel names: of a conversation, its guest."""
    ADMIN = "admin"
    """A user with that role."""

    __hash__ = object.__hash__  # as above


_NOBODY: frozenset[Relation] = frozenset()
_EVERYBODY = frozenset({Relation.ANYBODY})
_RESTAURANT = frozenset({Relation.OWNER, Relation.ADMIN})
_USER = frozenset({Relation.SELF, Relation.ADMIN})

RIGHTS: Mapping[str, Mapping[Action, frozenset[Relation]]] = {
    "tables": {
        Action.SUBSCRIBE: _EVERYBODY,
        Action.HOLD: frozenset({Relation.KNOWN}),
        Action.RELEASE: _RESTAURANT,
    },
    "menu": {Action.SUBSCRIBE: _EVERYBODY},
    "reviews": {Action.SUBSCRIBE: _EVERYBODY},
    "info": {Action.SUBSCRIBE: _EVERYBODY},
    "reservations": {Action.SUBSCRIBE: _RESTAURANT, Action.ACKNOWLEDGE: _RESTAURANT},
    "notifications": {Action.SUBSCRIBE: _USER},
    "chat": {
        Action.SUBSCRIBE: _RESTAURANT | _USER,
        Action.SPEAK: _RESTAURANT | _USER,
        Action.BLOCK: _RESTAURANT,
    },
    "chats": {Action.SUBSCRIBE: _RESTAURANT | _USER},
    "restaurants": {Action.SUBSCRIBE: _EVERYBODY},
    "announcements": {Action.SUBSCRIBE: _EVERYBODY},
}
"""Which relations suffice, by the kind of the channel (the last part of its name) and the action. None: nobody may."""


_PRIVATE = frozenset(kind for kind, row in RIGHTS.items() if Relation.ANYBODY not in row[Action.SUBSCRIBE])


class Facts(Protocol):
    """What the log says now, as far as rights depend on it. It is asked for things that may not exist."""

    def owner_of(self, restaurant: str) -> str | None:
        """Return who owns a restaurant; None: nobody is known to, or it is deleted."""
        ...

    def has_restaurant(self, restaurant: str) -> bool:
        """Return whether a restaurant is known, and not deleted."""
        ...

    def roles_of(self, user: str) -> LoggedRoles | None:
        """Return the roles of a user as the log has them, if any record says them."""
        ...


def may(identity: Identity | None, action: Action, channel: Channel, facts: Facts) -> bool:
    """Return whether a client with that identity (None: unknown) may do something on a channel now.

    A private channel of which nothing is known is asked about in the same way as one that is somebody else's, and in
    the same time: so nobody finds out what exists.
    """
    sufficient = RIGHTS[channel.kind.name].get(action, _NOBODY)
    return Relation.ANYBODY in sufficient or not sufficient.isdisjoint(_relations(identity, channel, facts))


def roles(identity: Identity, facts: Facts) -> tuple[str, ...]:
    """Return the roles that count now: the token's, unless the log has others that are later than the token.

    A token that does not say when it was issued is taken for older than anything that the log says.
    """
    logged = facts.roles_of(identity.user)
    if logged is None or (identity.issued_at is not None and logged.at <= identity.issued_at * 1000):
        return identity.roles
    return logged.roles


def is_private(kind: str) -> bool:
    """Return whether channels of a kind are for some clients only."""
    return kind in _PRIVATE


def _relations(identity: Identity | None, channel: Channel, facts: Facts) -> set[Relation]:
    relations = {Relation.ANYBODY}
    if identity is None:
        return relations
    relations.add(Relation.KNOWN)
    if ADMIN in roles(identity, facts):
        relations.add(Relation.ADMIN)
    if channel.subject is not None:
        if channel.is_of_restaurant:
            if facts.owner_of(channel.subject) == identity.user:
                relations.add(Relation.OWNER)
            if channel.guest == identity.user:
                relations.add(Relation.SELF)
        elif channel.subject == identity.user:
            relations.add(Relation.SELF)
    return relations


OWNERS_KINDS = tuple(
    kind
    for kind in (*RESTAURANT_KINDS, INBOX.name)
    if is_private(kind) and Relation.OWNER in RIGHTS[kind][Action.SUBSCRIBE]
)
"""The kinds of a restaurant's channels that its owner may see and others may not; its inbox is one of them."""

assert RIGHTS.keys() == KINDS.keys()  # noqa: S101 - a kind without a row would be open to nobody, and nobody would know
