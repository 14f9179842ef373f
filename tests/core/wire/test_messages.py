import orjson
import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import LONGEST_ID, MessageError, Ping, Subscribe, Unsubscribe, parse

CHANNEL = "restaurant:123:reservations"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"subscribe","channel":"c"}', Subscribe("c")),
        ('{"type":"subscribe","channel":"c","id":"1","position":"p"}', Subscribe("c", "1", "p")),
        ('{"type":"subscribe","channel":"c","snapshot":true}', Subscribe("c", snapshot=True)),
        ('{"type":"subscribe","channel":"c","position":null}', Subscribe("c")),
        ('{"type":"subscribe","channel":"c","later":[1]}', Subscribe("c")),
        ('{"type":"unsubscribe","channel":"c"}', Unsubscribe("c")),
        ('{"type":"ping"}', Ping()),
        ('\ufeff{"type":"ping"}', Ping()),
        ('{"type":"ping","id":"\\ud800"}', Ping("\ufffd")),
        ('{"type":"ping","id":7}', Ping(7)),
        ('{"type":"ping","id":-7.5}', Ping(-7.5)),
        (' {"id": "x", "type": "ping"} ', Ping("x")),
    ],
)
def test_what_clients_say(text, message):
    assert parse(text) == message


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("", "bad_json", "not JSON"),
        ("{", "bad_json", "not JSON"),
        ('{"type":"ping"} x', "bad_json", "not JSON"),
        ("[1]", "bad_json", "JSON object"),
        ("null", "bad_json", "JSON object"),
        ("{}", "bad_message", "type"),
        ('{"type":1}', "bad_message", "type"),
        ('{"type":"shout"}', "unknown_type", "there are: subscribe, unsubscribe, ping"),
        ('{"type":"subscribe"}', "bad_message", "channel is missing"),
        ('{"type":"subscribe","channel":5}', "bad_message", "channel must be text, not a whole number"),
        ('{"type":"subscribe","channel":null}', "bad_message", "channel must be text, not null"),
        ('{"type":"subscribe","channel":"c","position":{}}', "bad_message", "position must be text, not an object"),
        (
            '{"type":"subscribe","channel":"c","snapshot":1}',
            "bad_message",
            "snapshot must be true or false, not a whole number",
        ),
        ('{"type":"ping","id":true}', "bad_message", "id must be text or a number, not true or false"),
        ('{"type":"ping","id":{}}', "bad_message", "id must be text or a number, not an object"),
    ],
)
def test_what_is_refused(text, error, sentence):
    with pytest.raises(MessageError) as caught:
        parse(text)
    assert caught.value.error.name == error
    assert sentence in caught.value.sentence


def test_a_refusal_echoes_what_the_message_held():
    with pytest.raises(MessageError) as caught:
        parse('{"type":"subscribe","channel":"c","id":"7","position":1}')
    assert (caught.value.id, caught.value.channel) == ("7", "c")
    with pytest.raises(MessageError) as caught:
        parse('{"type":"subscribe","channel":3,"id":7}')
    assert (caught.value.id, caught.value.channel) == (7, None)


@pytest.mark.parametrize("id", ["true", "[]", '{"a":[1]}', "0", '""'])
def test_an_id_of_a_wrong_type_is_echoed_too(id):
    """Nothing else says to a client which of its messages was refused."""
    with pytest.raises(MessageError) as caught:
        parse(f'{{"type":"subscribe","channel":3,"id":{id}}}')
    assert orjson.dumps(caught.value.id).decode() == id


def test_an_id_that_cannot_be_written_is_left_out():
    with pytest.raises(MessageError) as caught:
        parse(f'{{"type":"ping","id":{"[" * 1000 + "]" * 1000}}}')
    assert caught.value.id is None


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
fields = st.sampled_from(["type", "channel", "id", "position", "snapshot", "x"])


@given(
    st.text()
    | st.dictionaries(fields, json | st.sampled_from(["subscribe", CHANNEL])).map(lambda d: orjson.dumps(d).decode())
)
def test_any_text_is_understood_or_refused(text):
    try:
        message = parse(text)
    except MessageError as refusal:
        code = refusal.error.name
    else:
        assert all(value is None or type(value) in (str, bool, int, float) for value in asdict(message).values())
        return
    assert code in codes.ERROR_CODES


def test_an_id_has_a_bound():
    assert parse(f'{{"type": "ping", "id": "{"x" * LONGEST_ID}"}}').id == "x" * LONGEST_ID
    with pytest.raises(MessageError, match="256"):
        parse(f'{{"type": "ping", "id": "{"x" * (LONGEST_ID + 1)}"}}')
