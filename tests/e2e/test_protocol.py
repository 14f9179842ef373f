"""What clients say, and what they are answered; what they do wrong disturbs nobody else."""

import json
import re
import time

import pytest

from mesaya_ws.core.wire.codes import CLOSE_CODES, ERROR_CODES
from tests.e2e.client import connected
from tests.e2e.raw import raw
from tests.issuer import Issuer
from tests.support.gateway import running
from tests.support.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close, frame
from tests.timing import PATIENCE

TABLES = "restaurant:r1:tables"
MOST_BYTES = 1000
ISSUER = Issuer("RSA")
BEARER = f"bearer.{ISSUER.token(iat=time.time() - 60, exp=time.time() + 3600)}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One for all tests here: they do not disturb one another, which is what they are about."""
    settings = {
        "AUTH": "on",
        "JWT_PUBLIC_KEY": ISSUER.pem,
        "PUBLISH_TOKEN": "a token of the tests",
        "MAX_MESSAGE_BYTES": str(MOST_BYTES),
        "MAX_SUBSCRIPTIONS": "3",
        "MESSAGES_PER_SECOND": "10",
        "CLOSE_TIMEOUT": "1",
    }
    with running(tmp_path_factory.mktemp("protocol"), **settings) as gateway:
        yield gateway


@pytest.fixture
def client(gateway, bystander):
    with connected(gateway.url) as client:
        yield client


# Messages and their answers


def test_clients_are_greeted(gateway, client):
    welcome = client.welcome
    assert re.fullmatch(r"[0-9a-f]{6}-[0-9a-f]+", welcome.pop("connection"))
    assert welcome.pop("asOf") > 1_700_000_000_000
    assert welcome == {"type": "welcome", "live": True, "lag": 0}


def test_subscribing_and_leaving_is_answered_with_the_id_of_the_question(client):
    answer = client.ask(type="subscribe", channel=TABLES, id="a")
    position = answer.pop("position")
    assert isinstance(position, str)
    assert answer == {"type": "subscribed", "channel": TABLES, "id": "a"}
    answer = client.ask(type="subscribe", channel=TABLES, id="b", position=position)
    assert answer == {
        "type": "subscribed",
        "channel": TABLES,
        "id": "b",
        "position": position,
        "recovered": True,
        "replayed": 0,
    }
    assert client.ask(type="unsubscribe", channel=TABLES, id="c") == {
        "type": "unsubscribed",
        "channel": TABLES,
        "id": "c",
    }
    assert "id" not in client.ask(type="subscribe", channel=TABLES)


def test_a_snapshot_follows_the_answer(client):
    answer = client.ask(type="subscribe", channel=TABLES, snapshot=True, id="a")
    snapshot = client.receive()
    assert snapshot == {
        "type": "snapshot",
        "channel": TABLES,
        "position": answer["position"],
        "complete": False,
        "data": {"tables": [], "sections": [], "sectionObjects": [], "holds": []},
    }


def test_ping_is_answered_with_the_places_on_quiet_channels(client):
    positions = client.subscribe(TABLES)
    pong = client.ask(type="ping", id="p")
    assert pong.pop("asOf") > 1_700_000_000_000
    assert pong == {"type": "pong", "id": "p", "live": True, "lag": 0, "positions": positions}
    assert "id" not in client.ask(type="ping")


