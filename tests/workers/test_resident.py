"""The worker that lives in its parent's process; its successors are small scripts."""

import signal
import tempfile

import pytest
import trio

from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.workers.resident import Resident, ResidentRole


class Served:
    """What the parent's process serves: when it began and was asked to go, and on which port."""

    def __init__(self):
        self.begun, self.going, self.ended = trio.Event(), trio.Event(), trio.Event()
        self.role = self.port = None

    async def serve(self, settings, role):
        self.role = role
        [listener] = await role.listeners(settings)
        self.port = listener.socket.getsockname()[1]
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(role.wait_shutdown, self.going, nursery.cancel_scope)
            await role.wait_ready(trio.Event().wait)
            self.begun.set()
            await self.going.wait()
        self.ended.set()


@pytest.fixture
def served():
    return Served()


async def test_resident_serves_the_port_alone(supervised, served):
    async with supervised(serve=served.serve) as parent:
        await served.begun.wait()
        assert served.port == parent.port
        assert parent.events("worker started") == []
        signal.raise_signal(signal.SIGTERM)
        await parent.until_ended()
    assert served.ended.is_set()
    assert not served.role.shares_port, "it answers HTTP while it goes"


async def test_reload_replaces_the_resident_by_a_process(supervised, served):
    async with supervised(serve=served.serve) as parent:
        await served.begun.wait()
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reloaded")
        assert served.ended.is_set()
        assert served.role.shares_port, "others take connections meanwhile"
        [successor] = parent.events("worker started")
        assert successor["worker"] == 2
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reloaded", 2)
        assert [entry["worker"] for entry in parent.events("worker ended")] == [1, 2]
        signal.raise_signal(signal.SIGTERM)
        await parent.until_ended()


async def test_resident_stays_when_the_candidate_is_not_ready_in_time(supervised, served, workers):
    workers("dies")
    async with supervised(serve=served.serve) as parent:
        await served.begun.wait()
        signal.raise_signal(signal.SIGHUP)
        await parent.until("reload given up: the new worker did not get ready, the others stay")
        assert not served.going.is_set()


async def test_resident_stays_when_the_settings_are_wrong(supervised, served):
    async with supervised(serve=served.serve) as parent:
        await served.begun.wait()
        parent.settings = SettingsError(["PORT must be a whole number."])
        signal.raise_signal(signal.SIGHUP)
        await parent.until("no reload: the settings cannot be used")
        assert not served.going.is_set()


async def test_resident_needs_no_temporary_directory_before_a_reload(supervised, served, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    async with supervised(serve=served.serve) as parent:
        await served.begun.wait()
        signal.raise_signal(signal.SIGHUP)
        [entry] = await parent.until("no reload: there can be no other worker")
        assert "TMPDIR" in entry["reason"]
        assert not served.going.is_set()


async def test_exception_of_the_resident_ends_the_supervisor(supervised):
    async def serve(settings, role):
        raise SettingsError(["the log is none"])

    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(serve=serve) as parent:
            await parent.until_ended()
    assert caught.group_contains(SettingsError)


async def test_second_signal_cancels_the_resident(supervised, served):
    async def deaf(settings, role):
        served.begun.set()
        await trio.sleep_forever()

    async with supervised(serve=deaf) as parent:
        await served.begun.wait()
        signal.raise_signal(signal.SIGTERM)
        await parent.until("ending")
        signal.raise_signal(signal.SIGINT)
        await parent.until_ended()


async def test_role_of_the_resident_renders_its_own_metrics():
    worker = Resident(1, Settings(), lambda settings, role: None)
    assert await ResidentRole(worker, []).render_metrics(lambda: b"metrics") == b"metrics"
    assert not worker.accepts
