"""A new kind of entity has its place in each table that decides by the kind, or is known not to need one."""

import pytest

from mesaya_ws.core.access.channels import KINDS, RESTAURANT_KINDS
from mesaya_ws.core.feed import snapshot
from mesaya_ws.core.feed.router import RULES
from mesaya_ws.core.platform import projections
from mesaya_ws.core.platform.entities import CASCADES, ENTITIES, IMAGED
from mesaya_ws.core.recovery import event_dependencies, inheritance
from mesaya_ws.core.recovery.parents import PARENTS
from mesaya_ws.core.views import restaurants

# By table: its entities, and those that it need not have.
TABLES = {
    "feed.router.RULES": (RULES, {"plan"}),
    "recovery.parents.PARENTS": (
        PARENTS,
        {
            "restaurant",
            "section",
            "object",
            "menu",
            "dish",
            "review",
            "reservation",
            "plan",
            "owner_upgrade",
            "announcement",
        },
    ),
    "recovery.event_dependencies: _DECISIVE, _NAME_NOTHING": (
        {*event_dependencies._DECISIVE, *event_dependencies._NAME_NOTHING},
        {"restaurant", "owner_upgrade"},
    ),
    "recovery.event_dependencies._OWN_CHANNEL": (
        event_dependencies._OWN_CHANNEL,
        {"restaurant", "object", "payment", "subscription", "plan", "owner_upgrade", "announcement"},
    ),
    "recovery.inheritance.GIVES": (
        inheritance.GIVES,
        {"object", "review", "image", "payment", "plan", "owner_upgrade", "announcement"},
    ),
    "recovery.inheritance._SHOWN_ON": (
        inheritance._SHOWN_ON,
        {
            "restaurant",
            "subscription",
            "object",
            "review",
            "image",
            "payment",
            "plan",
            "owner_upgrade",
            "announcement",
        },
    ),
    "platform.projections._NAMES_OTHERS": (
        projections._NAMES_OTHERS,
        {
            "section",
            "table",
            "object",
            "section_object",
            "dish",
            "image",
            "reservation",
            "payment",
            "subscription",
            "plan",
        },
    ),
    "platform.entities.CASCADES": (
        {*CASCADES, *(part for parts in CASCADES.values() for part in parts)},
        {"menu", "dish", "image", "payment", "plan", "owner_upgrade", "announcement"},
    ),
    "platform.entities.IMAGED": (
        IMAGED,
        {
            "object",
            "section_object",
            "review",
            "image",
            "reservation",
            "payment",
            "subscription",
            "plan",
            "owner_upgrade",
            "announcement",
        },
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_table_has_every_kind_of_entity_or_is_known_not_to_need_it(table):
    present, without = set(TABLES[table][0]), TABLES[table][1]
    assert present.isdisjoint(without), table
    assert present | without == set(ENTITIES), f"decide whether {table} needs it"


def test_whatever_gives_its_parts_a_restaurant_says_where_they_are_shown():
    """The parts of a restaurant are shown everywhere, those of a subscription nowhere there."""
    assert inheritance.GIVES.keys() - inheritance._SHOWN_ON.keys() == {"restaurant", "subscription"}


def test_every_kind_of_channel_has_a_snapshot():
    assert snapshot._KINDS.keys() == KINDS.keys()


def test_a_restaurant_that_is_there_again_has_the_contents_of_all_its_channels():
    assert restaurants._CONTENTS.keys() == RESTAURANT_KINDS.keys()
