"""What becomes of a record that comes when a later one of the same thing, from another partition, has been taken."""

import pytest

from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from tests.support.log import Platform, event

STAFF, GUEST = "restaurant:R:reservations", "user:u:notifications"
BOOKING = {"restaurantId": "R", "userId": "u"}


@pytest.fixture
def platform():
    return Partitions()


class Partitions(Platform):
    """Says things at such times, each in a partition of its own, as producers without keys do."""

    def at(self, time, kind, id, partition=None, **data):
        partition = time if partition is None else partition
        return self.receives(event(kind, id, timestamp=time, partition=partition, **data))


def types(messages):
    return {channel: message.type for channel, message in messages.items()}


def test_late_record_is_published_as_an_update_with_the_present_state(platform):
    assert platform.at(3, "reservation.status_changed", "r", status="CANCELLED") == {}
    messages = platform.at(1, "reservation.created", "r", **BOOKING, status="PENDING", tableId="t")
    assert platform.outcome.reason == Disposition.LATE
    assert types(messages) == {STAFF: "reservation.updated", GUEST: "reservation.updated"}
    assert (messages[STAFF].data["status"], messages[STAFF].data["tableId"]) == ("cancelled", "t")
    assert "newStatus" not in messages[STAFF].data
    messages = platform.at(2, "reservation.status_changed", "r", status="CONFIRMED")
    assert (messages[GUEST].type, messages[GUEST].data["status"]) == ("reservation.updated", "cancelled")


def test_late_record_of_a_deleted_entity_is_not_published(platform):
    platform.at(1, "reservation.created", "r", **BOOKING)
    assert types(platform.at(3, "reservation.deleted", "r")) == dict.fromkeys((STAFF, GUEST), "reservation.deleted")
    assert platform.at(2, "reservation.status_changed", "r", status="CONFIRMED") == {}
    assert platform.outcome.reason == Disposition.LATE
    assert types(platform.at(4, "reservation.created", "r", **BOOKING))[STAFF] == "reservation.created"


def test_a_late_deletion_does_not_end_what_was_created_again(platform):
    platform.at(3, "reservation.created", "r", **BOOKING, status="PENDING")
    assert types(platform.at(2, "reservation.deleted", "r"))[STAFF] == "reservation.updated"
    assert "r" in platform.projections.entities["reservation"].alive


def test_within_a_partition_the_order_of_the_log_counts(platform):
    platform.at(3, "reservation.created", "r", partition=0, **BOOKING, status="PENDING")
    messages = platform.at(1, "reservation.status_changed", "r", partition=0, status="CONFIRMED")
    assert platform.outcome.reason == Disposition.PUBLISHED
    assert messages[STAFF].type == "reservation.status_changed"


@pytest.mark.parametrize(
    ("kind", "data", "channel"),
    [
        ("payment", {"reservationId": "r"}, GUEST),
        ("owner_upgrade", {"userId": "u"}, GUEST),
        ("subscription", {"restaurantId": "R"}, "user:o:notifications"),
        ("announcement", {}, "global:announcements"),
        ("menu", {"restaurantId": "R"}, "restaurant:R:menu"),
        ("section", {"restaurantId": "R"}, "restaurant:R:tables"),
        ("object", {}, "restaurant:R:tables"),
        ("restaurant", {}, "restaurant:X:info"),
    ],
)
def test_each_kind_of_thing_may_come_late(platform, kind, data, channel):
    platform.at(0, "restaurant.created", "R", ownerId="o")
    platform.at(0, "reservation.created", "r", **BOOKING)
    platform.at(0, "section.created", "s", restaurantId="R")
    platform.at(0, "section_object.created", "so", sectionId="s", objectId="X")
    platform.at(3, f"{kind}.updated", "X", **data, name="new")
    message = platform.at(2, f"{kind}.created", "X", **data, name="old")[channel]
    assert (message.type, message.data["name"]) == (f"{kind}.updated", "new")
    assert platform.outcome.reason == Disposition.LATE
    platform.at(5, f"{kind}.deleted", "X")
    assert platform.at(4, f"{kind}.updated", "X", name="later") == {}


