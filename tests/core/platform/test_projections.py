from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.platform.endings import ENDED_AT_ONCE, Endings
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.users import LoggedRoles
from tests.steps import calls
from tests.support.log import event, user


@pytest.fixture
def platform():
    return Projections()


def apply(platform, *events):
    applied = [platform.apply_user(each) if each.entity == "auth" else platform.apply(each) for each in events]
    return applied[-1].data if applied[-1] is not None else None


def test_what_a_record_leaves_out_is_filled_in(platform):
    apply(platform, event("reservation.created", "r", restaurantId="R", tableId="t", status="PENDING"))
    whole = {"reservationId": "r", "restaurantId": "R", "tableId": "t", "status": "confirmed"}
    assert apply(platform, event("reservation.status_changed", "r", status="CONFIRMED")) == whole
    assert apply(platform, event("reservation.deleted", "r")) == whole


DISH = dict.fromkeys(("restaurantId", "name", "description", "createdAt", "updatedAt"), "x") | {
    "price": 2,
    "categoryId": None,
    "categoryName": None,
    "categoryDescription": None,
    "categoryOrder": None,
}


def test_what_a_whole_record_leaves_out_has_no_value(platform):
    apply(platform, event("dish.created", "d", **DISH, menuId="m", imageId="i"))
    assert apply(platform, event("dish.updated", "d", price=3, createdAt="x"))["menuId"] == "m"
    assert apply(platform, event("dish.updated", "d", **DISH)) == {"dishId": "d", **DISH}


def test_data_that_was_applied_is_never_changed_again(platform):
    first = apply(platform, event("table.created", "t", sectionId="s", capacity=2))
    apply(platform, event("table.updated", "t", capacity=4))
    assert first["capacity"] == 2


def test_what_is_known_can_be_kept_and_taken_in_again(platform):
    apply(
        platform,
        event("section.created", "s", restaurantId="R"),
        event("table.created", "t1", sectionId="s"),
        event("table.created", "t2", sectionId="s"),
        event("table.updated", "t1", sectionId="s2"),
        event("table.updated", "t1", sectionId="s"),
        event("table.deleted", "t3", sectionId="s"),
        event("owner_upgrade.status_changed", "q", status="APPROVED", assignedRestaurantId="R2", userId="u"),
        user("u", "Ana", roles=("OWNER",)),
    )
    other = Projections()
    for table, id, value in rows_of(platform):
        load_row(other, table, id, orjson.loads(orjson.dumps(value)))
    assert list(map(orjson.dumps, rows_of(other))) == list(map(orjson.dumps, rows_of(platform)))
    assert other.names == platform.names == {"u": "Ana"}
    assert list(other.entities["table"].children.under("sectionId", "s")) == ["t2", "t1"]
    assert other.owner("R2") == "u"
    assert other.roles_of("u") == platform.roles_of("u") == LoggedRoles(0, ("OWNER",))


@pytest.mark.parametrize(
    "row",
    [
        ("alive/table", "t", []),
        ("alive/table", "t", [{}, [1, 2]]),
        ("alive/table", "t", [{}, [1, 2, "3"]]),
        ("alive/cat", "c", {}),
        ("gone/table", "t", None),
        ("found/table", "t", 1),
        ("called/auth", "u", 1),
        ("called/auth", "u", [[1, 2, 3], 1]),
        ("called/cat", "u", [[1, 2, 3], "x"]),
        ("x", "y", [[1, 2, 3], "z"]),
    ],
)
def test_a_row_that_is_none_is_refused(platform, row):
    with pytest.raises(ValueError, match="holds no such row"):
        load_row(platform, *row)


