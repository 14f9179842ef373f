import pytest

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import Rejected
from mesaya_ws.core.platform.outcome import Message, Outcome
from tests.steps import calls
from tests.support.log import TIME, user

INFO, LISTS = "restaurant:R:info", "global:restaurants"
TABLES, RESERVATIONS = "restaurant:R:tables", "restaurant:R:reservations"
OWNER, GUEST = "user:owner:notifications", "user:guest:notifications"


def types(messages):
    return {channel: message.type for channel, message in messages.items()}


# Reservations

BOOKING = {
    "restaurantId": "R",
    "userId": "guest",
    "tableId": "t",
    "reservationDate": "2026-01-20T00:00:00.000Z",
    "reservationTime": "2026-01-20T19:00:00.000Z",
    "numberOfGuests": 2,
    "status": "PENDING",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-02T00:00:00.000Z",
}
SHOWN = {
    "reservationId": "r",
    "restaurantId": "R",
    "tableId": "t",
    "userId": "guest",
    "clientName": None,
    "date": "2026-01-20T19:00:00Z",
    "numberOfGuests": 2,
    "status": "pending",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-02T00:00:00.000Z",
}


def test_a_reservation_goes_to_the_restaurant_and_the_guest(platform):
    messages = platform.says("reservation.created", "r", **BOOKING)
    assert messages == {
        channel: Message(channel, "reservation.created", TIME, SHOWN) for channel in (RESERVATIONS, GUEST)
    }
    assert messages[RESERVATIONS].data is messages[GUEST].data
    assert platform.outcome.reason == Disposition.PUBLISHED


def test_the_shape_of_a_reservation_is_always_whole(platform):
    known = {"reservationId": "r", "restaurantId": "R"}
    data = platform.says("reservation.updated", "r", restaurantId="R")[RESERVATIONS].data
    assert data == dict.fromkeys(SHOWN) | known


def test_fields_that_nobody_knows_pass_and_the_email_does_not(platform):
    data = platform.says("reservation.created", "r", **BOOKING, occasion="cena", userEmail="a@example.com")[GUEST].data
    assert data == SHOWN | {"occasion": "cena"}


def test_the_clients_name(platform):
    def name(**more):
        return platform.says("reservation.updated", "r", **more)[GUEST].data["clientName"]

    platform.says("reservation.created", "r", **BOOKING)

    assert name() is None
    platform.says("review.created", "v", restaurantId="R", userId="guest", userName="Ana")
    assert name() == "Ana"
    platform.receives(user("guest", "Ana", "Loor"))
    assert name() == "Ana Loor"
    assert name(userName="Sra. Loor") == "Sra. Loor"
    assert name(numberOfGuests=3) == "Sra. Loor"
    assert name(**BOOKING) == "Ana Loor", "a whole record without a name has none"


def test_another_status_is_a_change_whatever_the_word(platform):
    for number, what in enumerate(("updated", "status_changed", "created")):
        id = f"r{number}"
        platform.says("reservation.created", id, **BOOKING)
        message = platform.says(f"reservation.{what}", id, **BOOKING | {"status": "CONFIRMED"})[GUEST]
        assert message.type == "reservation.status_changed"
        shown = {"reservationId": id, "status": "confirmed", "newStatus": "confirmed", "previousStatus": "pending"}
        assert message.data == SHOWN | shown


def test_the_same_status_is_an_update_whatever_the_word(platform):
    platform.says("reservation.created", "r", **BOOKING)
    for what in ("updated", "status_changed", "created"):
        message = platform.says(f"reservation.{what}", "r", **BOOKING)[GUEST]
        assert (message.type, message.data) == ("reservation.updated", SHOWN)


def test_a_status_that_was_unknown_before(platform):
    assert platform.says("reservation.updated", "r1", **BOOKING)[GUEST].type == "reservation.updated"
    message = platform.says("reservation.status_changed", "r2", **BOOKING)[GUEST]
    assert message.type == "reservation.status_changed"
    assert (message.data["newStatus"], message.data["previousStatus"]) == ("pending", None)


