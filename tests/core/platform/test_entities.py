import orjson
import pytest

from mesaya_ws.core.access.channels import RESTAURANT_KINDS
from mesaya_ws.core.access.rights import is_private
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.entities import CASCADES, ENTITIES, OF_TOPIC, each
from mesaya_ws.core.platform.envelope import Event, decode
from mesaya_ws.core.platform.fields import DROPPED, PRIVATE, withheld
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS, topic_of
from tests.oracle import sample

PUBLIC = {"section", "table", "object", "section_object", "menu", "dish", "review", "image", "announcement"}


def test_every_topic_speaks_of_something():
    assert OF_TOPIC.keys() == {*TOPICS, PARENTS_TOPIC} - {topic_of("auth")}
    assert {entity.name for entities in OF_TOPIC.values() for entity in entities} == ENTITIES.keys()


def test_ids_have_names_of_their_own():
    assert len({entity.id_field for entity in ENTITIES.values()}) == len(ENTITIES)
    assert all(entity.id_field != "id" for entity in ENTITIES.values())


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES)
def test_what_one_is_found_by_is_an_id(entity):
    assert {*entity.parents} <= {*entity.references}
    assert entity.required.isdisjoint(entity.absent)
    assert {*entity.absent} <= entity.fields.keys()
    assert {*entity.aliases.values()} <= entity.fields.keys()


def test_what_goes_with_something_is_found_by_its_id():
    for parent, children in CASCADES.items():
        assert all(ENTITIES[parent].id_field in ENTITIES[child].parents for child in children)


def test_what_everybody_may_see_declares_nothing_private():
    assert {kind.name for kind in RESTAURANT_KINDS.values() if not is_private(kind.name)} == {
        "tables",
        "menu",
        "reviews",
        "info",
    }
    for name in PUBLIC:
        assert not PRIVATE & ENTITIES[name].fields.keys()


def test_entities_within_entities_are_cleaned_like_the_others():
    table = {"id": "t", "status": "AVAILABLE", "capacity": "four", "password": "x"}
    section = {"id": "s", "status": "ACTIVE", "tables": [table, {"id": 5}, "no table"]}
    dropped = {}
    assert each("section")([section, 5], "sections", dropped) == [
        {"sectionId": "s", "status": "active", "tables": [{"tableId": "t", "status": "available"}]}
    ]
    assert dropped == {"sections.tables.capacity": True}
    assert each("section")({"id": "s"}, "sections", {}) is DROPPED


def test_of_what_the_backend_really_writes_nothing_is_lost():
    """All fields of its records have the types that are declared here."""
    for record in sample("captured"):
        event = decode(Record(record.topic, 0, record.offset, 0, None, record.value))
        if isinstance(event, Event):
            written = orjson.loads(record.value)["data"]
            lost = written.keys() - event.data.keys() - {"id"}
            assert not {name for name in lost if not withheld(name) and written[name] is not None}, event.entity


def test_a_status_is_written_in_small_letters_and_may_be_called_new():
    for entity in ENTITIES.values():
        if entity.status is not None:
            assert entity.clean("e", {"newStatus": "NO_SHOW"}) == {entity.id_field: "e", entity.status: "no_show"}
            assert "previousStatus" not in entity.clean("e", {"previousStatus": "X"})
