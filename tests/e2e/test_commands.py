"""The commands beside a real gateway, and what only whole processes show: signals, terminals, pipes.

What they do by themselves is in `tests/cli`.
"""

import json
import pty
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from mesaya_ws.cli import main
from tests.e2e.client import connected
from tests.e2e.command import run, started
from tests.support.gateway import running, until
from tests.timing import PATIENCE

ANNOUNCEMENTS = "global:announcements"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One for all tests here, which know their own announcements by their names."""
    with running(tmp_path_factory.mktemp("commands"), AUTH="on", PUBLISH_TOKEN="a token of the tests") as gateway:
        yield gateway


@contextmanager
def tailing(gateway, *arguments, **more):
    """Run `tail`; it is yielded when it has subscribed."""
    before = gateway.metric("mesaya_client_messages_total", type="subscribe")
    with started(gateway.folder, "tail", *arguments, PORT=str(gateway.port), **more) as process:
        gateway.until(
            lambda: gateway.metric("mesaya_client_messages_total", type="subscribe") > before,
            PATIENCE,
            "it has subscribed",
        )
        yield process


# produce


def test_what_is_produced_arrives(gateway):
    with connected(gateway.url) as client:
        client.subscribe("global:restaurants")
        done = run(gateway.folder, "produce", "--sample")
        assert (done.returncode, done.stdout) == (0, "")
        assert client.receive()["type"] == "restaurant.created"


def test_produce_ends_at_once_when_it_is_interrupted(tmp_path):
    with started(tmp_path, "produce", "--sample", "--rate", "0.01") as process:
        until((tmp_path / "mesaya-ws.sqlite3").exists, PATIENCE, "it has begun")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 1
    name = tmp_path / "mesaya-ws.sqlite3"
    assert errors.splitlines()[-1].startswith("mesaya-ws: interrupted. ")
    assert f" records were appended to {name}" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", [("serve",), ("check",), ("produce", "--sample"), ("tail", ANNOUNCEMENTS)])
def test_a_command_that_is_interrupted_while_it_begins_says_so(tmp_path, command):
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'mesaya_ws.cli':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted)\n"
        "from mesaya_ws.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mesaya-ws: interrupted.\n")


def test_a_command_that_is_interrupted_while_it_begins_ends_at_once(tmp_path):
    program = (
        "import sys, time\n"
        "class Slow:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'mesaya_ws.cli':\n"
        "            print('it begins', flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow)\n"
        "from mesaya_ws.__main__ import main\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "it begins\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == -signal.SIGINT


# tail


def test_tail_without_a_terminal_prints_json_until_interrupted(gateway):
    with tailing(gateway, ANNOUNCEMENTS) as process:
        for title in ("one", "two"):
            gateway.announce(title)
            event = json.loads(process.stdout.readline())
            assert event.items() >= {"channel": ANNOUNCEMENTS, "type": "announcement.created"}.items()
            assert event["data"]["title"] == title
            assert event["position"]
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate()
        assert (process.returncode, printed) == (0, "")
        connected, subscribed = errors.splitlines()
        assert connected.startswith(f"mesaya-ws: connected to {gateway.url}, as ")
        assert subscribed == f"mesaya-ws: subscribed to {ANNOUNCEMENTS}."


@pytest.mark.parametrize("as_json", [False, True])
def test_tail_is_readable_on_a_terminal_unless_json_is_asked_for(gateway, as_json):
    ours, theirs = pty.openpty()
    with (
        open(ours, "rb", buffering=0) as terminal,
        open(theirs, "wb", buffering=0) as output,
        tailing(gateway, *(["--json"] if as_json else []), ANNOUNCEMENTS, stdout=output),
    ):
        gateway.announce("the end")
        shown = b""
        while b"the end" not in shown:
            shown += terminal.read(1000)
    assert b"announcement.created" in shown
    assert shown.startswith(b"{") is as_json


def test_tail_says_that_nobody_is_there_and_waits(start_gateway, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = str(nobody.getsockname()[1])
    with started(tmp_path, "tail", "--snapshot", ANNOUNCEMENTS, PORT=port) as process:
        reason = "nothing listens there; trying again."
        assert process.stderr.readline() == f"mesaya-ws: not connected to ws://127.0.0.1:{port}/ws: {reason}\n"
        start_gateway(PORT=port)
        assert json.loads(process.stdout.readline())["type"] == "snapshot"


def test_tail_ends_quietly_when_nobody_reads_it(gateway):
    with tailing(gateway, ANNOUNCEMENTS) as process:
        process.stdout.close()
        for _ in range(2):
            gateway.announce("to nobody")
        assert process.wait() == 0
        assert [text.split()[1] for text in process.stderr.read().splitlines()] == ["connected", "subscribed"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["user:u1:notifications"], 1, "The channel 'user:u1:notifications' is private."),
        (["nonsense"], 1, "There is no channel 'nonsense'."),
        (["--url", "ws://127.0.0.1:{port}/elsewhere", ANNOUNCEMENTS], 1, "WebSockets are served at /ws."),
    ],
)
def test_tail_says_why_it_may_not(gateway, monkeypatch, arguments, status, said):
    monkeypatch.setenv("PORT", str(gateway.port))
    done = CliRunner().invoke(main, ["tail", *(word.format(port=gateway.port) for word in arguments)])
    assert (done.exit_code, done.stdout, done.stderr.splitlines()[-1]) == (status, "", f"mesaya-ws: {said}")
    assert all(": connected to " in text for text in done.stderr.splitlines()[:-1])


# check


@pytest.mark.kafka
def test_check_and_produce_with_kafka(tmp_path, platform_topics):
    done = run(tmp_path, "produce", "--sample", KAFKA_BROKERS=platform_topics)
    *waiting, last = done.stderr.splitlines()  # a broker that has just started may keep it waiting
    assert (done.returncode, last) == (0, f"95 records appended to {platform_topics}.")
    assert all(line.endswith("still trying.") for line in waiting)
    done = run(tmp_path, "check", KAFKA_BROKERS=platform_topics)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "It works, with warnings."
    assert "has one copy, and is lost with its broker" in done.stderr


@pytest.mark.kafka
def test_check_says_what_is_missing_in_kafka(tmp_path, platform_kafka):
    done = run(tmp_path, "check", KAFKA_BROKERS=platform_kafka, KAFKA_TOPICS="missing.one,missing.two")
    assert done.returncode == 1
    assert done.stderr == "mesaya-ws: these topics do not exist (yet): missing.one, missing.two.\n"


@pytest.mark.kafka
@pytest.mark.parametrize(("command", "waits"), [(("check",), 0), (("produce", "--sample"), 1)])
def test_a_kafka_that_is_not_there_is_reported(tmp_path, command, waits):
    done = run(tmp_path, *command, KAFKA_BROKERS="127.0.0.1:9")
    assert done.returncode == 1
    *waiting, last = done.stderr.splitlines()
    assert "Kafka does not answer at 127.0.0.1:9" in last
    assert [line.endswith("still trying.") for line in waiting] == [True] * waits