def test_a_previous_status_that_is_named_is_believed(platform):
    platform.says("reservation.created", "r", **BOOKING)
    message = platform.says("reservation.updated", "r", newStatus="PENDING", previousStatus="NO_SHOW")[GUEST]
    assert message.type == "reservation.status_changed"
    assert (message.data["newStatus"], message.data["previousStatus"]) == ("pending", "no_show")
    assert "previousStatus" not in platform.says("reservation.updated", "r", numberOfGuests=3)[GUEST].data


def test_a_minimal_change_of_status_still_says_everything(platform):
    platform.says("reservation.created", "r", **BOOKING)
    data = platform.says("reservation.status_changed", "r", status="CONFIRMED")[RESERVATIONS].data
    shown = {"status": "confirmed", "newStatus": "confirmed", "previousStatus": "pending"}
    assert data == SHOWN | shown


def test_a_deletion_is_filled_from_what_was_known(platform):
    platform.says("reservation.created", "r", **BOOKING)
    assert platform.says("reservation.deleted", "r")[GUEST] == Message(GUEST, "reservation.deleted", TIME, SHOWN)
    assert platform.says("reservation.created", "r", **BOOKING)[GUEST].type == "reservation.created"


def test_a_record_of_an_unknown_entity_becomes_nothing(platform):
    for kind in ("reservation.deleted", "reservation.status_changed", "dish.deleted", "payment.deleted"):
        assert platform.says(kind, "x") == {}
        assert platform.outcome.reason == Disposition.ORPHAN


def test_a_reservation_that_moves_to_another_restaurant(platform):
    platform.says("reservation.created", "r", **BOOKING)
    assert types(platform.says("reservation.updated", "r", restaurantId="R2")) == {
        "restaurant:R2:reservations": "reservation.updated",
        RESERVATIONS: "reservation.deleted",
        GUEST: "reservation.updated",
    }


# Restaurants


def test_a_restaurant_is_public_but_for_its_owners_affairs(platform):
    messages = platform.says("restaurant.updated", "R", name="La Mesa", sections=[])
    assert types(messages) == {INFO: "restaurant.updated", LISTS: "restaurant.updated"}
    assert messages[INFO].data == {"restaurantId": "R", "status": "active", "name": "La Mesa", "sections": []}
    assert messages[INFO].data is messages[LISTS].data


@pytest.mark.parametrize("what", ["status_changed", "updated", "created"])
def test_a_restaurants_change_of_status_goes_to_its_owner_too(platform, what):
    messages = platform.says(f"restaurant.{what}", "R", status="SUSPENDED")
    assert types(messages) == dict.fromkeys((INFO, LISTS, OWNER), "restaurant.status_changed")
    shown = {"restaurantId": "R", "status": "suspended", "newStatus": "suspended", "previousStatus": "active"}
    assert messages[LISTS].data == shown
    assert messages[OWNER].data == shown | {"ownerId": "owner", "adminNote": "n", "subscriptionId": "b"}


def test_a_restaurants_status_that_does_not_change(platform):
    assert types(platform.says("restaurant.status_changed", "R", status="ACTIVE"))[INFO] == "restaurant.updated"


REASSIGNED = {"action": "owner_reassigned", "user_id": "new"}


def test_a_new_owner_goes_to_both_and_to_nobody_else(platform):
    messages = platform.says("restaurant.updated", "R", REASSIGNED, ownerId="new")
    assert types(messages) == {
        INFO: "restaurant.updated",
        LISTS: "restaurant.updated",
        OWNER: "restaurant.owner_changed",
        "user:new:notifications": "restaurant.owner_changed",
    }
    assert messages[OWNER].data["ownerId"] == "new"
    assert "ownerId" not in messages[INFO].data


def test_a_new_owner_is_seen_though_the_record_does_not_say_so(platform):
    assert types(platform.says("restaurant.updated", "R", ownerId="new"))[OWNER] == "restaurant.owner_changed"
    assert types(platform.says("restaurant.updated", "seeded", REASSIGNED)) == {
        "restaurant:seeded:info": "restaurant.updated",
        LISTS: "restaurant.updated",
        "user:new:notifications": "restaurant.owner_changed",
    }


