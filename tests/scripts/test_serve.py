"""`scripts/serve`, as a person runs it after the first time: from anywhere, it serves, and says what to do next."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.client import connected
from tests.e2e.command import environment
from tests.support.gateway import until
from tests.timing import PATIENCE

ROOT = Path(__file__).parents[2]
LOUD = "!! AUTH is not set: running with AUTH=off"
PRIVATE = "user:u1:notifications"


class Serving:
    """A checkout's `scripts/serve` that runs; its `.env` is one of the test's own."""

    def __init__(self, folder, env_file, settings, *arguments):
        scripts = folder / "scripts"
        scripts.mkdir()
        # It works in the directory above the one that it is in.
        for path in (ROOT / "scripts").iterdir():
            if path.name != "environment":
                (scripts / path.name).symlink_to(path)
        (scripts / "environment").write_text(f"root={ROOT}\n. {ROOT}/scripts/environment\nroot={folder}\n")
        if env_file is not None:
            (folder / ".env").write_bytes(env_file)
        self.output = folder / "output"
        chosen = {"PORT": "0", "HOST": "127.0.0.1", "EVENT_LOG_FILE": str(folder / "log.sqlite3"), **settings}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [scripts / "serve", *arguments],
                cwd="/",
                env=environment(chosen),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def port(self):
        [line] = [line for line in self.output.read_text().splitlines() if '"event":"listening"' in line]
        return int(line.split('"port":')[1].split(",")[0])


@pytest.fixture
def serving(tmp_path):
    started = []

    def start(env_file=None, *arguments, **settings):
        serving = Serving(tmp_path, env_file, settings, *arguments)
        started.append(serving.process)
        until(lambda: '"event":"listening"' in serving.output.read_text(), 60, "it says where it listens")
        return serving

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("settings", "is_loud"), [({}, True), ({"AUTH": "on"}, False), ({"AUTH": ""}, True)])
def test_it_serves_and_says_what_to_try(serving, settings, is_loud):
    running = serving(**settings)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0
    shown = running.output.read_text()
    assert (LOUD in shown) is is_loud
    assert ".venv/bin/mesaya-ws tail --url ws://127.0.0.1:<port>/ws --snapshot global:restaurants" in shown
    assert ".venv/bin/mesaya-ws produce --sample" in shown
    assert "open http://127.0.0.1:<port>/console in a browser" in shown


@pytest.mark.parametrize(
    "env_file",
    [
        b"\xef\xbb\xbfAUTH=on\n",
        b"DRAIN_SECONDS=0\rAUTH=on\r",
        b"DRAIN_SECONDS=0\r\nAUTH='on'\r\n",
        b'\xef\xbb\xbfexport AUTH = "on" # private\n',
    ],
)
def test_private_channels_stay_private_however_env_is_written(serving, env_file):
    running = serving(env_file)
    assert LOUD not in running.output.read_text()
    with connected(f"ws://127.0.0.1:{running.port}/ws") as client:
        assert client.ask(type="subscribe", channel=PRIVATE)["code"] == "unauthorized"


def test_name_similar_to_a_setting_is_none(serving):
    running = serving(b"# AUTH=on\nX='\nAUTH=on\n'\n")
    assert LOUD in running.output.read_text()


def test_demo_plays_while_the_service_runs_and_ends_with_it_at_ctrl_c(serving):
    running = serving(None, "--demo")
    until(lambda: "playing a demo" in running.output.read_text(), PATIENCE, "the demo says that it plays")
    [channel] = re.findall(r"restaurant:\S+:tables(?=  La Mesa del Puerto)", running.output.read_text())
    with connected(f"ws://127.0.0.1:{running.port}/ws") as client:
        assert client.ask(type="subscribe", channel=channel)["type"] == "subscribed"
        changed = client.receive()
        assert changed["type"] == "table.updated"
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does
    assert running.process.wait(PATIENCE) == 0
    until(lambda: not group_exists(running.process.pid), PATIENCE, "the demo has ended, too")
    assert "Traceback" not in running.output.read_text()


def group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
