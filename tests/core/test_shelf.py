import pytest

from mesaya_ws.core.entities import ENTITIES
from mesaya_ws.core.shelf import Shelf


@pytest.fixture
def tables():
    return Shelf(ENTITIES["table"])


@pytest.fixture
def objects():
    return Shelf(ENTITIES["section_object"])


def test_children_are_found_by_their_parent(tables):
    for id in ("t2", "t1", "t3"):
        tables.put(id, {"sectionId": "s"})
    tables.put("t2", {"sectionId": "other"})
    tables.bury("t1", {})
    assert list(tables.under("sectionId", "s")) == ["t3"]
    assert list(tables.under("sectionId", "other")) == ["t2"]
    assert list(tables.under("sectionId", "unheard of")) == []


def test_who_gets_another_parent_is_the_last_that_came(objects):
    for id in ("x", "y", "z"):
        objects.put(id, {"sectionId": "s", "objectId": "o"})
    objects.put("x", {"sectionId": "s", "objectId": "other"})
    objects.put("y", {"sectionId": "s", "objectId": "o", "n": 1})
    assert list(objects.alive) == list(objects.under("sectionId", "s")) == ["y", "z", "x"]
    assert list(objects.under("objectId", "o")) == ["y", "z"]


def test_who_has_no_parent_is_nobodys_child(tables):
    tables.put("t", {"sectionId": "s"})
    tables.put("t", {"capacity": 4})
    assert list(tables.under("sectionId", "s")) == []
    assert tables.last("t") == {"capacity": 4}


def test_the_last_that_is_known_of_the_deleted_stays(tables):
    tables.put("t", {"sectionId": "s"})
    tables.bury("t", {"sectionId": "s", "capacity": 4})
    tables.bury("t", {"capacity": 2})
    assert tables.knows("t")
    assert not tables.alive
    assert tables.last("t") == {"sectionId": "s", "capacity": 2}


def test_who_comes_again_is_not_gone(tables):
    tables.bury("t", {"capacity": 4})
    tables.put("t", {"sectionId": "s"})
    assert tables.last("t") == {"sectionId": "s"}
    assert not tables.gone


def test_who_was_never_heard_of_is_not_known(tables):
    assert not tables.knows("t")
    assert tables.last("t") is None
    assert tables.last(None) is None
