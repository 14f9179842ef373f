"""Who is on a channel, while the processes that know it are killed and replaced."""

import os
import resource
import signal
from contextlib import ExitStack

import pytest

from tests.support.gateway import running

from .onlookers import Onlookers

pytestmark = pytest.mark.faults

WRONG_FOR = 20.5
"""Seconds for which a number may be wrong, and what it takes to see it."""

PER_SECOND = 1_500
TOGETHER = 10


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request):
    """Return the settings of the log that gateways use."""
    if request.param == "sqlite":
        return {}
    from tests.kafka_broker import create_topics

    broker = request.getfixturevalue("kafka_broker")
    create_topics(broker.address)
    return {"KAFKA_BROKERS": broker.address}


@pytest.fixture
def count():
    """Return how many clients there are: 200, or as PRESENCE_CLIENTS says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    yield int(os.environ.get("PRESENCE_CLIENTS", "200"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_presence_while_gateways_are_killed_and_replaced(log, count, tmp_path):
    with ExitStack() as stack:
        numbers = iter(range(100))

        def start():
            name = f"gateway-{next(numbers)}"
            return stack.enter_context(running(tmp_path, name=name, DRAIN_SECONDS="4", CLOSE_TIMEOUT="1", **log))

        gateways = [start(), start(), start()]
        onlookers = Onlookers(count, TOGETHER, [gateway.port for gateway in gateways])
        stack.callback(onlookers.close)
        onlookers.watch(40, lambda: onlookers.are_right)
        assert onlookers.are_right, onlookers.wrong()
        before = sum(onlookers.changes.values())

        # One is killed: its clients go to the others, where they are counted twice until it is known to be gone.
        killed = gateways.pop(0)
        onlookers.ports.remove(killed.port)
        os.kill(killed.pid, signal.SIGKILL)
        onlookers.watch(3)
        onlookers.watch(30, lambda: onlookers.are_right)
        assert onlookers.are_right, onlookers.wrong()
        after_kill = sum(onlookers.changes.values()) - before

        # A rolling restart: the next one is there before each is stopped.
        for gateway in gateways:
            successor = start()
            onlookers.ports.append(successor.port)
            onlookers.ports.remove(gateway.port)
            gateway.process.send_signal(signal.SIGTERM)
            onlookers.watch(20, lambda gateway=gateway: gateway.process.poll() is not None)
            assert gateway.process.returncode == 0
        onlookers.watch(2)
        onlookers.watch(30, lambda: onlookers.are_right)
        assert onlookers.are_right, onlookers.wrong()
        after_restart = sum(onlookers.changes.values()) - before - after_kill

    most = max(onlookers.changes.values(), default=0)
    assert onlookers.longest_wrong < WRONG_FOR
    assert most <= 3 * PER_SECOND
    # Both changes of the kill, and of each restart a few, for each client.
    assert after_kill <= 6 * count
    assert after_restart <= 12 * count
