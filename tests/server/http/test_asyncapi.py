"""The described protocol: it is what the code does, in both directions."""

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mesaya_ws.core.access.channels import kind_of, parse_channel
from mesaya_ws.core.feed.pieces import data_in_pieces
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.wire.messages import TYPES, MessageError, parse
from mesaya_ws.server.http.asyncapi import document
from mesaya_ws.server.http.event_schemas import EVENTS, event_schemas
from mesaya_ws.server.http.message_schemas import SERVICE, client_schemas
from tests.described import problem
from tests.server.http.service import Service

DATA = Path(__file__).parents[2] / "data"
CLIENT = {kind: Draft202012Validator(schema) for kind, schema in client_schemas().items()}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(2.5), st.text(max_size=3), st.just({}), st.just([])
)
NAMES = sorted({name for schema in client_schemas().values() for name in schema["properties"]} - {"type"})


@given(st.sampled_from(sorted(TYPES)), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_clients_messages_are_valid_just_when_they_are_understood(kind, fields):
    message = {"type": kind, **fields}
    assert CLIENT[kind].is_valid(message) == is_understood(message)


def is_understood(message):
    try:
        parse(orjson.dumps(message).decode())
    except MessageError:
        return False
    return True


NOT_IN_SAMPLES = {
    ("announcements", "announcement"),
    *(("chat", f"chat.{what}") for what in ("message", "edited", "deleted", "read", "blocked")),
    ("chats", "chat.conversation"),
    ("tables", "table.selecting"),
    ("tables", "table.released"),
    ("reservations", "hold.created"),
    ("reservations", "hold.ended"),
    # What moves takes its images along, and other channels say so.
    ("info", "section"),
    ("info", "menu"),
    ("info", "dish"),
}


def samples():
    """Yield the events that the samples become, with their channels."""
    projections = Projections()
    for name in ("captured", "events"):
        for offset, line in enumerate((DATA / f"{name}.jsonl").read_text().splitlines()):
            said = json.loads(line)
            value = said["value"]
            if value is not None:
                value = value.encode() if isinstance(value, str) else orjson.dumps(value)
            for message in process(decode(Record(said["topic"], 0, offset, offset, None, value)), projections).messages:
                data = orjson.loads(b"".join(data_in_pieces(message.data)))
                yield {
                    "type": message.type,
                    "channel": message.channel,
                    "position": "p",
                    "timestamp": message.timestamp,
                    "data": data,
                }
            projections.endings.end_all()


def test_events_of_all_samples_are_as_described_and_nothing_is_described_that_never_comes():
    seen = set()
    for event in samples():
        assert problem(event) is None, (problem(event), event)
        kind, about = kind_of(event["channel"]).name, event["type"].partition(".")[0]
        assert about in EVENTS[kind], event
        seen.add((kind, about))
    described = {(kind, about) for kind, names in EVENTS.items() for about in names}
    assert described - seen == NOT_IN_SAMPLES


@pytest.mark.parametrize(
    "message",
    [
        {"type": "invented"},
        {"type": "table.invented", "channel": "restaurant:r:tables", "position": "p", "timestamp": "t", "data": {}},
        {"type": "pong", "live": True, "positions": {}, "more": 1},
        {"type": "error", "code": "invented", "message": "x"},
        {"type": "welcome", "connection": 5, "live": True},
    ],
)
def test_other_messages_are_noticed(message):
    assert problem(message) is not None


def test_schemas_are_schemas():
    for schema in (*client_schemas().values(), *SERVICE.values(), *event_schemas().values()):
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere():
    described = document()

    def references(part):
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(described))
    assert len(found) > 50
    for reference in found:
        part = described
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]


def test_addresses_are_names_of_channels():
    for name, channel in document()["channels"].items():
        if name != "connection":
            address = channel["address"].format(restaurantId="r1", userId="u1")
            assert parse_channel(address) is not None
            assert set(channel.get("parameters", {})) == {
                part for part in ("restaurantId", "userId") if part in channel["address"]
            }


async def test_description_is_served():
    answer = await Service().get("/asyncapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == document()


@pytest.mark.parametrize("about", ["reservation", "payment"])
def test_fields_that_are_not_known_may_be_null(about):
    channel = "user:u1:notifications"
    data = {f"{about}Id": "x1", "createdAt": None, "status": None, "date": None, "amount": None}
    event = {"type": f"{about}.created", "channel": channel, "position": "p", "timestamp": "t", "data": data}
    assert problem(event) is None