def test_fields_that_are_not_known_are_passed_over(client):
    assert client.ask(type="subscribe", channel=TABLES, token="x", more={"a": [1]})["type"] == "subscribed"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"),
        ("nonsense", "bad_json"),
        ('{"type": "ping"', "bad_json"),
        ('{"type": "ping"} ,', "bad_json"),
        ("null", "bad_json"),
        ("[]", "bad_json"),
        ("5", "bad_json"),
        ("NaN", "bad_json"),
        ('"ping"', "bad_json"),
        ("[" * 900, "bad_json"),
        ('{"type": "\\ud800"}', "unknown_type"),
        ("{}", "bad_message"),
        ('{"type": null}', "bad_message"),
        ('{"type": 5}', "bad_message"),
        ('{"type": ["ping"]}', "bad_message"),
        ('{"type": ""}', "unknown_type"),
        ('{"type": "PING"}', "unknown_type"),
        ('{"type": "shout"}', "unknown_type"),
        ('{"type": "%s"}' % ("x" * 900), "unknown_type"),
        ('{"type": "subscribe"}', "bad_message"),
        ('{"type": "subscribe", "channel": null}', "bad_message"),
        ('{"type": "subscribe", "channel": 5}', "bad_message"),
        ('{"type": "subscribe", "channel": ["global:restaurants"]}', "bad_message"),
        ('{"type": "subscribe", "channel": "global:restaurants", "id": true}', "bad_message"),
        ('{"type": "subscribe", "channel": "global:restaurants", "position": 5}', "bad_message"),
        ('{"type": "subscribe", "channel": "global:restaurants", "snapshot": "yes"}', "bad_message"),
        ('{"type": "subscribe", "channel": "global:restaurants", "snapshot": 1}', "bad_message"),
        ('{"type": "subscribe", "channel": "global:restaurants", "snapshot": null}', "bad_message"),
        ('{"type": "unsubscribe"}', "bad_message"),
        ('{"type": "unsubscribe", "channel": {}}', "bad_message"),
        ('{"type": "ping", "id": {}}', "bad_message"),
        ('{"type": "unsubscribe", "channel": "global:restaurants"}', "not_subscribed"),
        ('{"type": "unsubscribe", "channel": "nonsense"}', "not_subscribed"),
        ('{"type": "subscribe", "channel": "user:u1:notifications"}', "unauthorized"),
        ('{"type": "subscribe", "channel": "restaurant:r1:reservations"}', "unauthorized"),
    ],
)
def test_what_is_wrong_is_answered_and_the_connection_goes_on(client, text, code):
    client.socket.send(text)
    answer = client.receive()
    assert (answer["type"], answer["code"]) == ("error", code)
    assert code in ERROR_CODES
    assert answer["message"].endswith(".")
    assert len(answer["message"]) < 400
    assert client.ask(type="ping", id="after")["id"] == "after"


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "tables",
        "restaurant:r1",
        "restaurant::tables",
        "restaurant:r1:tables:",
        "restaurant:r1:kitchen",
        "restaurant:r 1:tables",
        "restaurant:ñ:tables",
        "restaurant:r1:tables\n",
        "RESTAURANT:r1:tables",
        f"restaurant:{'x' * 129}:tables",
        "user:u1:tables",
        "global:tables",
        "global::announcements",
        "global:announcements\0",
    ],
)
def test_channels_outside_the_grammar(client, channel):
    answer = client.ask(type="subscribe", channel=channel, id="7")
    assert (answer["code"], answer["id"], answer["channel"]) == ("bad_channel", "7", channel)


@pytest.mark.parametrize(
    ("offered", "selected"),
    [(None, None), (["mesaya.v1"], "mesaya.v1"), ([BEARER, "mesaya.v1"], "mesaya.v1"), (["graphql-ws"], None)],
    ids=["none", "ours", "ours_after_a_token", "another"],
)
def test_sub_protocols_that_are_offered_are_answered_with_ours_or_none(gateway, offered, selected):
    with connected(gateway.url, subprotocols=offered) as client:
        assert client.socket.subprotocol == selected
        assert client.ask(type="ping")["type"] == "pong"


def test_an_error_names_what_it_is_about_wherever_that_is_known(client):
    for message, named in (
        ({"type": "shout", "id": "7", "channel": "x"}, {"id": "7", "channel": "x"}),
        ({"type": "subscribe", "id": "7", "channel": 5}, {"id": "7"}),
        ({"type": "subscribe", "id": 7, "channel": 5}, {"id": 7}),
        ({"type": "subscribe", "id": [7], "channel": TABLES}, {"id": [7], "channel": TABLES}),
    ):
        answer = client.ask(**message)
        assert {name: answer[name] for name in ("id", "channel") if name in answer} == named


def test_subscriptions_are_bounded(client):
    channels = [f"restaurant:r{number}:tables" for number in range(4)]
    client.subscribe(*channels[:3])
    answer = client.ask(type="subscribe", channel=channels[3], id="7")
    assert (answer["code"], answer["id"], answer["channel"]) == ("too_many_subscriptions", "7", channels[3])
    client.subscribe(channels[0])
    assert client.ask(type="unsubscribe", channel=channels[0])["type"] == "unsubscribed"
    client.subscribe(channels[3])


# What a connection does not survive