def test_what_was_in_a_section_that_ended_later_comes_too_late(platform):
    platform.at(1, "section.created", "s", restaurantId="R")
    platform.at(4, "section.deleted", "s")
    assert platform.at(2, "table.created", "t", sectionId="s") == {}
    assert platform.outcome.reason == Disposition.LATE
    platform.at(6, "section.created", "s", partition=4, restaurantId="R")
    assert "t" not in platform.projections.entities["table"].alive
    assert types(platform.at(7, "table.created", "t", sectionId="s")) == {"restaurant:R:tables": "table.created"}


def test_a_section_that_ended_and_is_there_again_says_what_went_with_it(platform):
    platform.at(1, "section.created", "s", restaurantId="R")
    platform.at(2, "table.created", "t", sectionId="s")
    platform.at(5, "section.updated", "s", restaurantId="R", name="new")
    message = platform.at(4, "section.deleted", "s")["restaurant:R:tables"]
    assert (message.type, message.data["tableIds"]) == ("section.updated", ["t"])


def test_owner_is_that_of_the_latest_record(platform):
    platform.at(1, "restaurant.created", "R", ownerId="first")
    platform.at(5, "restaurant.updated", "R", ownerId="last")
    approved = {"status": "APPROVED", "assignedRestaurantId": "R"}
    platform.at(3, "owner_upgrade.updated", "q", userId="between", **approved)
    assert platform.projections.owner("R") == "last"
    platform.at(7, "owner_upgrade.updated", "q2", userId="later", **approved)
    assert platform.projections.owner("R") == "later"
    assert platform.at(8, "restaurant.updated", "R", status="SUSPENDED")["restaurant:R:info"].data["status"]
    assert platform.projections.owner("R") == "later"
    assert "user:later:notifications" in platform.at(9, "restaurant.updated", "R", ownerId="another")
    assert platform.projections.owner("R") == "another"


@pytest.mark.parametrize(
    ("topic", "forgotten"),
    [
        (topic_of("sections"), {"sections"}),
        (topic_of("tables"), {"tables"}),
        (topic_of("owner-upgrade"), {"owner"}),
        (topic_of("reviews"), {"name"}),
        (PARENTS_TOPIC, {"found"}),
    ],
)
def test_entities_of_a_recreated_topic_are_forgotten(platform, topic, forgotten):
    platform.at(1, "restaurant.created", "R", ownerId="o")
    platform.at(1, "section.created", "s", restaurantId="R")
    platform.at(1, "table.created", "t", sectionId="s")
    platform.at(1, "section.found", "f", restaurantId="R")
    platform.at(2, "owner_upgrade.updated", "q", userId="u", status="APPROVED", assignedRestaurantId="R")
    platform.at(1, "review.created", "v", restaurantId="R", userId="u", userName="Ana")
    projections = platform.projections
    list(projections.replaced(topic))
    sections = projections.entities["section"].alive
    known = {
        "sections": "s" in sections,
        "found": "f" in sections,
        "tables": "t" in projections.entities["table"].alive,
        "owner": projections.owner("R") == "u",
        "name": projections.names.get("u") == "Ana",
    }
    assert {name for name, is_known in known.items() if not is_known} == forgotten
    assert projections.owner("R") in ("o", "u")


def test_with_a_restaurant_that_is_forgotten_goes_what_belonged_to_it(platform):
    platform.projections = Projections(remembered=1)
    platform.at(1, "restaurant.created", "R")
    platform.at(1, "menu.created", "m", restaurantId="R")
    platform.at(1, "image.created", "i", entityId="R")
    platform.at(2, "restaurant.deleted", "R")
    assert "m" in platform.projections.entities["menu"].alive
    platform.at(3, "restaurant.deleted", "R2")
    platform.projections.endings.end_all()
    assert not platform.projections.entities["restaurant"].knows("R")
    assert not platform.projections.entities["menu"].alive
    assert not platform.projections.entities["image"].alive
