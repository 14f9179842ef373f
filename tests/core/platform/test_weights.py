from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.weights import MEMORY_PER_BYTE, Weights


def event(id, entity="review"):
    return Event(entity, "updated", id, {}, {}, "", (0, 0, 0))


def test_an_entity_weighs_what_its_largest_record_says():
    weights = Weights()
    for size in (100, 300, 200):
        weights.note(event("a"), size)
    assert weights.bytes == 300 * MEMORY_PER_BYTE
    weights.note(event("b"), 50)
    weights.note(event("a", "table"), 50)
    assert weights.bytes == 400 * MEMORY_PER_BYTE
    list(weights.discard())
    assert weights.bytes == 0
