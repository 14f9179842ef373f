"""The whole table: every kind of channel, every action, everybody who may ask."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import GLOBAL_KINDS, KINDS, RESTAURANT_KINDS, USER_KINDS, parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import OWNERS_KINDS, RIGHTS, Action, is_private, may, roles
from mesaya_ws.core.platform.users import LoggedRoles

CHANNELS = [
    *(f"restaurant:{id}:{kind}" for kind in RESTAURANT_KINDS for id in ("R", "S", "unknown")),
    *(f"user:{id}:{kind}" for kind in USER_KINDS for id in ("owner", "guest", "unknown")),
    *(f"global:{kind}" for kind in GLOBAL_KINDS),
    *(f"restaurant:{id}:chat:{guest}" for id in ("R", "S", "unknown") for guest in ("owner", "guest", "unknown")),
    *(f"restaurant:{id}:chats" for id in ("R", "S", "unknown")),
    *(f"user:{id}:chats" for id in ("owner", "guest", "unknown")),
]
"""R belongs to `owner`, S to somebody else, and of the unknown ones nothing is known."""

CLIENTS = {
    "anybody": None,
    "owner": Identity("owner", ("USER", "OWNER")),
    "guest": Identity("guest", ("USER",)),
    "admin": Identity("boss", ("ADMIN",)),
    "roleless": Identity("owner"),
    "nearly": Identity("guest", ("admin", "Admin", "ADMINS", "ADMIN ", "")),
}

PUBLIC = {
    *(f"restaurant:{id}:{kind}" for kind in ("tables", "menu", "reviews", "info") for id in ("R", "S", "unknown")),
    "global:restaurants",
    "global:announcements",
}
CONVERSATIONS = {name for name in CHANNELS if ":chat:" in name}
BLOCKED_BY = {
    "owner": {name for name in CONVERSATIONS if name.startswith("restaurant:R:")},
    "admin": CONVERSATIONS,
}
"""Whose guests a client may block, if any: those of its restaurants."""


def own_conversations(user):
    return {f"user:{user}:chats", *(name for name in CONVERSATIONS if name.endswith(f":chat:{user}"))}


OWNERS = {
    "restaurant:R:reservations",
    "user:owner:notifications",
    "restaurant:R:chats",
    *BLOCKED_BY["owner"],
    *own_conversations("owner"),
}
GUESTS = {"user:guest:notifications", *own_conversations("guest")}
PRIVATE = {
    "anybody": set(),
    "owner": OWNERS,
    "roleless": OWNERS,
    "guest": GUESTS,
    "nearly": GUESTS,
    "admin": set(CHANNELS) - PUBLIC,
}


class Facts:
    """What the log says: whose each restaurant is, and what roles who has."""

    def __init__(self, owners=(), roles=()):
        self.owners, self.roles = dict(owners), dict(roles)

    def owner_of(self, restaurant):
        return self.owners.get(restaurant)

    def roles_of(self, user):
        return self.roles.get(user)


FACTS = Facts({"R": "owner", "S": "somebody"})


@pytest.mark.parametrize(("client", "name", "action"), list(product(CLIENTS, CHANNELS, Action)))
def test_table_of_rights(client, name, action):
    reservations = {name for name in PRIVATE[client] if name.endswith(":reservations")}
    allowed = {
        Action.SUBSCRIBE: PUBLIC | PRIVATE[client],
        Action.SPEAK: CONVERSATIONS & PRIVATE[client],
        Action.ACKNOWLEDGE: reservations,
        Action.BLOCK: BLOCKED_BY.get("owner" if client == "roleless" else client, set()),
        Action.HOLD: {name for name in CHANNELS if name.endswith(":tables") and client != "anybody"},
        Action.RELEASE: {f"{name.removesuffix('reservations')}tables" for name in reservations},
    }
    expected = name in allowed[action]
    assert may(CLIENTS[client], action, parse_channel(name), FACTS) is expected


def test_table_names_every_kind_of_channel_and_every_action():
    assert RIGHTS.keys() == KINDS.keys() == {parse_channel(name).kind.name for name in CHANNELS}
    assert {action for row in RIGHTS.values() for action in row} == set(Action)
    assert {kind for kind in KINDS if is_private(kind)} == {"reservations", "notifications", "chat", "chats"}
    assert OWNERS_KINDS == ("reservations", "chats")


@pytest.mark.parametrize("user", ["", "None", "unknown"])
def test_restaurant_that_nobody_owns_is_nobodys(user):
    for id in ("unknown", "None"):
        assert not may(Identity(user), Action.SUBSCRIBE, parse_channel(f"restaurant:{id}:reservations"), FACTS)


def test_user_named_like_a_restaurant_is_not_its_owner_and_the_other_way_round():
    facts = Facts({"same": "other"})
    assert not may(Identity("same"), Action.SUBSCRIBE, parse_channel("restaurant:same:reservations"), facts)
    assert not may(Identity("other"), Action.SUBSCRIBE, parse_channel("user:same:notifications"), facts)
    assert not may(Identity("same"), Action.SUBSCRIBE, parse_channel("restaurant:same:chats"), facts)
    assert not may(Identity("same"), Action.SPEAK, parse_channel("restaurant:same:chat:x"), facts)
    assert not may(Identity("other"), Action.SUBSCRIBE, parse_channel("user:same:chats"), facts)


@pytest.mark.parametrize(
    ("issued", "logged", "expected"),
    [
        (100.0, None, ("USER",)),
        (100.0, LoggedRoles(99_999, ("ADMIN",)), ("USER",)),
        (100.0, LoggedRoles(100_000, ("ADMIN",)), ("USER",)),
        (100.0, LoggedRoles(100_001, ("ADMIN",)), ("ADMIN",)),
        (None, LoggedRoles(0, ("ADMIN",)), ("ADMIN",)),
        (None, None, ("USER",)),
    ],
)
def test_roles_are_the_tokens_unless_the_log_has_later_ones(issued, logged, expected):
    facts = Facts(roles={"u": logged} if logged else {})
    identity = Identity("u", ("USER",), issued)
    assert roles(identity, facts) == expected
    assert may(identity, Action.SUBSCRIBE, parse_channel("user:x:notifications"), facts) is ("ADMIN" in expected)


def test_role_that_was_taken_later_than_the_token_gives_no_right():
    facts = Facts(roles={"boss": LoggedRoles(200_000, ("USER",))})
    channel = parse_channel("restaurant:R:reservations")
    assert not may(Identity("boss", ("ADMIN",), 100.0), Action.SUBSCRIBE, channel, facts)
    assert may(Identity("boss", ("ADMIN",), 300.0), Action.SUBSCRIBE, channel, facts)


@given(st.text(max_size=8), st.lists(st.text(max_size=8)), st.sampled_from(CHANNELS))
def test_any_identity_that_is_not_concerned_has_no_right(user, given, name):
    if user in ("owner", "somebody", "guest", "unknown") or "ADMIN" in given:
        return
    assert may(Identity(user, tuple(given)), Action.SUBSCRIBE, parse_channel(name), FACTS) is (name in PUBLIC)
