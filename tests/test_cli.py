import json
import socket
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from click.testing import CliRunner

from mesaya_ws import cli
from mesaya_ws.cli import main
from mesaya_ws.core.event_log import NewRecord
from mesaya_ws.settings import Settings

from .fakes import FakeLog


@pytest.fixture
def run(tmp_path, monkeypatch, logged):
    """Run a command in a directory of its own, on an embedded log; nothing is set."""
    monkeypatch.chdir(tmp_path)
    for field in attrs.fields(Settings):
        monkeypatch.delenv(field.name.upper(), raising=False)

    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)

    return invoke


def line(topic="mesa-ya.reviews.events", value="x", **more):
    return json.dumps({"topic": topic, "value": value, **more}) + "\n"


def test_produce_appends_and_check_shows_it(run):
    result = run("produce", "-", stdin=line() + line(value={"a": 1}, key="k") + "\n" + line(value=None))
    assert (result.exit_code, result.stderr) == (0, f"3 records appended to {Path.cwd() / 'mesaya-ws.sqlite3'}.\n")
    checked = run("check")
    assert checked.exit_code == 0
    [row] = [text for text in checked.stdout.splitlines() if "reviews.events" in text and "│ 3" in text]
    assert row


def test_produce_reads_files_and_brings_samples(run, tmp_path):
    (tmp_path / "records.jsonl").write_text(line() * 450)
    assert run("produce", "records.jsonl").stderr.startswith("450 records appended to ")
    assert run("produce", "--sample").stderr.startswith("69 records appended to ")


def test_produce_keeps_a_rate(run):
    assert run("produce", "-", "--rate", "1000", stdin=line() * 5).stderr.startswith("5 records appended to ")


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("nonsense\n", "line 1 is not JSON"),
        (line() + "[]\n", 'line 2 is not {"topic", "key", "value"}'),
        (line(key=5), "line 1 has a key that is not text"),
        ('{"topic": "t"}\n', "line 1 is not"),
        (line(topic="unknown"), "unknown"),
    ],
)
def test_bad_lines_get_one_sentence(run, stdin, sentence):
    result = run("produce", "-", stdin=stdin)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stderr.startswith("mesaya-ws: ")
    assert len(result.stderr.splitlines()) == 1


def test_produce_keeps_the_rate_that_is_asked_for(monkeypatch):
    log = FakeLog(clock=trio.current_time)
    monkeypatch.setattr(cli, "open_event_log", lambda settings: log.open())
    records = [NewRecord("mesa-ya.reviews.events", b"x")] * 5
    clock = trio.testing.MockClock(autojump_threshold=0)
    assert trio.run(cli._produce, Settings(), iter(records), 2.0, clock=clock) == 5
    first, *others = (record.timestamp for record in log.appended)
    assert [time - first for time in others] == pytest.approx([500, 1000, 1500, 2000], abs=1)


def test_produce_says_when_the_log_does_not_take_records(run, monkeypatch):
    log = FakeLog()
    monkeypatch.setattr(cli, "open_event_log", lambda settings: log.open())
    with log.failing("the fake log is out of order."):
        result = run("produce", "--sample")
    assert (result.exit_code, result.stderr) == (1, "mesaya-ws: the fake log is out of order.\n")


def test_produce_wants_one_source(run):
    assert run("produce").exit_code == 2
    assert run("produce", "-", "--sample").exit_code == 2


@pytest.mark.parametrize("command", [["serve"], ["produce", "--sample"], ["check"], ["tail", "global:restaurants"]])
def test_bad_settings_are_told_without_a_traceback(run, monkeypatch, command):
    monkeypatch.setenv("PORT", "x")
    result = run(*command)
    assert (result.exit_code, result.stderr) == (2, "mesaya-ws: PORT must be a whole number, not 'x'.\n")


def rows(result):
    """Return the rows of the tables that were printed."""
    return [[cell.strip() for cell in text.split("│")[1:-1]] for text in result.stdout.splitlines() if "│" in text]


def test_check_shows_the_settings_but_no_secrets(run, monkeypatch):
    for name, value in {"PUBLISH_TOKEN": "hunter2", "AUTH": "off", "HOST": "[b]host[/b]"}.items():
        monkeypatch.setenv(name, value)
    result = run("check")
    assert ["PUBLISH_TOKEN", "(hidden)"] in rows(result)
    assert ["KAFKA_SASL_PASSWORD", ""] in rows(result)
    assert ["AUTH", "off"] in rows(result)
    assert ["HOST", "[b]host[/b]"] in rows(result)
    assert "hunter2" not in result.output
    assert result.stdout.splitlines()[-1] == "All is well."
    assert result.stderr == "mesaya-ws: AUTH=off, so private channels are open to everybody.\n"


def test_check_says_which_topics_are_missing(run, monkeypatch):
    log = FakeLog(("mesa-ya.reviews.events",))
    monkeypatch.setattr(cli, "open_event_log", lambda settings: log.open())
    monkeypatch.setenv("KAFKA_TOPICS", "b,mesa-ya.reviews.events,a")
    result = run("check")
    assert (result.exit_code, result.stderr) == (1, "mesaya-ws: these topics do not exist (yet): a, b.\n")


def test_check_says_that_the_log_does_not_answer(run, monkeypatch):
    log = FakeLog()
    monkeypatch.setattr(cli, "open_event_log", lambda settings: log.open())
    with log.failing("the cable is out."):
        result = run("check")
    assert (result.exit_code, result.stderr) == (1, "mesaya-ws: the event log does not answer: the cable is out.\n")


def test_check_waits_for_the_log_for_a_while_only(run, monkeypatch):
    monkeypatch.setattr(cli, "PATIENCE", 0.0)
    result = run("check")
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        ["mesaya-ws: the event log does not answer: no answer within 0 s."],
    )


@pytest.mark.parametrize(
    "url", ["nonsense", "http://localhost/ws", "ws://", "ws://:8080/ws", "ws://localhost:99999/ws", "ws://[/ws", ""]
)
def test_tail_wants_the_url_of_a_websocket(run, url):
    result = run("tail", "--url", url, "global:restaurants")
    assert result.exit_code == 2
    assert "it must be ws://host:port/ws" in result.stderr


def test_tail_wants_a_channel(run):
    assert run("tail").exit_code == 2


def test_serve_says_when_it_cannot_listen(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {"HOST": "127.0.0.1", "PORT": str(port)}.items():
            monkeypatch.setenv(name, value)
        result = run("serve")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"mesaya-ws: cannot listen on 127.0.0.1:{port}: Address already in use."


def test_a_file_that_is_no_log(run, tmp_path):
    (tmp_path / "mesaya-ws.sqlite3").write_text("these are not the bytes of a database" * 50)
    for command in (["check"], ["produce", "--sample"], ["serve"]):
        result = run(*command)
        assert result.exit_code == 1, command
        # `serve` may warn before of what the machine does not allow.
        assert "is not an event log" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


def test_version(run):
    assert run("--version").stdout.startswith("mesaya-ws, version ")
