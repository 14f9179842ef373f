"""`scripts/serve`, as a person runs it after the first time: from anywhere, it serves, and says what to do next."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import environment
from tests.e2e.gateway import until

ROOT = Path(__file__).parents[2]
LOUD = "!! AUTH is not set: running with AUTH=off"


@pytest.mark.parametrize(("settings", "is_loud"), [({}, True), ({"AUTH": "on"}, False)])
def test_it_serves_and_says_what_to_try(tmp_path, settings, is_loud):
    if (ROOT / ".env").exists():
        pytest.skip("there is a .env, whose settings nobody knows")
    chosen = {"PORT": "0", "HOST": "127.0.0.1", "EVENT_LOG": str(tmp_path / "log.sqlite3"), **settings}
    told = tmp_path / "told"
    with told.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / "scripts" / "serve"], cwd=tmp_path, env=environment(chosen), stdout=output, stderr=output
        )
    try:
        until(lambda: '"event":"listening"' in told.read_text(), 60, "it says where it listens")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    shown = told.read_text()
    assert (LOUD in shown) is is_loud
    assert ".venv/bin/mesaya-ws tail --snapshot global:restaurants" in shown
    assert ".venv/bin/mesaya-ws produce --sample" in shown