EMPTY_FRAGMENT = frame(b"", CONTINUATION, final=False)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(b"x", BINARY), 1003, id="binary"),
        pytest.param(frame(b"x", BINARY, final=False), 1003, id="binary fragment"),
        pytest.param(frame(b"x" * (MOST_BYTES + 1)), 1009, id="too large"),
        pytest.param(frame("é".encode() * (MOST_BYTES // 2 + 1)), 1009, id="too large in bytes"),
        pytest.param(
            frame(b"x" * 600, final=False) + frame(b"x" * 600, CONTINUATION), 1009, id="too large in fragments"
        ),
        pytest.param(frame(announced=1 << 20), 1009, id="announced too large"),
        pytest.param(frame(announced=(1 << 63) - 1), 1009, id="announced absurdly large"),
        pytest.param(frame(b'{"type":"ping"}') * 101, 4029, id="flood of messages"),
        pytest.param(frame(b"", PING) * 101, 4029, id="flood of pings"),
        pytest.param(frame(b"", PONG) * 101, 4029, id="flood of pongs"),
        pytest.param(frame(final=False) + EMPTY_FRAGMENT * 100, 4029, id="endless empty fragments"),
        pytest.param(frame(b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(frame(b"\xc3") + frame(b"\xa9"), 1007, id="half a letter"),
        pytest.param(frame(b"\xed\xa0\x80"), 1007, id="a surrogate"),
        pytest.param(frame(b"{}", mask=None), 1002, id="not masked"),
        pytest.param(frame(b"{}", reserved=4), 1002, id="reserved bit 1"),
        pytest.param(frame(b"{}", reserved=1), 1002, id="reserved bit 3"),
        pytest.param(frame(b"{}", 0x3), 1002, id="reserved opcode"),
        pytest.param(frame(b"{}", 0xF), 1002, id="reserved control opcode"),
        pytest.param(frame(b"{}", CONTINUATION), 1002, id="continues nothing"),
        pytest.param(frame(b"{", final=False) + frame(b"{}"), 1002, id="not continued"),
        pytest.param(frame(b"", PING, final=False), 1002, id="fragmented ping"),
        pytest.param(frame(b"x" * 126, PING), 1002, id="long ping"),
        pytest.param(bytes((0x81, 0xFE, 0, 5)) + bytes(9), 1002, id="length not minimal"),
        pytest.param(bytes((0x81, 0xFF)) + b"\xff" * 12, 1009, id="length with the highest bit"),
        pytest.param(close(1005), 1002, id="close with a code that is never sent"),
        pytest.param(frame(b"\x03", 0x8), 1002, id="close with half a code"),
    ],
)
def test_violation_of_the_protocol_or_a_limit_closes_with_its_code(gateway, bystander, sent, code):
    before = gateway.metric("mesaya_connections_closed_total", code=str(code))
    with raw(gateway.port) as client:
        client.shake_hands()
        client.send(sent)
        assert client.closed_with() == (code, CLOSE_CODES[code].name)
    gateway.until(
        lambda: gateway.metric("mesaya_connections_closed_total", code=str(code)) == before + 1,
        PATIENCE,
        "it is counted",
    )


def test_as_much_as_is_allowed_is_taken(gateway, bystander):
    message = b'{"type":"ping","id":"%s"}'
    with raw(gateway.port) as client:
        client.shake_hands()
        whole = message % (b"x" * (MOST_BYTES - len(message) + 2))
        assert len(whole) == MOST_BYTES
        client.send(frame(whole), frame(whole[:600], final=False), frame(b"", PING), frame(whole[600:], CONTINUATION))
        assert [client.frame()[0] for _ in range(3)] == [TEXT, PONG, TEXT]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1002, 1011, 3000, 4999])
def test_a_close_is_answered_with_the_same(gateway, bystander, code):
    with raw(gateway.port) as client:
        client.shake_hands()
        client.send(frame(b"", 0x8) if code is None else close(code), frame(b"", PING), frame(b"{}"))
        opcode, payload = client.frame()
        assert (opcode, payload) == (0x8, b"" if code is None else code.to_bytes(2))
        assert client.frame() is None


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="ping_timeout"),
        pytest.param(frame(b'{"type":"ping"}')[:7], id="half a header"),
        pytest.param(frame(b"x" * 500)[:100], id="half a message"),
    ],
)
@pytest.mark.parametrize("resets", [True, False], ids=["reset", "end"])
def test_clients_that_vanish(gateway, bystander, said, resets):
    before = gateway.metric("mesaya_connections_closed_total", code="1006")
    with raw(gateway.port) as client:
        client.shake_hands()
        client.send(said)
        if resets:
            client.reset()
    gateway.until(
        lambda: gateway.metric("mesaya_connections_closed_total", code="1006") == before + 1, PATIENCE, "it is noticed"
    )


def test_messages_are_counted_by_type_or_error(gateway, client):
    def counted():
        return [gateway.metric("mesaya_client_messages_total", type=kind) for kind in ("subscribe", "bad_channel")]

    before = counted()
    client.ask(type="subscribe", channel=TABLES)
    client.ask(type="subscribe", channel="nonsense")
    assert counted() == [count + 1 for count in before]


def test_ids_are_any_text(client):
    client.socket.send(json.dumps({"type": "ping", "id": "ñ \u2028 😀"}, ensure_ascii=False))
    assert client.receive()["id"] == "ñ \u2028 😀"
