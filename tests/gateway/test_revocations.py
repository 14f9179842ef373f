from contextlib import asynccontextmanager

import pytest
import trio

from mesaya_ws.core.access.revocations import Revocation, revocation_record
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.core.platform.topics import REVOCATIONS
from mesaya_ws.eventlog import open_revocation_log
from mesaya_ws.gateway.revocations import READ_BACK_SECONDS, TokenRevocations
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog
from tests.issuer import Issuer
from tests.kafka_broker import topic_configs
from tests.timing import PATIENCE

AGE = 86_400.0


@asynccontextmanager
async def following(*logs):
    """Follow each of the logs on an instance of its own."""
    instances = [TokenRevocations(log, AGE) for log in logs]
    async with trio.open_nursery() as nursery:
        for instance in instances:
            nursery.start_soon(instance.run)
        with trio.fail_after(PATIENCE):
            for instance in instances:
                await instance.ready.wait()
            yield instances
        nursery.cancel_scope.cancel()


@pytest.fixture
def log():
    return FakeLog((REVOCATIONS,))


async def test_revocation_holds_on_every_instance_and_on_those_that_start_later(log):
    now = now_ms()
    async with following(log, log) as (here, there):
        arrived = trio.Event()
        there.on_revoked = lambda revocation: arrived.set()
        assert not here.is_revoked("u1", now / 1000 - 1)
        assert await here.revoke("u1", now) == now
        assert here.is_revoked("u1", now / 1000 - 1)
        await arrived.wait()
        assert there.is_revoked("u1", None)
        assert not there.is_revoked("u1", now / 1000)
        assert not there.is_revoked("u2", None)
    async with following(log) as (later,):
        assert later.is_revoked("u1", now / 1000 - 1)


async def test_revocation_is_in_force_when_sessions_are_asked_about_it(log):
    now = now_ms()
    async with following(log) as (here,):
        seen = []
        here.on_revoked = lambda revocation: seen.append((revocation.user, here.is_revoked(revocation.user, None)))
        await here.revoke("u1", now)
    assert seen == [("u1", True)]


@pytest.mark.parametrize("lose", [lambda log: log.replace(REVOCATIONS), lambda log: log.lose_end(REVOCATIONS, 1)])
async def test_revocation_that_the_log_has_lost_stays_in_force_and_the_next_one_is_read(log, lose):
    now = now_ms()
    async with following(log) as (here,):
        await here.revoke("u1", now)
        # Whether the loss is read before the next one is appended is left to chance: often enough for both.
        for number in range(20):
            lose(log)
            assert await here.revoke(f"u1.{number}", now) == now
            assert [here.is_revoked(user, now / 1000 - 1) for user in ("u1", f"u1.{number}")] == [True, True]
        assert not here.is_revoked("u2", None)


async def test_revocation_says_no_less_than_the_one_before_it(log):
    now = now_ms()
    async with following(log) as (here,):
        await here.revoke("u1", now)
        assert await here.revoke("u1", now - 5000) == now
    assert log.appended[-1].value == log.appended[0].value


@pytest.mark.parametrize("instances", [1, 2])
async def test_of_revocations_made_at_once_the_last_record_says_the_most(log, instances):
    """Each reads what is known before either is in the log; compaction then keeps the last record alone."""
    now = now_ms()
    async with following(*[log] * instances) as here:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for number in range(4):  # in any order
                    nursery.start_soon(here[number % instances].revoke, "u1", now - number * 1000)
        assert log.appended[-1].value == revocation_record(Revocation("u1", now)).value
    compacted = FakeLog((REVOCATIONS,))
    await compacted.append([NewRecord(REVOCATIONS, log.appended[-1].value, log.appended[-1].key)])
    async with following(compacted) as (later,):
        assert later.is_revoked("u1", now / 1000 - 0.001)


async def test_each_revocation_that_is_read_is_called_for(log):
    noted = []
    now = now_ms()
    await log.append([NewRecord(REVOCATIONS, b"nonsense"), NewRecord(REVOCATIONS, None, b"u9")])
    async with following(log) as (here,):
        here.on_revoked = noted.append
        await here.revoke("u1", now)
        await here.revoke("u2", now)
    assert noted == [Revocation("u1", now), Revocation("u2", now)]


async def test_record_that_says_nothing_is_logged_and_harms_nothing(log, logged):
    await log.append([NewRecord(REVOCATIONS, b"nonsense"), NewRecord(REVOCATIONS, None, b"u9")])
    async with following(log):
        pass
    assert [(line["event"], line["offset"]) for line in logged() if line["level"] == "warning"] == [
        ("a record of the revocations' topic cannot be understood", 0)
    ]


