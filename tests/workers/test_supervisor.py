"""The parent, with workers that are small scripts; real ones are in `tests/e2e`."""

import os
import signal
import tempfile

import attrs
import pytest
import trio

from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.workers.errors import GaveUpError
from mesaya_ws.workers.supervisor import supervise
from tests.workers.conftest import DELAYS


def sentence(caught):
    """Return the sentence with which a parent gave up."""
    [error] = caught.value.exceptions
    assert isinstance(error, GaveUpError)
    return str(error)


async def test_supervisor_starts_as_many_workers_as_configured_and_stops_them_at_its_end(supervised):
    async with supervised(workers=3) as parent:
        ready = await parent.until("worker ready", 3)
        assert sorted(entry["worker"] for entry in ready) == [1, 2, 3]
        signal.raise_signal(signal.SIGTERM)
        await parent.until_ended()
        assert {entry["how"] for entry in parent.events("worker ended")} == {"exit code 0"}
        assert parent.numbers == []
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", parent.port)


async def test_a_port_that_is_taken_is_an_error(supervised):
    async with supervised(workers=2) as parent:
        with pytest.raises(OSError, match="in use"):
            await supervise(Settings(host="127.0.0.1", port=parent.port), parent.load)


async def test_supervisor_without_a_temporary_directory_gives_up_with_a_sentence(supervised, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "does" / "not" / "exist"))
    with pytest.raises(GaveUpError, match=r"temporary files \(TMPDIR\): No such file or directory\."):
        await supervise(Settings(host="127.0.0.1", port=0, workers=2), Settings)


async def test_worker_that_ends_by_itself_is_replaced(supervised):
    async with supervised(workers=2) as parent:
        await parent.until("worker ready", 2)
        victim = parent.events("worker started")[0]
        os.kill(victim["pid"], signal.SIGKILL)
        [ended] = await parent.until("worker ended by itself")
        assert ended.items() >= {"worker": victim["worker"], "how": "killed by SIGKILL", "level": "error"}.items()
        await parent.until("worker ready", 3)
        assert parent.numbers == [1, 2]


async def test_replacement_beside_other_workers_accepts_only_when_ready(supervised, tmp_path):
    async with supervised(workers=1) as parent:
        await parent.until("worker ready")
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reloaded")
        first, second = (arguments.split() for arguments in (tmp_path / "arguments").read_text().splitlines())
        assert [first[0], second[0]] == ["--number=1", "--number=2"]
        assert ("--relieves" in first, "--relieves" in second) == (False, True)


async def test_supervisor_whose_workers_keep_ending_gives_up(supervised, workers):
    workers("dies later")
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(workers=1) as parent:
            await parent.until_ended()
    assert sentence(caught) == "The workers keep ending as soon as they have been started (the last one: exit code 4)."
    assert len(parent.events("worker started")) == 1 + len(DELAYS)


async def test_supervisor_that_gives_up_stops_the_other_workers(supervised, workers):
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the error comes at the end of the context
        async with supervised(workers=2) as parent:
            await parent.until("worker ready", 2)
            workers("dies")
            os.kill(parent.events("worker started")[0]["pid"], signal.SIGKILL)
            await parent.until_ended()
    assert "exit code 3" in sentence(caught)
    assert [entry["how"] for entry in parent.events("worker ended")] == ["exit code 0"]
    assert parent.numbers == []


@pytest.mark.parametrize("count", [1, 3])
async def test_supervisor_whose_workers_never_served_gives_up_at_once(supervised, workers, count):
    workers("dies")
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(workers=count) as parent:
            await parent.until_ended()
    assert sentence(caught) == "The worker ended before it could serve anybody (exit code 3); what it said is above."
    assert len(parent.events("worker started")) == count


async def test_worker_that_cannot_be_started_is_reported(supervised):
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(command=("/does/not/exist",), workers=1) as parent:
            await parent.until_ended()
    assert "it could not be started: No such file" in sentence(caught)


async def test_second_signal_kills_all_workers(supervised, workers):
    workers("is deaf")
    async with supervised(workers=2, drain_seconds=3600) as parent:
        await parent.until("worker ready", 2)
        signal.raise_signal(signal.SIGINT)
        await parent.until("ending")
        signal.raise_signal(signal.SIGINT)
        await parent.until_ended()


async def test_worker_that_does_not_stop_in_time_is_killed(supervised, workers):
    workers("is deaf")
    async with supervised(close_timeout=0.1, stop_timeout=0.01) as parent:
        await parent.until("worker ready")
        signal.raise_signal(signal.SIGTERM)
        await parent.until_ended()
        assert parent.events("worker ended")[0]["how"] == "killed by SIGKILL"


async def test_reload_replaces_workers_one_by_one(supervised):
    async with supervised(workers=2) as parent:
        await parent.until("worker ready", 2)
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reloaded")
        story = parent.story()
        assert story[story.index(("reloading", None)) :] == [
            ("reloading", None),
            ("worker started", 3),
            ("worker ready", 3),
            ("worker ended", 1),
            ("worker started", 1),
            ("worker ready", 1),
            ("worker ended", 2),
            ("reloaded", None),
        ]
        assert parent.numbers == [1, 3]


async def test_reload_changes_the_number_of_workers_but_not_the_port(supervised):
    async with supervised(workers=2) as parent:
        await parent.until("worker ready", 2)
        for round, count in enumerate((3, 1), 1):
            parent.settings = Settings(host="127.0.0.1", port=1, workers=count)
            signal.raise_signal(signal.SIGHUP)
            await parent.until("reloaded", round)
            assert len(parent.numbers) == count
        assert len(parent.events("HOST and PORT stay as they were: they need a restart")) == 1
        await (await trio.open_tcp_stream("127.0.0.1", parent.port)).aclose()


@pytest.mark.parametrize(("behaviour", "seconds"), [("dies", 100), ("is slow", 0.2)])
async def test_reload_whose_candidate_is_not_ready_in_time_changes_nothing(supervised, workers, behaviour, seconds):
    async with supervised(workers=2) as parent:
        await parent.until("worker ready", 2)
        workers(behaviour)
        patient, parent.settings = parent.settings, attrs.evolve(parent.settings, reload_timeout=seconds)
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reload given up: the new worker did not get ready, the others stay")
        await parent.until_true(lambda: parent.numbers == [1, 2], "only the first two workers live")
        workers("serves")
        parent.settings = patient
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reloaded")


async def test_reload_with_wrong_settings_changes_nothing(supervised):
    async with supervised() as parent:
        await parent.until("worker ready")
        parent.settings = SettingsError(["PORT must be a number"])
        signal.raise_signal(signal.SIGHUP)
        [sentence] = await parent.until("no reload: the settings cannot be used")
        assert sentence["problems"] == ["PORT must be a number"]
        assert parent.numbers == [1]


async def test_supervisor_in_a_reload_can_be_stopped(supervised, workers):
    async with supervised() as parent:
        await parent.until("worker ready")
        workers("is slow")
        signal.raise_signal(signal.SIGHUP)
        await parent.until("worker started", 2)
        signal.raise_signal(signal.SIGTERM)
        await parent.until_ended()
        assert parent.numbers == []
        assert not parent.events("reload given up: the new worker did not get ready, the others stay")
