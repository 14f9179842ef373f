import pytest

from mesaya_ws.core.recovery.parents import missing_parent
from tests.support.log import event


@pytest.mark.parametrize(
    ("kind", "data", "missing"),
    [
        ("table.created", {"sectionId": "x"}, "section:x"),
        ("table.created", {"sectionId": "s"}, None),
        ("table.created", {}, None),
        ("section_object.updated", {"sectionId": "x"}, "section:x"),
        ("payment.created", {"reservationId": "x"}, "reservation:x"),
        ("payment.created", {"reservationId": "r", "subscriptionId": "x"}, None),
        ("payment.created", {"subscriptionId": "x"}, "subscription:x"),
        ("payment.created", {"subscriptionId": "b"}, None),
        ("payment.deleted", {}, None),
        ("subscription.created", {"restaurantId": "x"}, "restaurant:x"),
        ("subscription.created", {"restaurantId": "R"}, None),
        ("reservation.created", {"restaurantId": "x"}, None),
        ("section.created", {"restaurantId": "x"}, None),
        ("image.created", {"entityId": "x"}, "part:x"),
        ("image.created", {"entityId": "t"}, "section:unknown"),
        ("image.created", {"entityId": "m"}, None),
    ],
)
def test_what_must_be_known_first(platform, kind, data, missing):
    platform.says("reservation.created", "r", restaurantId="R", userId="guest")
    platform.says("subscription.created", "b", restaurantId="R")
    platform.says("table.created", "t", sectionId="unknown")
    platform.says("menu.created", "m", restaurantId="R")
    assert missing_parent(event(kind, "new", **data), platform.projections) == missing


def test_what_is_known_to_be_deleted_is_not_waited_for(platform):
    platform.says("section.deleted", "s")
    assert missing_parent(event("table.updated", "t", sectionId="s"), platform.projections) is None


def test_parent_follows_from_what_was_applied(platform):
    platform.says("table.created", "early", sectionId="late")
    assert missing_parent(event("table.deleted", "early"), platform.projections) == "section:late"


def test_parent_that_waits_is_waited_for_however_often_it_is_repeated(platform):
    for _ in range(2):
        platform.says("subscription.created", "b", restaurantId="unknown")
        assert platform.outcome.awaits == ("restaurant:unknown",)
        assert platform.outcome.known == ("subscription:b",)


def test_repeated_record_without_a_move_changes_nothing_for_parts(platform):
    platform.says("reservation.created", "r", restaurantId="R", userId="guest")
    assert platform.outcome.known == ("reservation:r",)
    platform.says("reservation.updated", "r", restaurantId="R", userId="guest")
    assert (platform.outcome.known, platform.outcome.reparented) == ((), ())
    platform.says("reservation.updated", "r", restaurantId="R", userId="other")
    assert "user:other:notifications" in platform.outcome.reparented
