from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Message
from tests.support.log import TIME

TABLES, THERE, INFO = "restaurant:R:tables", "restaurant:R2:tables", "restaurant:R:info"


def test_a_new_section_says_what_stands_in_it(platform):
    data = {"sectionId": "s2", "restaurantId": "R", "tables": []}
    assert platform.says("section.created", "s2", restaurantId="R")[TABLES].data == data
    assert "tables" not in platform.says("section.updated", "s2", name="n")[TABLES].data


def test_a_table_whose_section_has_not_come_is_published_with_the_section(platform):
    assert platform.says("table.created", "early", sectionId="late") == {}
    assert platform.outcome.reason == Disposition.ORPHAN
    platform.says("section_object.created", "so", sectionId="late", objectId="o")
    assert platform.says("section.created", "late", restaurantId="R")[TABLES].data == {
        "sectionId": "late",
        "restaurantId": "R",
        "tables": [{"tableId": "early", "sectionId": "late"}],
        "sectionObjects": [{"sectionObjectId": "so", "sectionId": "late", "objectId": "o"}],
    }
    assert (platform.outcome.known[0], platform.outcome.concerned) == ("section:late", (TABLES, INFO))
    assert "tables" not in platform.says("section.updated", "late", name="n")[TABLES].data
    assert platform.outcome.known == platform.outcome.reparented == ()


def test_a_section_that_moves_takes_its_tables_along(platform):
    messages = platform.says("section.updated", "s", restaurantId="R2")
    assert messages == {
        TABLES: Message(
            TABLES,
            "section.deleted",
            TIME,
            {"sectionId": "s", "restaurantId": "R", "name": "Terraza", "tableIds": ["t"]},
        ),
        THERE: Message(
            THERE,
            "section.created",
            TIME,
            {
                "sectionId": "s",
                "restaurantId": "R2",
                "name": "Terraza",
                "tables": [{"tableId": "t", "sectionId": "s", "capacity": 4}],
            },
        ),
    }
    assert {TABLES, THERE} <= {*platform.outcome.reparented}
    assert list(platform.says("table.updated", "t", capacity=2)) == [THERE]


def test_an_empty_section_that_moves_says_that_it_is_empty(platform):
    platform.says("table.deleted", "t")
    messages = platform.says("section.updated", "s", restaurantId="R2")
    assert messages[TABLES].data["tableIds"] == []
    assert messages[THERE].data["tables"] == []


def test_a_deleted_section_names_all_its_tables(platform):
    platform.says("section_object.created", "so", sectionId="s", objectId="o")
    data = platform.says("section.deleted", "s", tables=[{"id": "seeded"}, {"id": "t"}])[TABLES].data
    assert data["tableIds"] == ["seeded", "t"]
    assert data["sectionObjectIds"] == ["so"]
    assert TABLES in platform.outcome.reparented
    assert platform.says("table.updated", "t", sectionId="s") == {}


def test_a_table_that_has_moved_away_stays_when_the_section_goes_that_once_named_it(platform):
    platform.says("section.created", "s1", restaurantId="R", tables=[{"id": "t1"}, {"id": "seeded"}])
    platform.says("table.created", "t1", sectionId="s1")
    platform.says("table.updated", "t1", sectionId="s")
    assert platform.says("section.deleted", "s1")[TABLES].data["tableIds"] == ["seeded"]
    assert platform.says("table.updated", "t1", capacity=2)[TABLES].type == "table.updated"


def test_a_section_is_deleted_by_its_id_alone(platform):
    data = {"sectionId": "s", "restaurantId": "R", "name": "Terraza", "tableIds": ["t"]}
    assert platform.says("section.deleted", "s") == {TABLES: Message(TABLES, "section.deleted", TIME, data)}


def test_furniture(platform):
    platform.says("object.created", "o", width=5)
    assert platform.outcome.reason == Disposition.UNPLACED
    for id in ("so1", "so2"):
        data = platform.says("section_object.created", id, sectionId="s", objectId="o")[TABLES].data
        assert data == {"sectionObjectId": id, "sectionId": "s", "objectId": "o"}
    data = {"objectId": "o", "width": 6}
    assert platform.says("object.updated", "o", width=6) == {TABLES: Message(TABLES, "object.updated", TIME, data)}
    data["sectionObjectIds"] = ["so1", "so2"]
    assert platform.says("object.deleted", "o") == {TABLES: Message(TABLES, "object.deleted", TIME, data)}
    assert platform.says("object.created", "o") == {}


def test_what_moves_to_a_deleted_restaurant_still_leaves_the_other(platform):
    platform.says("restaurant.deleted", "R2")
    messages = platform.says("section.updated", "s", restaurantId="R2")
    assert {channel: message.type for channel, message in messages.items()} == {TABLES: "section.deleted"}
    assert {TABLES, THERE} <= {*platform.outcome.reparented}


def test_a_known_section_that_is_created_again_is_updated(platform):
    assert platform.says("section.created", "s", restaurantId="R")[TABLES].type == "section.updated"


def test_a_section_that_nobody_placed_is_an_orphan_until_it_is(platform):
    assert platform.says("section.updated", "new", name="n") == {}
    assert platform.outcome.reason == Disposition.ORPHAN
    platform.says("table.created", "t2", sectionId="new")
    message = platform.says("section.updated", "new", restaurantId="R")[TABLES]
    assert (message.type, message.data["tables"]) == ("section.updated", [{"tableId": "t2", "sectionId": "new"}])


def test_a_section_that_is_deleted_where_it_was_not(platform):
    messages = platform.says("section.deleted", "s", restaurantId="R2")
    assert messages.keys() == {TABLES, THERE}
    assert messages[TABLES].data is messages[THERE].data
    assert {TABLES, THERE} <= {*platform.outcome.reparented}


def test_a_section_that_moves_takes_its_furniture_along(platform):
    platform.says("section_object.created", "so", sectionId="s", objectId="o")
    messages = platform.says("section.updated", "s", restaurantId="R2")
    assert messages[TABLES].data["sectionObjectIds"] == ["so"]
    assert [piece["sectionObjectId"] for piece in messages[THERE].data["sectionObjects"]] == ["so"]


def test_furniture_of_several_floor_plans(platform):
    platform.says("section.created", "s2", restaurantId="R2")
    for id, section in (("so1", "s"), ("so2", "s2"), ("so3", "unknown")):
        platform.says("section_object.created", id, sectionId=section, objectId="o")
    assert {channel: message.type for channel, message in platform.says("object.updated", "o", width=2).items()} == {
        TABLES: "object.updated",
        THERE: "object.updated",
    }
    assert platform.outcome.reparented == ()
    messages = platform.says("object.deleted", "o")
    assert [messages[channel].data["sectionObjectIds"] for channel in (TABLES, THERE)] == [["so1"], ["so2"]]
    assert {TABLES, THERE} <= {*platform.outcome.reparented}