def test_the_deletion_of_a_restaurant_takes_what_is_in_it(platform):
    apply(
        platform,
        event("restaurant.created", "R"),
        event("section.created", "s", restaurantId="R"),
        event("table.created", "t", sectionId="s"),
        event("section_object.created", "so", sectionId="s", objectId="o"),
        event("reservation.created", "r", restaurantId="R", tableId="t"),
        event("review.created", "v", restaurantId="R"),
        event("subscription.created", "b", restaurantId="R"),
        event("menu.created", "m", restaurantId="R"),
        event("table.created", "elsewhere", sectionId="x"),
        event("restaurant.deleted", "R"),
    )
    alive = {name: list(table.alive) for name, table in platform.entities.items() if table.alive}
    assert alive == {"menu": ["m"], "table": ["elsewhere"]}
    assert platform.entities["table"].knows("t")


def test_a_reservation_outlives_its_table(platform):
    apply(platform, event("table.created", "t"), event("reservation.created", "r", restaurantId="R", tableId="t"))
    apply(platform, event("table.deleted", "t"))
    assert "r" in platform.entities["reservation"].alive


def test_furniture_goes_with_its_model(platform):
    apply(platform, event("section_object.created", "so", sectionId="s", objectId="o"), event("object.deleted", "o"))
    assert not platform.entities["section_object"].alive


def test_what_comes_again_after_its_deletion_begins_anew(platform):
    apply(platform, event("table.created", "t", sectionId="s", capacity=2), event("table.deleted", "t"))
    assert apply(platform, event("table.created", "t", sectionId="s")) == {"tableId": "t", "sectionId": "s"}
    assert platform.entities["table"].last("t") == {"tableId": "t", "sectionId": "s"}


def test_what_is_deleted_twice_keeps_what_it_was(platform):
    apply(platform, event("reservation.created", "r", userId="u"), event("reservation.deleted", "r"))
    assert apply(platform, event("reservation.deleted", "r")) == {"reservationId": "r"}
    assert platform.entities["reservation"].last("r")["userId"] == "u"


@pytest.mark.parametrize(
    ("entity", "data"),
    [
        ("section", {"restaurantId": "R"}),
        ("table", {"sectionId": "s"}),
        ("section_object", {"sectionId": "s"}),
        ("menu", {"restaurantId": "R"}),
        ("image", {"entityId": "R"}),
        ("image", {"entityId": "s"}),
        ("image", {"entityId": "t"}),
        ("image", {"entityId": "m"}),
        ("image", {"entityId": "d"}),
    ],
)
def test_the_place_of_things(platform, entity, data):
    apply(
        platform,
        event("restaurant.created", "R"),
        event("section.created", "s", restaurantId="R"),
        event("table.created", "t", sectionId="s"),
        event("menu.created", "m", restaurantId="R"),
        event("dish.created", "d", restaurantId="R"),
    )
    assert platform.relations.place(entity, data) == "R"


@pytest.mark.parametrize("data", [None, {}, {"entityId": None}, {"entityId": "x"}, {"sectionId": "s"}])
def test_the_place_of_what_belongs_nowhere(platform, data):
    for entity in ("image", "table", "menu"):
        assert platform.relations.place(entity, data) is None


def test_users_are_called_what_was_said_last(platform):
    apply(platform, user("u", "Ana", "Loor"))
    assert platform.names == {"u": "Ana Loor"}
    apply(platform, event("review.created", "v", userId="u", userName="Ana L."))
    apply(platform, user("u"), event("review.updated", "v", userName=None))
    assert platform.names == {"u": "Ana L."}
    apply(platform, user("u", "Ana", ""), event("review.updated", "v", rating=2))
    assert platform.names == {"u": "Ana"}


def test_roles(platform):
    apply(platform, user("u", roles=("USER", "OWNER")))
    assert platform.roles_of("u") == LoggedRoles(0, ("USER", "OWNER"))
    assert platform.roles_of("other") is None


def test_deleted_restaurant_is_owned_by_nobody_also_when_it_is_forgotten():
    platform = Projections(remembered=1)
    assigned = {"status": "APPROVED", "assignedRestaurantId": "R", "userId": "u"}
    apply(platform, event("restaurant.created", "R", ownerId="old"), event("owner_upgrade.created", "q", **assigned))
    apply(platform, event("restaurant.found", "R", ownerId="found"))
    assert platform.owner_of("R") == "u"
    apply(platform, event("restaurant.deleted", "R"))
    assert (platform.owner("R"), platform.owner_of("R")) == ("u", None)
    apply(platform, event("restaurant.created", "S"), event("restaurant.deleted", "S"))
    assert "R" not in platform.entities["restaurant"].gone
    assert platform.owner_of("R") is None


