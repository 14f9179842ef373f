import pytest

from mesaya_ws.cli.chat import lines_of
from mesaya_ws.client.session import Event

MESSAGE = {
    "from": "guest",
    "authorId": "u1",
    "authorName": "Ana",
    "text": "Hello",
    "sentAt": "2026-01-21T02:05:00.000Z",
}


def shown(kind, data):
    return [line.plain for line in lines_of(Event("restaurant:r1:chat:u1", kind, data))]


def test_messages_are_shown_with_their_time_and_sender():
    assert shown("chat.message", MESSAGE) == ["02:05 guest Ana: Hello"]
    assert shown("chat.message", {**MESSAGE, "from": "restaurant", "authorName": None}) == [
        "02:05 restaurant u1: Hello"
    ]
    assert shown("snapshot", {"messages": [MESSAGE, {**MESSAGE, "text": None}]}) == [
        "02:05 guest Ana: Hello",
        "02:05 guest Ana: deleted",
    ]


def test_text_of_others_moves_no_cursor():
    message = {**MESSAGE, "text": "a\x1b[2J\nb", "authorName": "A\x9bna"}
    assert shown("chat.message", message) == ["02:05 guest A na: a [2J b"]


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("chat.edited", {"text": "Hi"}, "… edited: Hi"),
        ("chat.deleted", {"by": "restaurant"}, "… a message was deleted by the restaurant"),
        ("chat.read", {"by": "guest"}, "… read by the guest"),
        ("presence", {"guest": True, "restaurant": True}, "… here: guest and restaurant"),
        ("presence", {"guest": False, "restaurant": False}, "… here: nobody"),
        ("chat.typing", {"by": "guest", "typing": True}, "… the guest is typing"),
        ("chat.typing", {"by": "guest", "typing": False}, "… the guest is not typing any more"),
        ("chat.blocked", {"blocked": True}, "… the guest is blocked"),
        ("chat.blocked", {"blocked": False}, "… the guest is not blocked any more"),
    ],
)
def test_what_else_happens_is_a_line(kind, data, line):
    assert shown(kind, data) == [line]


def test_event_of_a_newer_gateway_is_passed_over():
    assert shown("chat.typed", {}) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["r 1", "u1"], "an id is"),
        (["r1"], "Missing argument"),
        (["r1", "u1", "--url", "x"], "ws://host:port/ws"),
        (["r1", "u1", "--as", "o1", "--token-file", "t"], "leave --as and --role out"),
    ],
)
def test_chat_refuses_what_it_cannot_use(run, arguments, words):
    result = run("chat", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
