"""The sample records, and exactly what they must become: nothing more, nothing less, nothing else."""

import orjson
import pytest
from attrs import asdict

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.projections import Projections
from tests.oracle import DATA, sample

# The oracle's words for why a record becomes nothing, where they are not those of the metrics.
COARSER = {
    "plan": "unconcerned",
    "unplaced": "unconcerned",
    **dict.fromkeys(("not_json", "not_object", "unknown_event_type", "unknown_entity", "bad_id"), "unreadable"),
    "published": None,
}


def became(name):
    """Return what each record of a sample file becomes, as the expected file has it."""
    projections = Projections()
    for number, record in enumerate(sample(name), start=1):
        outcome = process(
            decode(Record(record.topic, record.partition, record.offset, 0, None, record.value)), projections
        )
        messages = sorted(
            (asdict(message, recurse=False) for message in outcome.messages), key=lambda message: message["channel"]
        )
        line = {"n": number, "messages": orjson.loads(orjson.dumps(messages))}
        if reason := COARSER.get(outcome.reason, str(outcome.reason)):
            line["reason"] = reason
        yield line


@pytest.mark.parametrize(("name", "count"), [("captured", 69), ("events", 600)])
def test_every_record_becomes_what_is_expected(name, count):
    expected = [orjson.loads(line) for line in (DATA / f"expected_{name}.jsonl").read_bytes().splitlines()]
    assert len(expected) == count
    for line, wanted in zip(became(name), expected, strict=True):
        assert line == wanted
