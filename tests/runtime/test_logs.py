import io
import json
import logging

import pytest
import trio

from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import LEVELS, bind_context, configure, get_logger
from tests.timing import Clock

log = get_logger("mesaya_ws.tests")

SECRET = "hunter2"


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self):
        return True


def fail(secret):
    raise LookupError("a bug")


def test_events_have_words_a_level_a_time_a_place_and_what_they_are_about(logged):
    log.info("it rains", cats=2, dogs=("a", "b"), ids={1: 2})
    [event] = logged()
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "it rains",
        "level": "info",
        "logger": "mesaya_ws.tests",
        "cats": 2,
        "dogs": ["a", "b"],
        "ids": {"1": 2},
    }


def test_what_is_no_json_is_shown_all_the_same(logged):
    log.info("look", at={1, 2}, there=LookupError("x"))
    [event] = logged()
    assert (event["at"], event["there"]) == ("{1, 2}", "LookupError('x')")


def test_json_has_no_character_that_ends_a_line_or_commands_a_terminal(logged, capsys):
    evil = "".join(map(chr, (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029)))
    log.info("look", at=evil)
    stream = io.StringIO()
    configure("info", "json", stream)
    log.info("look", at=evil)
    assert stream.getvalue().rstrip("\n").isprintable()
    assert json.loads(stream.getvalue())["at"] == evil


def test_tracebacks_come_without_the_values_of_variables(logged):
    for logger in (log, logging.getLogger("a.library")):
        try:
            fail(SECRET)
        except LookupError:
            logger.exception("it broke")
    assert len(logged()) == 2
    for event in logged():
        assert event["exception"][0]["exc_value"] == "a bug"
        assert [frame["name"] for frame in event["exception"][0]["frames"]][-1] == "fail"
        assert SECRET not in json.dumps(event)


def test_events_of_libraries_have_the_same_form(logged):
    logging.getLogger("a.library").warning("it is %s", "late", extra={"by": 5})
    [event] = logged()
    assert {name: event[name] for name in ("event", "level", "logger", "by")} == {
        "event": "it is late",
        "level": "warning",
        "logger": "a.library",
        "by": 5,
    }


@pytest.mark.parametrize("name", ["trio-websocket", "hypercorn.error"])
def test_libraries_that_show_messages_and_passwords_are_silent_below_warnings(logged, name):
    for level in LEVELS.values():
        logging.getLogger(name).log(level, "x")
    assert [event["level"] for event in logged()] == ["warning", "error"]


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("least", LEVELS)
def test_nothing_below_the_level_is_logged(least):
    stream = io.StringIO()
    configure(least, "json", stream)
    for logger in (log, logging.getLogger("a.library")):
        for level in LEVELS.values():
            logger.log(level, "x")
    written = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert written == list(LEVELS)[list(LEVELS).index(least) :] * 2


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_the_form_is_the_one_asked_for_or_suits_the_stream(form, stream, is_json):
    configure("info", form, stream)
    log.warning("it rains", cats=2)
    try:
        fail(SECRET)
    except LookupError:
        log.exception("it broke")
    written = stream.getvalue()
    assert "it rains" in written
    assert "LookupError" in written
    assert SECRET not in written
    assert written.startswith("{") is is_json
    assert (len(written.splitlines()) == 2) is is_json, "JSON has one line an event"
    assert ("\x1b[" in written) is (isinstance(stream, Terminal) and not is_json)


@pytest.mark.usefixtures("logged")
def test_standard_error_is_where_it_goes(capsys):
    configure()
    log.info("it rains")
    assert "it rains" in capsys.readouterr().err


async def test_log_context_of_a_task_is_inherited_by_its_children_only(logged):
    async def work(name):
        bind_context(connection=name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, "begun", name)
        log.info("done", by=name)

    async def say(words, name):
        await trio.lowlevel.checkpoint()
        log.info(words, by=name)

    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            nursery.start_soon(work, name)
    log.info("all done")
    *written, last = logged()
    assert len(written) == 4
    assert all(event["connection"] == event["by"] for event in written)
    assert "connection" not in last


def written(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("logged")
@pytest.mark.slow
def test_no_kind_of_event_fills_the_log():
    stream, clock = io.StringIO(), Clock()
    configure("debug", "json", stream, LogLimiter(60, clock=clock, burst=3))
    for offset in range(5000):
        log.warning("record skipped", topic="t", reason="not_json", offset=offset)
        logging.getLogger("a.library").error("number %s is wrong", offset)
        logging.getLogger("a.library").debug("looking at %s", offset)
    log.warning("record skipped", topic="t", reason="bad_id", offset=5000)
    log.warning("record skipped", topic="u", reason="not_json", offset=5001)
    clock.now = 60.0
    log.warning("record skipped", topic="t", reason="not_json", offset=5002)
    logging.getLogger("a.library").error("number %s is wrong", 5003)
    lines = [event for event in written(stream) if event["level"] != "debug"]
    skipped = [event for event in lines if event["event"] == "record skipped"]
    assert [event["offset"] for event in skipped] == [0, 1, 2, 5000, 5001, 5002]
    assert [event.get("suppressed") for event in skipped] == [None] * 5 + [4997]
    assert ["more" in event for event in skipped] == [False, False, True, False, False, False]
    of_library = [event for event in lines if event["logger"] == "a.library"]
    assert [event["event"] for event in of_library] == [f"number {n} is wrong" for n in (0, 1, 2, 5003)]
    assert of_library[-1]["suppressed"] == 4997
    assert len(written(stream)) - len(lines) == 5000, "who asks for debug wants all"


@pytest.mark.usefixtures("logged")
def test_any_number_of_kinds_is_bounded():
    stream = io.StringIO()
    configure("info", "json", stream, LogLimiter(60, max_keys=10, clock=Clock(), burst=1))
    for number in range(1000):
        log.info("it rains", reason=f"reason {number}")
        logging.getLogger("a.library").warning(f"sentence {number}")
    assert len(written(stream)) <= 11
