"""Several workers that share a port, as an operator runs them."""

import fcntl
import os
import signal
import subprocess
import termios
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.client import Client, connected
from tests.e2e.command import MESAYA_WS, environment, produce, run
from tests.e2e.records import announced
from tests.support.gateway import END_TIMEOUT, START_TIMEOUT, Gateway, until
from tests.timing import PATIENCE

CHANNEL = "global:announcements"


def titles(client: Client, count: int) -> list[str]:
    """Return the ids of the next announcements."""
    return [client.receive()["data"]["announcementId"] for _ in range(count)]


def lives(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while its file is read
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and that run."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def kill(pid: int) -> None:
    """End a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def ready(gateway: Gateway) -> dict[int, int]:
    """Return the processes of the workers that take connections, by their numbers."""
    pids = {entry["worker"]: entry["pid"] for entry in gateway.logged("worker started")}
    count = Counter(entry["worker"] for entry in gateway.logged("worker ready"))
    for event in ("worker ended", "worker ended by itself"):
        count.subtract(entry["worker"] for entry in gateway.logged(event))
    return {number: pids[number] for number in count if count[number]}


def wait_for_workers(gateway: Gateway, count: int) -> dict[int, int]:
    """Return what `ready` does, once there are so many."""
    gateway.until(lambda: len(ready(gateway)) == count, START_TIMEOUT, f"{count} workers are ready")
    return ready(gateway)


@pytest.fixture
def gateway(start_gateway) -> Gateway:
    """A gateway with two workers that are ready."""
    gateway: Gateway = start_gateway(WORKERS="2")
    wait_for_workers(gateway, 2)
    return gateway


@contextmanager
def clients_of_both(gateway: Gateway) -> Iterator[dict[int, list[Client]]]:
    """Connect until both workers have a client that receives announcements; yield the clients by worker."""
    clients: dict[int, list[Client]] = {1: [], 2: []}

    def open_now(number: int) -> float:
        return gateway.metric("mesaya_connections", worker=str(number))

    with ExitStack() as stack:

        def one_more() -> bool:
            client = stack.enter_context(connected(gateway.url))
            client.subscribe(CHANNEL)
            [number] = gateway.until(
                lambda: [number for number in clients if open_now(number) > len(clients[number])],
                PATIENCE,
                "it is known whose client it is",
            )
            clients[number].append(client)
            return all(clients.values())

        until(one_more, START_TIMEOUT, "both workers have a client")
        yield clients


def test_all_workers_show_everything_and_their_metrics_add_up(gateway, tmp_path):
    with clients_of_both(gateway) as by_worker:
        clients = [client for some in by_worker.values() for client in some]
        produce(tmp_path, map(announced, range(3)))
        assert [titles(client, 3) for client in clients] == [["a0", "a1", "a2"]] * len(clients)
        sent = 3 * len(clients)
        gateway.until(
            lambda: gateway.metric("mesaya_messages_sent_total") == sent, PATIENCE, "all messages are counted"
        )
        assert gateway.metric("mesaya_connections") == gateway.metric("mesaya_connections_opened_total") == len(clients)
        for number, some in by_worker.items():
            assert gateway.metric("mesaya_messages_sent_total", worker=str(number)) == 3 * len(some)


def test_killed_worker_is_replaced_and_other_workers_clients_stay(gateway, tmp_path):
    first = ready(gateway)
    with clients_of_both(gateway) as by_worker:
        os.kill(first[1], signal.SIGKILL)
        assert [client.closed_with() for client in by_worker[1]] == [1006] * len(by_worker[1])
        produce(tmp_path, [announced(1)])
        assert [titles(client, 1) for client in by_worker[2]] == [["a1"]] * len(by_worker[2])
        second = wait_for_workers(gateway, 2)
        assert second[1] != first[1]
        assert second[2] == first[2]
        gateway.until(
            lambda: gateway.metric("mesaya_connections", worker="1") == 0, PATIENCE, "the new one counts anew"
        )
        gateway.until(
            lambda: gateway.metric("mesaya_worker_restarts_total", worker="0") == 1,
            PATIENCE,
            "the parent counts restarts",
        )
        assert [client.ask(type="ping")["type"] for client in by_worker[2]] == ["pong"] * len(by_worker[2])


def test_a_reload_replaces_all_workers_and_refuses_nobody(gateway, tmp_path):
    before = ready(gateway)
    (tmp_path / ".env").write_text("MAX_SUBSCRIPTIONS=1\n")
    with visitors(gateway) as outcomes:
        gateway.send_signal(signal.SIGHUP)
        gateway.event("reloaded", 2 * START_TIMEOUT)
        gateway.until(lambda: outcomes["served"] > 20, START_TIMEOUT, "some were served")
    assert set(outcomes) <= {"served", "closed with 1012"}, outcomes
    after = ready(gateway)
    assert len(after) == 2
    assert set(after.values()).isdisjoint(before.values())
    assert not any(map(lives, before.values()))
    with connected(gateway.url) as client:
        client.subscribe(CHANNEL)
        assert client.ask(type="subscribe", channel="global:restaurants")["code"] == "too_many_subscriptions"


def test_stopped_supervisor_drains_its_workers(gateway):
    workers = ready(gateway)
    with clients_of_both(gateway) as by_worker:
        gateway.send_signal(signal.SIGTERM)
        for some in by_worker.values():
            assert [client.closed_with() for client in some] == [1012] * len(some)
    assert gateway.wait() == 0
    assert not any(map(lives, workers.values()))


def test_when_it_is_killed_its_workers_end(gateway):
    workers = ready(gateway)
    with clients_of_both(gateway) as by_worker:
        gateway.kill()
        for some in by_worker.values():
            assert [client.closed_with() for client in some] == [1012] * len(some)
    until(lambda: not any(map(lives, workers.values())), START_TIMEOUT, "the workers have ended")


def test_when_it_is_killed_the_port_is_free_though_clients_still_leave(start_gateway):
    killed = start_gateway(WORKERS="2", DRAIN_SECONDS="3600")
    with ExitStack() as stack:
        for pid in wait_for_workers(killed, 2).values():
            stack.callback(kill, pid)
        client = stack.enter_context(connected(killed.url))
        client.subscribe(CHANNEL)
        killed.kill()
        until(lambda: len(killed.logged("draining")) == 2, START_TIMEOUT, "both workers have received it")
        start_gateway(PORT=str(killed.port))
        assert client.ask(type="ping")["type"] == "pong"


def test_one_worker_is_one_process(start_gateway):
    gateway = start_gateway(WORKERS="1")
    assert children(gateway.pid) == []
    assert "worker=" not in gateway.request("/metrics")[2].decode()


# One worker, which is reloaded like several


@contextmanager
def visitors(gateway: Gateway) -> Iterator[Counter[str]]:
    """Have clients come and go; yield what becomes of them, which is complete afterwards."""
    enough = threading.Event()
    outcomes: Counter[str] = Counter()

    def come_and_go() -> None:
        while not enough.is_set():
            try:
                with connected(gateway.url) as client:
                    client.subscribe(CHANNEL)
                outcomes["served"] += 1
            except ConnectionClosed as closed:  # its worker went meanwhile
                outcomes[f"closed with {closed.rcvd and closed.rcvd.code}"] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody should meet it
                outcomes[repr(error)] += 1

    comers = [threading.Thread(target=come_and_go) for _ in range(4)]
    for comer in comers:
        comer.start()
    try:
        yield outcomes
    finally:
        enough.set()
        for comer in comers:
            comer.join()


def test_one_worker_is_reloaded_without_refusing_anybody_and_reads_everything_again(start_gateway, tmp_path):
    (tmp_path / ".env").write_text("PUBLISH_TOKEN=old\n")
    gateway = start_gateway()
    gateway.settings["PUBLISH_TOKEN"] = "old"
    assert gateway.announce("before") == 201
    with connected(gateway.url) as client, visitors(gateway) as outcomes:
        client.subscribe(CHANNEL)
        (tmp_path / ".env").write_text("PUBLISH_TOKEN=new\n")
        gateway.send_signal(signal.SIGHUP)
        gateway.event("reloaded", 2 * START_TIMEOUT)
        assert client.closed_with() == 1012
        served = outcomes["served"]
        gateway.until(lambda: outcomes["served"] > served + 10, START_TIMEOUT, "the new worker has served some")
    assert set(outcomes) <= {"served", "closed with 1012"}, outcomes
    assert gateway.announce("with a token that is no more") == 401
    gateway.settings["PUBLISH_TOKEN"] = "new"
    assert gateway.announce("after") == 201
    [first] = children(gateway.pid)
    gateway.send_signal(signal.SIGHUP)
    gateway.until(lambda: len(gateway.logged("reloaded")) == 2, 2 * START_TIMEOUT, "it is reloaded again")
    [second] = children(gateway.pid)
    assert not lives(first)
    assert gateway.announce("after that") == 201
    assert gateway.stop() == 0
    assert not lives(second)


def test_one_worker_stays_when_the_settings_are_wrong(start_gateway, tmp_path):
    gateway = start_gateway()
    with connected(gateway.url) as client:
        (tmp_path / ".env").write_text("MAX_SUBSCRIPTIONS=0\n")
        gateway.send_signal(signal.SIGHUP)
        assert "MAX_SUBSCRIPTIONS" in str(gateway.event("no reload: the settings cannot be used")["problems"])
        assert client.ask(type="ping")["type"] == "pong"


def test_one_worker_becomes_several(start_gateway, tmp_path):
    gateway = start_gateway()
    (tmp_path / ".env").write_text("WORKERS=2\n")
    gateway.send_signal(signal.SIGHUP)
    gateway.event("reloaded", 2 * START_TIMEOUT)
    assert len(children(gateway.pid)) == 2


def test_a_terminal_that_is_closed_ends_it_in_order(tmp_path):
    ours, theirs = os.openpty()
    settings = environment({"HOST": "127.0.0.1", "PORT": "0", "AUTH": "off", "DRAIN_SECONDS": "0"})
    with subprocess.Popen(
        [*MESAYA_WS, "serve"],
        cwd=tmp_path,
        env=settings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        try:
            shown = b""
            while b"listening" not in shown:
                shown += os.read(ours, 4096)
            process.send_signal(signal.SIGHUP)
            while b"reloaded" not in shown:
                shown += os.read(ours, 4096)
            os.close(ours)
            assert process.wait(END_TIMEOUT) == 0
        finally:
            process.kill()


def test_what_keeps_workers_from_serving_is_reported(tmp_path):
    (tmp_path / "mesaya-ws.sqlite3").write_text("these are not the bytes of a database" * 50)
    done = run(tmp_path, "serve", "--workers", "2", PORT="0", LOG_LEVEL="error")
    assert done.returncode == 1
    assert "is not an event log of mesaya-ws" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "mesaya-ws: The worker ended before it could serve anybody (exit code 1); what it said is above."
    )
