"""The platform's API is asked for parents that no record has named; it may be down, slow or wrong."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from structlog.typing import EventDict
from trio.testing import MockClock

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS, topic_of
from mesaya_ws.core.wire.frames import payload_of
from mesaya_ws.gateway import platform_api
from mesaya_ws.gateway.platform_api import PlatformApi
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings
from tests.backend import Backend, restaurant, serving
from tests.fakes import FakeLog, always
from tests.support.instance import a_feed, written
from tests.timing import PATIENCE, check_best_of

PLAN = parse_channel("restaurant:R:tables")


class Instance:
    """An instance that follows a log, and asks the API of what it lacks."""

    def __init__(
        self, log: FakeLog, url: str, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> None:
        self.log = log
        self.metrics = Metrics()
        if transport is not None:
            options["transport_to"] = always(transport)
        self.api = PlatformApi(log, Settings(platform_api_url=url), self.metrics, **options)
        self.feed = a_feed(seconds=1e9, max_bytes=1 << 30, request_parent=self.api.request_parent)
        self.live = trio.Event()
        self._received = trio.Event()

    def is_missing(self, parent: str) -> bool:
        return self.feed.known.is_missing(parent)

    async def receive(self, news: LogEvent) -> None:
        self.feed.ingest(news, 0)
        for _ in self.feed.process(0):
            pass
        if self.feed.live:
            self.live.set()
        self._received.set()
        self._received = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds after the log has said something, or a tick has passed."""
        with trio.fail_after(PATIENCE):
            while not condition():
                with trio.move_on_after(0.01):
                    await self._received.wait()

    def published(self) -> list[str]:
        """Return the types of all messages so far."""
        return [orjson.loads(payload_of(one.frame))["type"] for _, one in self.feed.window._order]

    def tables(self) -> list[str]:
        return [table["tableId"] for table in written(self.feed.states.snapshot(PLAN))["tables"]]

    async def table(self, id: str, section: str) -> None:
        """Have the platform say something of a table."""
        value = {"event_type": "updated", "entity_id": id, "data": {"sectionId": section, "status": "OCCUPIED"}}
        await self.log.append([NewRecord(topic_of("tables"), orjson.dumps(value))])

    async def subscription(self, id: str, restaurant: str) -> None:
        data = {"subscriptionId": id, "restaurantId": restaurant}
        value = {"event_type": "created", "entity_subtype": "subscription", "entity_id": id, "data": data}
        await self.log.append([NewRecord(topic_of("subscriptions"), orjson.dumps(value))])


@asynccontextmanager
async def running(
    url: str, transport: httpx.AsyncBaseTransport | None = None, log: FakeLog | None = None, **options: Any
) -> AsyncIterator[Instance]:
    instance = Instance(log or FakeLog((*TOPICS, PARENTS_TOPIC)), url, transport, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.log.follow, instance.receive)
        nursery.start_soon(instance.api.run, instance.live, instance.is_missing)
        await instance.live.wait()
        yield instance
        nursery.cancel_scope.cancel()


@pytest.fixture
def backend() -> Iterator[Backend]:
    with serving(*(restaurant(f"X{number}", f"x{number}") for number in range(45))) as backend:
        backend.restaurants.append(restaurant("R", "s", "s2", owner="u", tables=2))
        yield backend


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


# What is asked, and what comes of it


async def test_a_section_is_found_with_all_that_stands_in_it(backend: Backend):
    async with running(backend.url) as instance:
        await instance.table("s-1", "s")
        await instance.until(lambda: len(instance.published()) == 2)
        assert instance.published() == ["section.created", "section.created"]
        assert instance.tables() == ["s-1", "s-2", "s2-1", "s2-2"]
        assert written(instance.feed.states.snapshot(PLAN))["tables"][0]["status"] == "occupied"
        await instance.table("s2-1", "s2")
        await instance.until(lambda: len(instance.published()) == 3)
    pages = [f"/api/v1/restaurants?page={page}&limit=20" for page in (1, 2, 3)]
    assert backend.asked == pages, "what is known is not asked for"
    assert instance.metrics.questions == {"answered": 1}


async def test_who_owns_a_restaurant_is_found(backend: Backend):
    async with running(backend.url) as instance:
        await instance.subscription("a", "R")
        await instance.until(lambda: not instance.feed.known.is_missing("restaurant:R"))
        await instance.subscription("b", "R")
        await instance.until(instance.published)
    assert backend.asked == ["/api/v1/restaurants/R"]


