"""An issuer's keys are read in time, and not too often; it may be down, slow or wrong."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.tokens import BadToken, Flaw
from mesaya_ws.gateway.answers import ANSWER_SECONDS
from mesaya_ws.gateway.authenticator import Authenticator
from mesaya_ws.gateway.jwks import (
    ANSWER_BYTES,
    ASKED_SECONDS,
    ASKER_SECONDS,
    KEPT_SECONDS,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    PublishedKeys,
)
from mesaya_ws.runtime.metrics import Metrics
from tests.fakes import always
from tests.issuer import NOW, RULES, Issuer
from tests.timing import PATIENCE

URL = "http://127.0.0.1:1/keys"
OLD, NEW = Issuer("Ed25519", "old", 1), Issuer("Ed25519", "new", 2)


def document(*issuers):
    return json.dumps({"keys": [issuer.jwk for issuer in issuers]}).encode()


def streamed(status, content):
    """Return an answer of which nothing has been read yet."""
    return httpx.Response(status, stream=httpx.ByteStream(content))


class AuthService:
    """The issuer, as a transport: it publishes keys, or `fails` with a status, after `seconds`."""

    def __init__(self, *issuers):
        self.issuers, self.status, self.seconds, self.asked_at, self.open = issuers, 200, 0.0, [], 0

    async def answer(self, request):
        assert (request.method, str(request.url)) == ("GET", URL)
        self.asked_at.append(trio.current_time())
        self.open += 1
        assert self.open == 1, "two requests at a time"
        try:
            await trio.sleep(self.seconds)
        finally:
            self.open -= 1
        return streamed(self.status, document(*self.issuers))

    async def transport_to(self, url):
        await trio.lowlevel.checkpoint()
        return httpx.MockTransport(self.answer)


class Nothing:
    def __init__(self):
        self.ready = trio.Event()
        self.ready.set()

    def is_revoked(self, user, issued_at):
        return False


@asynccontextmanager
async def following(service):
    """Follow the keys of a service."""
    keys = PublishedKeys(URL, Metrics(), service.transport_to)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.run)
        with trio.fail_after(10 * KEPT_SECONDS):
            yield keys
        nursery.cancel_scope.cancel()


def ids(keys):
    return [key.id for key in keys.keys]


async def test_keys_are_read_at_the_start_and_every_five_minutes(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        assert ids(keys) == ["old"]
        before = keys.keys
        await trio.sleep(REFRESH_SECONDS + 1)
        assert keys.keys is before, "the same keys, the same object"
        service.issuers = (OLD, NEW)
        await trio.sleep(REFRESH_SECONDS)
        assert ids(keys) == ["old", "new"]
    first, *others = service.asked_at
    assert [round(at - first) for at in others] == [REFRESH_SECONDS, 2 * REFRESH_SECONDS]


async def test_issuer_that_fails_at_the_start_is_asked_again(autojump_clock):
    service = AuthService(OLD)
    service.status = 503
    async with following(service) as keys:
        await trio.sleep(RETRY_SECONDS * 2.5)
        assert (len(service.asked_at), keys.ready.is_set()) == (3, False)
        assert await keys.refresh() is False
        service.status = 200
        await trio.sleep(RETRY_SECONDS + 1)
        assert keys.ready.is_set()


@pytest.mark.slow
async def test_keys_are_kept_for_a_day_while_the_issuer_fails(autojump_clock, logged):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        service.status = 500
        await trio.sleep(KEPT_SECONDS - REFRESH_SECONDS)
        assert ids(keys) == ["old"]
        await trio.sleep(2 * REFRESH_SECONDS)
        assert ids(keys) == []
        service.status = 200
        await trio.sleep(RETRY_SECONDS)
        assert ids(keys) == ["old"]
    events = [line["event"] for line in logged()]
    assert events == [
        "keys of tokens",
        "the key set of tokens cannot be read",
        "the keys of tokens are too old to be used: no token can be verified",
        "keys of tokens",
        "the key set of tokens is read again",
    ]


async def test_failure_is_logged_with_its_reason_and_counted(autojump_clock, logged):
    service = AuthService(OLD)
    service.status = 302
    async with following(service) as keys:
        await trio.sleep(1)
        assert keys._metrics.key_readings == {"failed": 1}
    [line] = logged()
    assert (line["level"], line["reason"], line["url"]) == ("warning", "it answers 302", URL)


async def test_unknown_key_makes_one_reading_for_all_who_ask(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        service.issuers, service.seconds = (OLD, NEW), 1.0
        answers = []

        async def ask():
            answers.append((await keys.refresh(), trio.current_time()))

        asked_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
        assert answers == [(True, asked_at + 1.0)] * 100
        assert (len(service.asked_at), ids(keys)) == (2, ["old", "new"])


async def test_unknown_keys_cause_one_reading_in_30_seconds_whatever_comes(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        begin, answers = trio.current_time(), []
        while trio.current_time() < begin + 3 * ASKED_SECONDS:
            answers.append(await keys.refresh())
            await trio.sleep(0.9)
        assert len(service.asked_at) == 1 + answers.count(True)
        assert answers.count(True) in (3, 4)
        assert [after - before for before, after in zip(service.asked_at[1:], service.asked_at[2:], strict=False)] >= [
            ASKED_SECONDS
        ]


async def test_who_asks_waits_two_seconds_at_most_and_the_reading_goes_on(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        service.issuers, service.seconds = (NEW,), 4.0
        before = trio.current_time()
        assert await keys.refresh() is False
        assert trio.current_time() == before + ASKER_SECONDS
        await trio.sleep(1)
        # Who comes meanwhile waits for the same one.
        assert await keys.refresh() is True
        assert trio.current_time() == before + 4
        assert (ids(keys), len(service.asked_at)) == (["new"], 2)


async def test_issuer_that_does_not_answer_is_given_up(autojump_clock):
    service = AuthService(OLD)
    service.seconds = 1e6
    async with following(service) as keys:
        await trio.sleep(ANSWER_SECONDS + RETRY_SECONDS + 1)
        assert len(service.asked_at) == 2
        assert keys._metrics.key_readings == {"failed": 1}


async def test_who_asked_and_is_cancelled_harms_nobody(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        service.seconds = 1.0
        with trio.move_on_after(0.5):
            await keys.refresh()
        assert await keys.refresh() is True


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its answer is not JSON"),
        (b"<html>", "its answer is not JSON"),
        (b"[" * 60_000, "its answer is not JSON"),
        (b"[]", "is no JSON Web Key Set: it has no list `keys`"),
        (b'{"keys": []}', "holds no key that tokens can be verified with"),
        (b" " * (ANSWER_BYTES + 1), f"it answers more than {ANSWER_BYTES} bytes"),
        (document(*[OLD] * 17), "holds more than 16 keys"),
    ],
)
async def test_bad_answer_changes_nothing(autojump_clock, logged, content, reason):
    answers = [document(OLD), content]
    transport = httpx.MockTransport(lambda _: streamed(200, answers.pop(0) if answers else b""))
    keys = PublishedKeys(URL, Metrics(), always(transport))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.run)
        with trio.fail_after(RETRY_SECONDS / 2):
            await keys.ready.wait()
            assert await keys.refresh() is False
        nursery.cancel_scope.cancel()
    assert ids(keys) == ["old"]
    assert [line["reason"] for line in logged() if line["level"] == "warning"] == [reason]


@pytest.mark.slow
async def test_fault_of_a_library_ends_nothing(autojump_clock):
    def explode(_):
        raise RuntimeError("of its own")

    keys = PublishedKeys(URL, Metrics(), always(httpx.MockTransport(explode)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.run)
        await trio.sleep(RETRY_SECONDS * 1.5)
        nursery.cancel_scope.cancel()
    assert keys._metrics.key_readings == {"failed": 2}


async def test_token_of_a_new_key_is_good_and_of_none_is_bad_or_not_known(autojump_clock):
    service = AuthService(OLD)
    async with following(service) as keys:
        await keys.ready.wait()
        ask = Authenticator(keys, RULES, Nothing(), Metrics(), lambda: NOW).authenticate
        service.issuers = (OLD, NEW)
        assert isinstance(await ask(NEW.token()), Identity)
        stranger = Issuer("Ed25519", "stranger", 3).token()
        # The key may have been published since.
        assert await ask(stranger) is Unavailable.KEYS
        await trio.sleep(ASKED_SECONDS)
        assert await ask(stranger) == BadToken(Flaw.UNKNOWN_KEY)


async def serve_once(answers, requests, stream):
    """Answer requests on a connection, each by the next of the answers."""
    received = b""
    while data := await stream.receive_some():
        received += data
        if received.endswith(b"\r\n\r\n"):
            requests.append(received)
            received = b""
            await stream.send_all(answers.pop(0))


def answered(status, body, *fields):
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return head.encode() + b"\r\n" + body


async def test_keys_are_read_from_a_real_server_which_may_send_nobody_elsewhere():
    answers = [
        answered("302 Found", b"", "Location: /other"),
        answered("200 OK", document(OLD, NEW), "Content-Type: application/json"),
    ]
    requests = []
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, lambda stream: serve_once(answers, requests, stream), [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/.well-known/jwks.json"
        keys = PublishedKeys(url, metrics := Metrics())
        nursery.start_soon(keys.run)
        with trio.fail_after(PATIENCE):
            # A reading that has begun is waited for: the first one leads elsewhere.
            assert await keys.refresh() is False
            assert (metrics.key_readings, len(requests)) == ({"failed": 1}, 1)
            assert await keys.refresh() is True
        nursery.cancel_scope.cancel()
    assert (ids(keys), len(requests)) == (["old", "new"], 2)
    assert requests[1].startswith(b"GET /.well-known/jwks.json HTTP/1.1\r\n")
    assert b"Accept-Encoding: identity" in requests[1]
    assert b"authorization" not in requests[1].lower()
