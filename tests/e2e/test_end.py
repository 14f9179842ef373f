"""How a gateway ends: by one signal, by two, with nobody, with thousands."""

import resource
import signal
from collections import Counter

import pytest

from tests.e2e.client import connected
from tests.e2e.crowd import crowd
from tests.e2e.raw import raw
from tests.support.wire import handshake

MANY = 2000


@pytest.fixture
def few_files():
    """As many open files as most systems allow a process that does not ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_clients_are_sent_away(start_gateway, few_files):
    gateway = start_gateway(DRAIN_SECONDS="1", CLOSE_TIMEOUT="30")
    with crowd(gateway.port, MANY) as clients:
        assert gateway.health()["connections"] == MANY
        gateway.send_signal(signal.SIGTERM)
        clients.until(lambda member: member.socket.fileno() < 0, "its connection has ended")
        assert Counter(member.code for member in clients.members) == {1012: MANY}
    assert gateway.wait() == 0


def test_clients_that_do_not_take_part_do_not_hold_up_the_end(start_gateway):
    gateway = start_gateway(CLOSE_TIMEOUT="1")
    with connected(gateway.url) as client, raw(gateway.port) as half, raw(gateway.port) as silent:
        half.send(b"GET /health HTTP/1.1\r\n")
        silent.shake_hands()
        gateway.send_signal(signal.SIGINT)
        assert client.closed_with() == 1012
        assert gateway.wait() == 0


def test_draining_gateway_admits_nobody_and_ends_at_a_second_signal(start_gateway):
    gateway = start_gateway(DRAIN_SECONDS="3600", CLOSE_TIMEOUT="600")
    with connected(gateway.url), raw(gateway.port) as half, raw(gateway.port) as late:
        half.send(b"GET /health HTTP/1.1\r\n")
        gateway.send_signal(signal.SIGTERM)
        gateway.event("draining")
        assert gateway.request("/health/ready")[0] == 503
        assert gateway.health()["reasons"] == ["This instance is going away."]
        late.send(handshake())
        assert late.refusal() == (503, "draining")
        gateway.send_signal(signal.SIGINT)
        assert gateway.wait() == 0
        assert gateway.logged("ending at once")
