import json
import os
import socket
from pathlib import Path

import pytest
import trio

from mesaya_ws import __version__
from mesaya_ws.cli.check import LOG_TIMEOUT, inspect_log
from mesaya_ws.core.log.inspection import Inspection, error
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.settings import Settings
from mesaya_ws.statestore.store import FILE
from tests.cli.server import page, serving
from tests.statestore.test_inspection import fill


@pytest.fixture(autouse=True)
def _nobody_serves(run, monkeypatch):
    """Have no service at the address that is checked, whatever runs on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))


def rows(result):
    """Return the rows of the tables that were printed."""
    return [[cell.strip() for cell in text.split("│")[1:-1]] for text in result.stdout.splitlines() if "│" in text]


def test_check_answers_first_and_shows_the_settings_but_no_secrets(run, monkeypatch):
    for name, value in {"PUBLISH_TOKEN": "hunter2", "HOST": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "All is well."
    assert ["PUBLISH_TOKEN", "(hidden)"] in rows(result)
    assert ["KAFKA_SASL_PASSWORD", ""] in rows(result)
    assert ["AUTH", "on"] in rows(result)
    assert ["HOST", "127.0.0.1"] in rows(result)
    assert "hunter2" not in result.output
    assert result.stderr == ""


def test_check_makes_nothing(run):
    assert run("check").exit_code == 0
    assert os.listdir() == []


def test_check_shows_what_a_log_holds_and_does_not_change_it(run):
    line = json.dumps({"topic": "mesa-ya.reviews.events", "value": None})
    assert run("produce", "-", stdin=f"{line}\n" * 3).exit_code == 0
    before = Path("mesaya-ws.sqlite3").read_bytes()
    result = run("check")
    assert ["mesa-ya.reviews.events", "0", "0", "3"] in rows(result)
    assert Path("mesaya-ws.sqlite3").read_bytes() == before


def test_check_shows_what_the_state_directory_holds(run):
    fill(Path("mesaya-ws.state"), 20)
    result = run("check")
    [row] = [row for row in rows(result) if len(row) == 8 and row[0] == "0"]
    assert (row[0], row[1], row[3], row[7]) == ("0", "20", "1", "0")
    [state] = json.loads(run("check", "--json").stdout)["state"]
    assert (state["records"], state["entities"], state["lag"]) == (20, 1, 0)
    assert state["windowBytes"] == 0, "nothing was published on a channel that shows a state"
    (Path("mesaya-ws.state") / "0" / FILE).write_bytes(b"damaged")
    result = run("check")
    assert result.exit_code == 0
    assert "mesaya-ws: warning: mesaya-ws.state/0/state.mdb" in result.stderr


NOT_USED = "KAFKA_SASL_USERNAME is not used, since KAFKA_BROKERS is not set."


@pytest.fixture
def broken(monkeypatch):
    """Something to be mended, and something to be warned of: the sentence about the first begins like that."""
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "ann")
    monkeypatch.setenv("EVENT_LOG_FILE", "missing/log.sqlite3")
    return "EVENT_LOG_FILE: there is no directory"


def test_check_warns_and_exits_with_0(run, monkeypatch):
    monkeypatch.setenv("AUTH", "off")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "ann")
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "It works, with warnings."
    assert result.stderr.splitlines() == [
        f"mesaya-ws: warning: {NOT_USED}",
        "mesaya-ws: warning: AUTH=off, so private channels are open to everybody.",
    ]


def test_check_prints_errors_first_and_exits_with_1(run, broken):
    result = run("check")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"mesaya-ws: {broken}")
    assert second == f"mesaya-ws: warning: {NOT_USED}"
    assert "well" not in result.stdout


def test_check_prints_json(run, monkeypatch):
    line = json.dumps({"topic": "mesa-ya.reviews.events", "value": None})
    assert run("produce", "-", stdin=f"{line}\n" * 7).exit_code == 0
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "ann")
    result = run("check", "--json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["ok"]) == (0, True)
    assert (printed["errors"], printed["warnings"]) == ([], [NOT_USED])
    assert printed["settings"]["AUTH"] == "on"
    address = f"127.0.0.1:{os.environ['PORT']}"
    assert printed["service"] == {"address": address, "runs": False, "version": None, "ready": None}
    assert {"topic": "mesa-ya.reviews.events", "partition": 0, "first": 0, "next": 7} in printed["log"]


def test_check_prints_errors_in_json(run, broken):
    result = run("check", "--json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["ok"], printed["warnings"]) == (1, False, [NOT_USED])
    [sentence] = printed["errors"]
    assert sentence.startswith(broken)
    assert printed["log"] == []


def test_check_says_that_no_service_runs_which_is_no_error(run):
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == ["All is well.", f"No service runs at 127.0.0.1:{os.environ['PORT']}."]


def test_check_says_nothing_of_a_service_that_runs_but_in_json(run, monkeypatch):
    facts = {"version": __version__, "ready": True}
    with serving({"/health": page(facts)}) as port:
        monkeypatch.setenv("PORT", str(port))
        assert "No service" not in run("check").stdout
        printed = json.loads(run("check", "--json").stdout)["service"]
    assert printed == {"address": f"127.0.0.1:{port}", "runs": True, **facts}


async def test_log_that_does_not_answer_is_an_error():
    async def inspect(settings):
        await trio.lowlevel.checkpoint()
        raise LogUnavailableError("the cable is out.")

    found = await inspect_log(Settings(), inspect)
    assert found == Inspection({}, (error("the event log does not answer: the cable is out."),))


async def test_log_is_waited_for_for_a_while_only(autojump_clock):
    async def inspect(settings):
        await trio.sleep_forever()

    found = await inspect_log(Settings(), inspect)
    assert found == Inspection({}, (error("the event log does not answer: no answer within 30 s."),))
    assert trio.current_time() == LOG_TIMEOUT


def test_check_names_settings_without_effect(run, monkeypatch):
    for name, value in {"KAFKA_SASL_USERNAME": "ann", "KAFKA_BROKER": "kafka:9092"}.items():
        monkeypatch.setenv(name, value)
    result = run("check")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "mesaya-ws: warning: KAFKA_SASL_USERNAME is not used, since KAFKA_BROKERS is not set.",
        "mesaya-ws: warning: KAFKA_BROKER is no setting, and has no effect; KAFKA_BROKERS may be meant.",
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing/log.sqlite3", "there is no directory"), ("mesaya-ws.sqlite3", "is not an event log of mesaya-ws")],
)
def test_check_tries_the_disk(run, monkeypatch, place, words):
    Path("mesaya-ws.sqlite3").write_text("these are not the bytes of a database" * 50)
    monkeypatch.setenv("EVENT_LOG_FILE", str(Path.cwd() / place))
    result = run("check")
    assert words in result.stderr
    assert result.exit_code == 1
    assert os.listdir() == ["mesaya-ws.sqlite3"]
