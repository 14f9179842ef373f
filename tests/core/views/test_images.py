"""Images come, move and go with what they are of."""

import pytest

from mesaya_ws.core.platform.disposition import Disposition

INFO, THERE = "restaurant:R:info", "restaurant:R2:info"


def info(messages):
    """Return what is published on `:info`, by channel."""
    return {channel: (message.type, message.data) for channel, message in messages.items() if channel.endswith(":info")}


@pytest.fixture
def image(platform):
    """An image of the table `t` in the section `s` of the restaurant `R`."""
    platform.says("image.created", "i", entityId="t", url="u")
    return {"imageId": "i", "entityId": "t", "url": "u"}


@pytest.mark.parametrize(
    ("kind", "id", "data"),
    [
        ("section.created", "new", {"restaurantId": "R"}),
        ("table.created", "new", {"sectionId": "s"}),
        ("menu.created", "new", {"restaurantId": "R"}),
        ("dish.updated", "new", {"restaurantId": "R"}),
    ],
)
def test_an_image_that_came_before_what_it_is_of_comes_with_it(platform, kind, id, data):
    assert platform.says("image.created", "early", entityId=id) == {}
    assert (platform.outcome.reason, platform.outcome.awaits) == (Disposition.UNPLACED, ("part:new",))
    entity = kind.partition(".")[0]
    shown = {f"{entity}Id": id, "images": [{"imageId": "early", "entityId": id}]}
    assert info(platform.says(kind, id, **data)) == {INFO: (f"{entity}.created", shown)}
    assert info(platform.says(kind, id, name="x")) == {}


def test_an_image_comes_with_the_section_of_its_table(platform):
    platform.says("table.created", "t2", sectionId="late")
    platform.says("image.created", "early", entityId="t2")
    assert platform.outcome.awaits == ("section:late",)
    (type_, data) = info(platform.says("section.created", "late", restaurantId="R"))[INFO]
    assert (type_, [one["imageId"] for one in data["images"]]) == ("section.created", ["early"])


def test_an_image_of_a_dish_that_its_menu_names(platform):
    platform.says("image.created", "early", entityId="d")
    (type_, data) = info(platform.says("menu.created", "m", restaurantId="R", dishes=[{"dishId": "d"}]))[INFO]
    assert (type_, data["menuId"], [one["imageId"] for one in data["images"]]) == ("menu.created", "m", ["early"])


def test_an_image_of_a_restaurant_that_comes_later(platform):
    there = "restaurant:R3:info"
    platform.says("image.created", "early", entityId="R3")
    (_, data) = info(platform.says("restaurant.created", "R3"))[there]
    assert data["images"] == [{"imageId": "early", "entityId": "R3"}]
    assert "images" not in info(platform.says("restaurant.updated", "R3", name="x"))[there][1]


@pytest.mark.parametrize(
    ("kind", "id", "shown"),
    [("table.deleted", "t", {"tableId": "t"}), ("section.deleted", "s", {"sectionId": "s"})],
)
def test_an_image_goes_with_what_it_is_of(platform, image, kind, id, shown):
    assert info(platform.says(kind, id)) == {INFO: (kind, shown | {"imageIds": ["i"]})}
    assert info(platform.says("image.updated", "i", url="v")) == {}


def test_an_image_moves_with_what_it_is_of(platform, image):
    assert info(platform.says("section.updated", "s", restaurantId="R2")) == {
        INFO: ("section.deleted", {"sectionId": "s", "imageIds": ["i"]}),
        THERE: ("section.created", {"sectionId": "s", "images": [image]}),
    }
    platform.says("section.created", "s2", restaurantId="R2")
    assert info(platform.says("table.updated", "t", sectionId="s2")) == {}, "it is in the same restaurant"


def test_an_image_leaves_for_what_nobody_knows(platform, image):
    messages = platform.says("image.updated", "i", entityId="unknown")
    assert info(messages) == {INFO: ("image.deleted", image)}


def test_images_of_what_moves_to_the_unknown_leave(platform, image):
    messages = platform.says("table.updated", "t", sectionId="seeded")
    assert messages["restaurant:R:tables"].type == "table.deleted"
    assert info(messages) == {INFO: ("table.deleted", {"tableId": "t", "imageIds": ["i"]})}


def test_the_end_of_a_restaurant_is_published_instead_of_its_images(platform, image):
    assert info(platform.says("restaurant.deleted", "R")).keys() == {INFO}
    assert info(platform.says("section.created", "s2", restaurantId="R")) == {}