async def test_what_does_not_exist_is_asked_for_once(backend: Backend):
    async with running(backend.url) as instance:
        for number in range(3):
            await instance.table("t", "nowhere")
            await instance.subscription(f"sub{number}", "nowhere")
            await instance.until(lambda: instance.metrics.questions == {"unknown": 2})
        assert sum("?" not in target for target in backend.asked) == 1
        assert len(backend.asked) == 4
        assert instance.published() == []


async def test_nothing_is_asked_while_the_history_is_read(backend: Backend):
    log = FakeLog((*TOPICS, PARENTS_TOPIC))
    await Instance(log, backend.url).table("t", "s")
    instance = Instance(log, backend.url)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.api.run, trio.Event(), instance.is_missing)
        nursery.start_soon(log.follow, instance.receive)
        await instance.live.wait()
        assert instance.feed.known.is_missing("section:s")
        nursery.cancel_scope.cancel()
    assert backend.asked == []
    async with running(backend.url, log=log) as instance:
        await instance.until(lambda: instance.tables() == ["t", "s-1", "s-2", "s2-1", "s2-2"])


async def test_several_instances_may_ask(backend: Backend):
    log = FakeLog((*TOPICS, PARENTS_TOPIC))
    async with running(backend.url, log=log) as one, running(backend.url, log=log) as other:
        await one.table("s-1", "s")
        for instance in (one, other):
            await instance.until(lambda instance=instance: instance.metrics.questions)
            await instance.until(lambda instance=instance: len(instance.published()) == 2)
        assert one.tables() == other.tables()
        assert [frame for _, (*_, frame, _) in one.feed.window._order] == [
            frame for _, (*_, frame, _) in other.feed.window._order
        ]


# What can go wrong


def refuse(handler) -> None:
    handler.answer(503, {"message": "out of order"})


def redirect(handler) -> None:
    handler.answer(301, {})


def hang(handler) -> None:
    handler.server.released.wait()


def drip(handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def flood(handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65_536))
    except OSError:
        handler.close_connection = True


def break_off(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    handler.close_connection = True


def talk_nonsense(handler) -> None:
    handler.wfile.write(b"nonsense\r\n\r\n")
    handler.close_connection = True


def say(body: object) -> Callable[..., None]:
    return lambda handler: handler.answer(200, body)


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        (refuse, "it answers 503"),
        (redirect, "it answers 301"),
        (hang, "within"),
        (drip, "within"),
        (flood, "more than 1048576 bytes"),
        (break_off, ""),
        (talk_nonsense, ""),
        (say(b"<html>"), "not JSON"),
        (say(b'"text"'), "not a JSON object"),
        (say([]), "not a JSON object"),
        (say({}), "rows in `data`"),
        (say({"data": {"id": "R"}}), "rows in `data`"),
    ],
)
@pytest.mark.slow
async def test_an_api_that_is_no_help_is_reported_once_and_asked_again(
    backend: Backend, logged: list[EventDict], misbehave, reason
):
    backend.misbehave = misbehave
    async with running(backend.url, pause=0.02, answer_timeout=1.5) as instance:
        await instance.table("s-1", "s")
        await instance.until(lambda: instance.metrics.questions.get("failed", 0) >= 2)
        assert instance.published() == []
        (warning,) = logged
        assert warning["log_level"] == "warning"
        assert reason in warning["reason"]
        backend.misbehave = None
        instance.api._answer_timeout = 10.0
        await instance.until(lambda: len(instance.published()) == 2)
        await instance.until(lambda: len(logged) == 2)
    assert logged[1]["event"] == "the platform's API answers again"


async def test_an_api_that_is_not_there(logged: list[EventDict]):
    async with running("http://127.0.0.1:9/api/v1", pause=0.02) as instance:
        await instance.table("s-1", "s")
        await instance.until(lambda: instance.metrics.questions.get("failed", 0) >= 2)
    assert [entry["event"] for entry in logged] == ["the platform's API is of no help"]


# Lies and limits: in a time of their own, without sockets


@pytest.mark.parametrize(
    "fault",
    [
        httpx.InvalidURL("no host"),
        httpx.StreamClosed(),
        UnicodeError("label too long"),
        RuntimeError(),
        ExceptionGroup("of a nursery", [ValueError("x")]),
    ],
    ids=repr,
)
async def test_whatever_is_thrown_only_its_question_ends(autojump_clock: MockClock, logged: list[EventDict], fault):
    def answer(request: httpx.Request) -> object:
        if "/broken" in str(request.url):
            raise fault
        return restaurant("R", owner="u")

    answers = Answers(answer)
    async with running("http://backend", answers) as instance:
        await instance.subscription("a", "broken")
        await trio.sleep(1)
        await instance.subscription("b", "R")
        await trio.sleep(60)
        assert not instance.feed.known.is_missing("restaurant:R")
        assert instance.metrics.questions == {"failed": 1, "answered": 1}
    assert answers.targets == ["/restaurants/broken", "/restaurants/R"], "what fails so is not asked again soon"
    assert logged[0]["exc_info"] is True
    assert logged[1]["event"] == "the platform's API answers again"