def test_an_approved_owner_has_the_restaurant(platform):
    apply(platform, event("restaurant.created", "R", ownerId="old"), event("owner_upgrade.created", "q", userId="u"))
    assert platform.owner("R") == "old"
    apply(platform, event("owner_upgrade.status_changed", "q", status="REJECTED", assignedRestaurantId="R"))
    assert platform.owner("R") == "old"
    apply(platform, event("owner_upgrade.status_changed", "q", status="APPROVED", assignedRestaurantId="R"))
    assert platform.owner("R") == "u"
    apply(platform, event("owner_upgrade.status_changed", "q", status="APPROVED", assignedRestaurantId="seeded"))
    assert platform.owner("seeded") == "u"


# The end of much


def a_restaurant(platform, reservations):
    apply(platform, event("restaurant.created", "r"), event("section.created", "s", restaurantId="r"))
    apply(platform, event("table.created", "t", sectionId="s"))
    for number in range(reservations):
        apply(platform, event("reservation.created", f"v{number}", restaurantId="r"))


def test_what_ends_with_much_ends_in_pieces(platform):
    a_restaurant(platform, 5 * ENDED_AT_ONCE)
    few = calls(lambda: apply(platform, event("restaurant.deleted", "r")))
    assert platform.endings.pending
    # All others in turn, and none of them is more than the first.
    steps = [calls(platform.endings.end_some) for _ in range(4)]
    assert max(steps) < few < 100 * ENDED_AT_ONCE
    assert platform.endings.end_some() is False
    assert not any(platform.entities[name].alive for name in ("restaurant", "section", "table", "reservation"))
    assert platform.entities["reservation"].knows("v7")


def test_few_parts_end_at_once(platform):
    a_restaurant(platform, 10)
    apply(platform, event("restaurant.deleted", "r"))
    assert not platform.endings.pending
    assert not platform.entities["reservation"].alive


def test_all_has_ended_before_the_next_event_is_routed(platform):
    a_restaurant(platform, 3 * ENDED_AT_ONCE)
    apply(platform, event("restaurant.deleted", "r"))
    process(event("restaurant.created", "x"), platform)
    assert not platform.endings.pending
    assert not platform.entities["reservation"].alive


@given(st.lists(st.sampled_from(["end_some", "nothing"]), max_size=10), st.integers(1, 3))
def test_in_whatever_pieces_it_ends_the_same_is_known(steps, most):
    known = []
    for pieces in (False, True):
        platform = Projections()
        a_restaurant(platform, 20)
        apply(platform, event("object.created", "o"), event("section_object.created", "x", sectionId="s", objectId="o"))
        with mock.patch.object(Endings.end_some, "__defaults__", (most if pieces else 1000,)):
            for what in ("object.deleted", "section.deleted", "restaurant.deleted"):
                process(event(what, what[0]), platform)
                for step in steps:
                    if step == "end_some":
                        platform.endings.end_some()
            platform.endings.end_all()
        known.append(list(rows_of(platform)))
    assert known[0] == known[1]


def test_a_topic_that_is_created_again_while_parts_are_still_ending(platform):
    apply(platform, event("restaurant.created", "R"), event("section.created", "s", restaurantId="R"))
    apply(platform, *(event("table.created", f"t{n}", sectionId="s") for n in range(2 * ENDED_AT_ONCE)))
    apply(platform, event("section.deleted", "s"))
    assert platform.endings.pending
    list(platform.replaced("mesa-ya.sections.events"))
    assert not platform.endings.pending
    assert not platform.entities["table"].alive, "they have ended with their section, whatever becomes of its topic"