async def test_outage_of_the_revocation_log_is_reported_and_the_instance_continues(log, autojump_clock):
    async with trio.open_nursery() as nursery:
        here = TokenRevocations(log, AGE)
        nursery.start_soon(here.run)
        await here.ready.wait()
        log.fail()
        with pytest.raises(LogUnavailableError):
            await here.revoke("u1", now_ms())
        log.recover()
        await here.revoke("u1", now_ms())
        assert here.is_revoked("u1", None)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [kind for kind in Hindrance if kind is not Hindrance.ABSENT])
async def test_revocations_that_cannot_be_read_are_waited_for_and_named(log, logged, autojump_clock, kind):
    """Or an instance that may not read them would take revoked tokens for good."""
    await log.append([revocation_record(Revocation("u1", now_ms()))])
    log.hide(REVOCATIONS, kind)
    async with trio.open_nursery() as nursery:
        here = TokenRevocations(log, AGE)
        nursery.start_soon(here.run)
        await trio.sleep(60)
        assert not here.ready.is_set()
        log.show(REVOCATIONS)
        with trio.fail_after(PATIENCE):
            await here.ready.wait()
        assert here.is_revoked("u1", None)
        nursery.cancel_scope.cancel()
    lines = [(line["level"], line["event"]) for line in logged()]
    assert lines == [
        ("warning", "the revocations of tokens cannot be read"),
        ("info", "the revocations of tokens are read again"),
    ]


async def test_topic_of_revocations_that_does_not_exist_has_revoked_nothing(log, autojump_clock):
    log.hide(REVOCATIONS, Hindrance.ABSENT)
    async with following(log) as (here,):
        assert not here.is_revoked("u1", None)


async def test_revocation_not_read_back_in_time_is_not_confirmed(log, autojump_clock):
    here = TokenRevocations(log, AGE)  # nobody reads
    before = trio.current_time()
    with pytest.raises(LogUnavailableError, match="not read back"):
        await here.revoke("u1", now_ms())
    assert trio.current_time() - before == READ_BACK_SECONDS


async def test_revocations_stay_in_the_embedded_log(tmp_path):
    settings = Settings(event_log_file=tmp_path / "log.sqlite3", jwt_public_key=Issuer("EC").pem)
    now = now_ms()
    async with (
        open_revocation_log(settings) as one,
        open_revocation_log(settings) as other,
        following(one, other) as (
            here,
            there,
        ),
    ):
        arrived = trio.Event()
        there.on_revoked = lambda revocation: arrived.set()
        await here.revoke("u1", now)
        await here.revoke("u1", now + 1)
        await arrived.wait()
    async with open_revocation_log(settings) as log, following(log) as (later,):
        assert later.is_revoked("u1", now / 1000 - 1)
        [(_, extent)] = (await log.extents()).items()
        assert extent.end == 2


async def test_no_log_of_revocations_is_opened_where_no_token_is_verified():
    async with open_revocation_log(Settings()) as log:
        assert log is None
    async with open_revocation_log(Settings(auth=False, jwt_public_key=Issuer("EC").pem)) as log:
        assert log is None


@pytest.mark.kafka
async def test_revocations_in_kafka_are_kept_by_user_and_for_as_long_as_they_count(kafka_brokers):
    settings = Settings(kafka_brokers=(kafka_brokers,), jwt_public_key=Issuer("EC").pem, jwt_max_age=AGE)
    now = now_ms()
    async with (
        open_revocation_log(settings) as one,
        open_revocation_log(settings) as other,
        trio.open_nursery() as tasks,
    ):
        here, there = TokenRevocations(one, AGE), TokenRevocations(other, AGE)
        for instance in (here, there):
            tasks.start_soon(instance.run)
        arrived = trio.Event()
        there.on_revoked = lambda revocation: arrived.set() if revocation == Revocation("u1", now) else None
        with trio.fail_after(3 * PATIENCE):
            await here.ready.wait()
            await there.ready.wait()
            await here.revoke("u1", now)
            assert here.is_revoked("u1", None)
            await arrived.wait()
        tasks.cancel_scope.cancel()
    configs = await trio.to_thread.run_sync(topic_configs, kafka_brokers, REVOCATIONS)
    assert configs["cleanup.policy"] == "compact,delete"
    assert configs["retention.ms"] == str(round(2 * AGE * 1000))