async def test_a_client_that_cannot_be_made_ends_nothing(logged: list[EventDict]):
    async def fail(_: str) -> httpx.AsyncBaseTransport:
        await trio.lowlevel.checkpoint()
        raise FileNotFoundError("no authorities")

    async with running("https://127.0.0.1:9/api", pause=0.02, transport_to=fail) as instance:
        await instance.table("t", "s")
        await instance.until(lambda: instance.metrics.questions.get("failed", 0) >= 2)
    assert logged[0]["reason"] == "no authorities"


@pytest.mark.parametrize(
    "sections",
    [
        [{"id": "s"}, *({"id": f"s{number}"} for number in range(6_600))],
        [{"id": "s", "tables": [{"id": f"t{number}", "capacity": 4} for number in range(4_900)]}],
        [{"id": "s", "tables": [{f"field{number}": number for number in range(19_000)}]}],
    ],
    ids=["many sections", "many tables", "many fields"],
)
async def test_the_largest_answer_does_not_hold_the_loop(autojump_clock: MockClock, sections):
    def whole(request: httpx.Request) -> object:
        return {"data": [{"id": "R", "sections": sections}]}

    answers = Answers(whole)
    async with running("http://backend", answers) as instance:
        instance.feed.known.is_missing = lambda parent: True

        async def append(records: list[NewRecord]) -> None:
            appended.append(len(records))

        async def look() -> None:
            appended.clear()
            instance.api._answered.clear()
            instance.api.request_parent("section:s")
            await instance.until(lambda: appended)

        # What the log makes of it is not measured here.
        instance.log.append, appended = append, []
        await check_best_of(look)
    assert appended[0] == len(sections) + 1


async def test_what_has_too_many_fields_is_no_entity(autojump_clock: MockClock):
    fields = {f"field{number}": number for number in range(15_000)}
    answers = Answers(lambda request: {"data": [{"id": "R", "sections": [{"id": "s", **fields}]}]})
    async with running("http://backend", answers) as instance:
        instance.feed.known.is_missing = lambda parent: True

        async def look() -> None:
            instance.metrics.questions.clear()
            instance.api._answered.clear()
            instance.api.request_parent("section:s")
            await instance.until(lambda: instance.metrics.questions)
            assert instance.metrics.questions == {"unknown": 1}

        await check_best_of(look)


async def test_an_answer_of_too_many_values_is_no_help(autojump_clock: MockClock, logged: list[EventDict]):
    answers = Answers(lambda request: {"data": [{"id": "R", "sections": [{}] * platform_api.ANSWER_NODES}]})
    async with running("http://backend", answers) as instance:
        await instance.table("t", "s")
        await instance.until(lambda: instance.metrics.questions == {"failed": 1})
    assert logged[0]["reason"] == f"it answers more than {platform_api.ANSWER_NODES} members of objects and lists"


class Answers(httpx.MockTransport):
    """Answers questions at once, and knows when each was asked."""

    def __init__(self, answer: Callable[[httpx.Request], object]) -> None:
        super().__init__(self._respond)
        self.answer = answer
        self.times: list[float] = []
        self.targets: list[str] = []
        self.open = 0

    async def _respond(self, request: httpx.Request) -> httpx.Response:
        assert self.open == 0, "one question at a time"
        self.open += 1
        self.times.append(trio.current_time())
        self.targets.append(request.url.raw_path.decode())
        await trio.sleep(0.1)
        self.open -= 1
        body = self.answer(request)
        return httpx.Response(body) if isinstance(body, int) else httpx.Response(200, content=_in_parts(body))


async def _in_parts(body: object) -> AsyncIterator[bytes]:
    raw = orjson.dumps(body)
    yield raw[:5]
    await trio.lowlevel.checkpoint()
    yield raw[5:]


def nothing(request: httpx.Request) -> object:
    return {"data": []}