def test_the_deletion_of_a_restaurant_is_the_last_word_on_all_its_channels(platform):
    platform.says("reservation.created", "r", **BOOKING)
    section = {"id": "s", "tables": [{"id": "t"}]}
    messages = platform.says("restaurant.deleted", "R", ownerId=None, sections=[section])
    kinds = ("reservations", "tables", "menu", "reviews", "info")
    assert types(messages) == dict.fromkeys([*(f"restaurant:R:{kind}" for kind in kinds), LISTS], "restaurant.deleted")
    assert messages[RESERVATIONS].data["ownerId"] == "owner"
    assert not {"ownerId", "adminNote", "subscriptionId"} & messages[TABLES].data.keys()
    assert messages[LISTS].data["sections"] == [{"sectionId": "s", "tables": [{"tableId": "t"}]}]
    assert {f"restaurant:R:{kind}" for kind in kinds} <= {*platform.outcome.reparented}
    assert platform.says("table.updated", "t", sectionId="s") == {}
    assert platform.says("menu.created", "m", restaurantId="R") == {}
    assert platform.outcome.reason == Disposition.ORPHAN
    assert types(platform.says("reservation.deleted", "r", **BOOKING)) == {GUEST: "reservation.deleted"}
    messages = platform.says("restaurant.created", "R")
    assert types(messages) == dict.fromkeys([*(f"restaurant:R:{kind}" for kind in kinds), LISTS], "restaurant.created")
    assert [menu["menuId"] for menu in messages["restaurant:R:menu"].data["menus"]] == ["m"], "as it came meanwhile"
    assert messages[TABLES].data["sections"] == messages[TABLES].data["tables"] == []
    assert types(platform.says("menu.created", "m2", restaurantId="R")) == {"restaurant:R:menu": "menu.created"}


def test_a_mistyped_id_that_is_needed_is_reported(platform):
    assert platform.says("table.created", "new", sectionId=5) == {}
    assert platform.outcome.reason == Disposition.BAD_ID
    assert platform.outcome.detail == "The sectionId is no id, and without it nobody is concerned."
    assert types(platform.says("table.updated", "t", sectionId=5)) == {TABLES: "table.updated"}


def test_a_field_of_another_type_is_unknown_from_then_on(platform):
    platform.says("table.created", "t2", sectionId="s", capacity=4, isAvailable=True, number=1)
    data = platform.says("table.updated", "t2", sectionId="s", capacity="6", isAvailable="false", number=[1])[
        TABLES
    ].data
    assert data == {"tableId": "t2", "sectionId": "s", "capacity": 6}
    assert platform.outcome.mistyped == ("isAvailable", "number")
    assert platform.says("table.updated", "t2", posX=1)[TABLES].data == data | {"posX": 1}
    assert platform.outcome.mistyped == ()


def test_null_where_a_value_must_be_is_unknown_and_no_fault(platform):
    platform.says("dish.created", "d", restaurantId="R", name="Encebollado", menuId="m")
    data = platform.says("dish.updated", "d", menuId=None)["restaurant:R:menu"].data
    assert data == {"dishId": "d", "restaurantId": "R", "name": "Encebollado"}
    assert platform.outcome.mistyped == ()


def test_a_status_of_another_type_is_shown_as_unknown(platform):
    platform.says("reservation.created", "r", **BOOKING)
    message = platform.says("reservation.updated", "r", status=5)[RESERVATIONS]
    assert (message.type, message.data["status"]) == ("reservation.updated", None)
    message = platform.says("reservation.status_changed", "r", status="CONFIRMED")[RESERVATIONS]
    assert (message.data["newStatus"], message.data["previousStatus"]) == ("confirmed", None)


def test_a_dish_that_comes_in_its_menu_shows_no_old_value_either(platform):
    platform.says("dish.created", "d", restaurantId="R", name="Encebollado", price=4.5)
    menu = {"restaurantId": "R", "dishes": [{"dishId": "d", "name": "Encebollado", "price": [5]}]}
    platform.says("menu.created", "m", **menu)
    assert platform.outcome.mistyped == ("dishes.price",)
    assert platform.says("dish.updated", "d", name="E.")["restaurant:R:menu"].data == {
        "dishId": "d",
        "restaurantId": "R",
        "name": "E.",
    }


# Tables


def test_a_table_is_placed_by_its_section(platform):
    assert platform.says("table.created", "t2", sectionId="s", status="AVAILABLE") == {
        TABLES: Message(TABLES, "table.created", TIME, {"tableId": "t2", "sectionId": "s", "status": "available"})
    }


