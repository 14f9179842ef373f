import io
import json

import pytest
from rich.console import Console

from mesaya_ws.cli.connecting import ConnectionReporter, read_token
from mesaya_ws.cli.tail import print_event
from mesaya_ws.client.session import Connected, Disconnected, Event, Subscribed


@pytest.mark.parametrize(
    "url", ["nonsense", "http://localhost/ws", "ws://", "ws://:8080/ws", "ws://localhost:99999/ws", "ws://[/ws", ""]
)
def test_tail_wants_the_url_of_a_websocket(run, url):
    result = run("tail", "--url", url, "global:restaurants")
    assert result.exit_code == 2
    assert "it must be ws://host:port/ws" in result.stderr


def test_tail_wants_a_channel(run):
    assert run("tail").exit_code == 2


def test_tail_wants_an_authority_that_it_can_use(run, tmp_path):
    (tmp_path / "no.pem").write_text("this is no certificate")
    for path, words in (("missing.pem", "No such file"), ("no.pem", "cannot be used")):
        result = run("tail", "--ca", path, "global:restaurants")
        assert result.exit_code == 2
        assert words in result.stderr


def test_each_change_of_the_connection_is_reported_once(capsys):
    teller = ConnectionReporter("ws://h/ws")
    for notice in (
        Disconnected("nothing listens there"),
        Disconnected("nothing listens there"),
        Connected("a-1"),
        Subscribed("global:restaurants", None),
        Disconnected("the connection broke"),
        Connected("b-1"),
        Subscribed("global:restaurants", True),
        Subscribed("global:restaurants", False),
    ):
        teller.report(notice)
    assert capsys.readouterr().err.splitlines() == [
        "mesaya-ws: not connected to ws://h/ws: nothing listens there; trying again.",
        "mesaya-ws: connected to ws://h/ws, as a-1.",
        "mesaya-ws: subscribed to global:restaurants.",
        "mesaya-ws: not connected to ws://h/ws: the connection broke; trying again.",
        "mesaya-ws: connected again, as b-1.",
        "mesaya-ws: subscribed to global:restaurants, and nothing is missed.",
        "mesaya-ws: subscribed to global:restaurants, where events are missing; its state follows.",
    ]


def test_what_may_be_secret_in_a_url_is_not_repeated(capsys):
    teller = ConnectionReporter("wss://ann:hunter2@h:9/ws?token=hunter2")
    teller.report(Disconnected("nothing listens there"))
    assert capsys.readouterr().err == "mesaya-ws: not connected to wss://h:9/ws: nothing listens there; trying again.\n"


async def test_silence_is_reported_when_nothing_else_was(capsys, autojump_clock):
    teller = ConnectionReporter("ws://h/ws")
    await teller.report_silence()
    assert capsys.readouterr().err == "mesaya-ws: nothing answers at ws://h/ws yet; trying again.\n"
    await teller.report_silence()
    assert capsys.readouterr().err == ""


def test_tail_says_once_who_one_is(run, tmp_path):
    answer = run("tail", "global:restaurants", "--user", "u1", "--token-file", str(tmp_path / "token"))
    assert (answer.exit_code, "leave one out" in answer.stderr) == (2, True)


def test_tail_says_that_a_file_holds_no_token_and_does_not_repeat_it(run, tmp_path):
    path = tmp_path / "token"
    path.write_text("a canary in a file")
    answer = run("tail", "global:restaurants", "--token-file", str(path), "--url", "ws://127.0.0.1:1/ws")
    assert answer.exit_code == 1
    assert f"{path} holds no token" in answer.stderr
    assert "canary" not in answer.stderr


async def test_token_is_read_anew_each_time(tmp_path):
    path = tmp_path / "token"
    with pytest.raises(OSError, match="No such file"):
        await read_token(path)
    for token in ("a.b.c", "d.e.f"):
        path.write_text(f"{token}\n")
        assert await read_token(path) == token


def test_what_others_have_written_commands_no_terminal():
    shown = io.StringIO()
    text = "a\x9b2J\x1b[2J\u2028\x7fé"
    print_event(Console(file=shown, force_terminal=False), Event("c", "chat.message", {"text": text}, "t", "p"))
    head, data = shown.getvalue().split("\n", 1)
    assert head == "t chat.message c"
    assert json.loads(data) == {"text": text}
    assert data.replace("\n", "").isprintable()