@pytest.mark.parametrize(
    "lie",
    [
        {"data": [restaurant("R", "another")]},
        {"data": [None, 5, [], {}, {"id": 5}, {"sections": [{"id": "s"}]}, {"id": "a b", "sections": [{"id": "s"}]}]},
        {"data": [{"id": "R", "sections": {"id": "s"}}, {"id": "R", "sections": ["s", None]}]},
    ],
)
async def test_what_says_nothing_of_what_was_asked_is_not_appended(autojump_clock: MockClock, lie: object):
    async with running("http://backend", Answers(lambda request: lie)) as instance:
        await instance.table("t", "s")
        await instance.until(lambda: instance.metrics.questions == {"unknown": 1})
        assert len(instance.log.appended) == 1


async def test_another_restaurant_than_was_asked_for_is_not_appended(autojump_clock: MockClock):
    answers = Answers(lambda request: restaurant("another", "s"))
    async with running("http://backend", answers) as instance:
        await instance.subscription("a", "R")
        await instance.until(lambda: instance.metrics.questions == {"unknown": 1})
        assert len(instance.log.appended) == 1


async def test_a_list_without_pages_or_without_end_is_left(autojump_clock: MockClock):
    rows = [restaurant(f"X{number}") for number in range(50)]
    same = Answers(lambda request: {"data": rows})
    async with running("http://backend", same) as instance:
        await instance.table("t", "s")
        await instance.until(lambda: instance.metrics.questions == {"unknown": 1})
    assert len(same.times) == 2
    endless = Answers(lambda request: {"data": [restaurant(f"{len(endless.times)}-{n}") for n in range(20)]})
    async with running("http://backend", endless, max_pages=7) as instance:
        await instance.table("t", "s")
        await instance.until(lambda: instance.metrics.questions == {"unknown": 1})
    assert len(endless.times) == 7


@pytest.mark.slow
async def test_a_flood_of_unknown_parents_asks_little(autojump_clock: MockClock):
    answers = Answers(lambda request: {"data": []} if "?" in str(request.url) else 404)
    async with running("http://backend", answers) as instance:
        for number in range(3000):
            await instance.table(f"t{number}", f"s{number}")
            await instance.subscription(f"sub{number}", f"r{number}")
        await trio.sleep(600)
        assert len(instance.api._wanted) <= platform_api.WAITING
        assert len(instance.api._answered) <= platform_api.ANSWERED
        assert not instance.published()
    times = answers.times
    assert len(times) > 200
    for number in range(len(times) - platform_api.QUESTIONS_PER_MINUTE):
        assert times[number + platform_api.QUESTIONS_PER_MINUTE] - times[number] > 59.99


async def test_the_same_is_asked_again_after_a_while(autojump_clock: MockClock):
    answers = Answers(nothing)
    async with running("http://backend", answers) as instance:
        for _ in range(20):
            await instance.table("t", "s")
            await trio.sleep(platform_api.ASK_AGAIN / 10)
    assert len(answers.times) == 2


async def test_after_a_failure_others_come_first(autojump_clock: MockClock):
    def answer(request: httpx.Request) -> object:
        return 500 if "broken" in str(request.url) else restaurant("R", owner="u") if "/R" in str(request.url) else {}

    answers = Answers(answer)
    async with running("http://backend", answers) as instance:
        await instance.subscription("a", "broken")
        await trio.sleep(1)
        await instance.subscription("b", "R")
        await trio.sleep(60)
        assert not instance.feed.known.is_missing("restaurant:R")
    assert answers.targets[:3] == ["/restaurants/broken", "/restaurants/R", "/restaurants/broken"]
    assert answers.times[1] - answers.times[0] >= platform_api.PAUSE


async def test_an_answer_with_too_much_in_it_is_not_read(autojump_clock: MockClock, logged: list[EventDict]):
    answers = Answers(lambda request: {"data": [{}] * platform_api.ANSWER_NODES})
    async with running("http://backend", answers) as instance:
        await instance.table("t", "s")
        await trio.sleep(1)
        assert [entry["reason"] for entry in logged if entry["log_level"] == "warning"] == [
            f"it answers more than {platform_api.ANSWER_NODES} members of objects and lists"
        ]


async def test_what_the_log_does_not_take_is_let_go(autojump_clock: MockClock, logged: list[EventDict]):
    large = {"data": [{"id": "R", "sections": [{"id": "s"}], "name": ""}]}
    large["data"][0]["name"] = "x" * (platform_api.ANSWER_BYTES - len(orjson.dumps(large)))
    answers = Answers(lambda request: large)
    async with running("http://backend", answers) as instance:
        await instance.table("t", "s")
        await trio.sleep(100)
        assert [entry["reason"] for entry in logged if entry["log_level"] == "warning"] == [
            f"A record for {PARENTS_TOPIC} is too large."
        ]
    assert len(answers.times) == 1