@pytest.mark.parametrize("what", ["updated", "status_changed", "created"])
def test_whatever_happens_to_a_known_table_is_an_update(platform, what):
    data = {"tableId": "t", "sectionId": "s", "capacity": 4, "status": "occupied"}
    assert platform.says(f"table.{what}", "t", status="OCCUPIED") == {
        TABLES: Message(TABLES, "table.updated", TIME, data)
    }


def test_a_table_that_moves_within_its_restaurant_is_updated(platform):
    platform.says("section.created", "s2", restaurantId="R")
    assert types(platform.says("table.updated", "t", sectionId="s2")) == {TABLES: "table.updated"}


def test_a_table_that_moves_to_another_restaurant_goes_here_and_comes_there(platform):
    platform.says("section.created", "s2", restaurantId="R2")
    assert platform.says("table.updated", "t", sectionId="s2", capacity=6) == {
        TABLES: Message(TABLES, "table.deleted", TIME, {"tableId": "t", "sectionId": "s", "capacity": 4}),
        "restaurant:R2:tables": Message(
            "restaurant:R2:tables", "table.created", TIME, {"tableId": "t", "sectionId": "s2", "capacity": 6}
        ),
    }


def test_a_table_is_deleted_by_its_id_alone(platform):
    assert platform.says("table.deleted", "t")[TABLES].data == {"tableId": "t", "sectionId": "s", "capacity": 4}


# Menus, reviews, images


def test_menus_and_dishes(platform):
    channel = "restaurant:R:menu"
    menu = platform.says("menu.created", "m", restaurantId="R", dishes=[{"dishId": "d", "price": 5}])
    data = {"menuId": "m", "restaurantId": "R", "dishes": [{"dishId": "d", "price": 5}]}
    assert menu == {channel: Message(channel, "menu.created", TIME, data)}
    assert types(platform.says("dish.created", "d2", restaurantId="R")) == {channel: "dish.created"}
    assert types(platform.says("dish.created", "d2", price=3)) == {channel: "dish.updated"}
    assert platform.says("dish.deleted", "d2")[channel].data == {"dishId": "d2", "restaurantId": "R", "price": 3}
    # One that came with its menu is known too.
    assert platform.says("dish.deleted", "d")[channel].data == {"dishId": "d", "restaurantId": "R", "price": 5}
    assert platform.says("menu.deleted", "m")[channel].data == data


def test_a_review_that_replaces_another_updates_it(platform):
    review = {"restaurantId": "R", "userId": "guest", "userName": "Ana", "rating": 5}
    channel = "restaurant:R:reviews"
    assert types(platform.says("review.created", "v", **review)) == {channel: "review.created"}
    message = platform.says("review.created", "v", **review | {"rating": 4})[channel]
    assert (message.type, message.data) == ("review.updated", {"reviewId": "v", **review, "rating": 4})


def test_an_image_goes_where_it_belongs_without_its_storage_path(platform):
    for owner in ("R", "s", "t"):
        data = platform.says("image.created", f"i{owner}", entityId=owner, url="u", storagePath="p")[INFO].data
        assert data == {"imageId": f"i{owner}", "entityId": owner, "url": "u"}
    assert platform.says("image.created", "i", entityId="unknown") == {}
    assert platform.outcome.reason == Disposition.UNPLACED
    assert types(platform.says("image.updated", "iR", entityId="R2")) == {
        INFO: "image.deleted",
        "restaurant:R2:info": "image.created",
    }


# Payments, subscriptions, requests


def test_a_payment_goes_to_the_guest_and_to_the_restaurant(platform):
    platform.says("reservation.created", "r", **BOOKING)
    payment = {"reservationId": "r", "amount": 25.5, "paymentStatus": "PENDING", "date": "2026-01-20T15:00:00.000Z"}
    shown = {"paymentId": "p", **payment, "paymentStatus": "pending"}
    assert platform.says("payment.created", "p", **payment, subscriptionId="b", createdAt="…", updatedAt="…") == {
        channel: Message(channel, "payment.created", TIME, shown) for channel in (RESERVATIONS, GUEST)
    }
    messages = platform.says("payment.status_changed", "p", **payment | {"paymentStatus": "COMPLETED"})
    assert types(messages) == dict.fromkeys((RESERVATIONS, GUEST), "payment.status_changed")
    assert platform.says("payment.deleted", "p")[GUEST].data["paymentStatus"] == "completed"


def test_a_payment_outlives_its_reservation(platform):
    platform.says("reservation.created", "r", **BOOKING)
    platform.says("reservation.deleted", "r")
    assert list(platform.says("payment.status_changed", "p", reservationId="r")) == [RESERVATIONS, GUEST]


def test_a_payment_for_a_subscription_goes_to_the_owner(platform):
    assert types(platform.says("subscription.created", "b", restaurantId="R")) == {OWNER: "subscription.created"}
    messages = platform.says("payment.created", "p", subscriptionId="b", amount=10, paymentStatus="COMPLETED")
    data = {"paymentId": "p", "subscriptionId": "b", "amount": 10, "paymentStatus": "completed", "date": None}
    assert messages == {OWNER: Message(OWNER, "payment.created", TIME, data)}
    assert platform.says("payment.created", "p2", subscriptionId="unknown") == {}
    assert platform.outcome.reason == Disposition.ORPHAN


def test_a_subscription_concerns_the_owner(platform):
    platform.says("subscription.created", "b", restaurantId="R", stateSubscription="ACTIVE")
    message = platform.says("subscription.status_changed", "b", stateSubscription="INACTIVE")[OWNER]
    data = {"subscriptionId": "b", "restaurantId": "R", "stateSubscription": "inactive"}
    assert (message.type, message.data) == ("subscription.status_changed", data)
    assert types(platform.says("subscription.created", "b")) == {OWNER: "subscription.updated"}
    assert types(platform.says("subscription.deleted", "b")) == {OWNER: "subscription.deleted"}


def test_a_plan_concerns_nobody(platform):
    assert platform.says("plan.created", "p", price=5) == {}
    assert platform.outcome.reason == Disposition.PLAN


def test_a_request_to_become_an_owner_concerns_who_asked(platform):
    platform.says("owner_upgrade.created", "q", userId="guest", status="PENDING", userNote="please")
    decided = {"userId": "guest", "status": "APPROVED", "decision": "APPROVED", "assignedRestaurantId": "R"}
    message = platform.says("owner_upgrade.status_changed", "q", **decided)[GUEST]
    assert message.type == "owner_upgrade.status_changed"
    shown = {"requestId": "q", "userNote": "please", "status": "approved", "decision": "approved"}
    assert message.data == decided | shown
    assert list(platform.says("restaurant.status_changed", "R", status="SUSPENDED")) == [LISTS, INFO, GUEST]


# The rest


def test_announcements(platform):
    channel = "global:announcements"
    data = {"announcementId": "a", "text": "…"}
    assert platform.says("announcement.maintenance", "a", text="…") == {
        channel: Message(channel, "announcement.maintenance", TIME, data)
    }
    for what in ("created", "updated"):
        assert types(platform.says("announcement.created", "b", text="…")) == {channel: f"announcement.{what}"}


def test_auth_is_never_sent(platform):
    assert platform.receives(user("u", "Ana")) == {}
    assert platform.outcome.reason == Disposition.AUTH


def test_what_is_rejected_has_its_reason(platform):
    outcome = process(Rejected(Disposition.NOT_JSON, "A sentence."), platform.projections)
    assert outcome == Outcome((), Disposition.NOT_JSON, "A sentence.")


def test_a_restaurant_known_only_by_an_upgrade_is_still_created_by_its_first_record(platform):
    platform.says("owner_upgrade.status_changed", "q", userId="guest", status="APPROVED", assignedRestaurantId="seeded")
    messages = platform.says("restaurant.created", "seeded", ownerId="another", status="ACTIVE")
    assert {message.type for message in messages.values()} == {"restaurant.created"}


def test_the_many_images_of_what_does_not_move_are_not_visited(platform):
    platform.says("menu.created", "m", restaurantId="R", name="Carta")
    few = calls(lambda: platform.says("menu.updated", "m", price=1))
    for number in range(500):
        platform.says("image.created", f"i{number}", entityId="m", url="/i")
    assert calls(lambda: platform.says("menu.updated", "m", price=2)) < few + 100
    platform.says("menu.deleted", "m")
    [shown] = [message for message in platform.outcome.messages if message.channel == "restaurant:R:info"]
    assert shown.data["imageIds"] == [f"i{number}" for number in range(500)]
