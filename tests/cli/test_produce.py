import json
from pathlib import Path

import pytest
import trio
import trio.testing

from mesaya_ws.cli import produce
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog

REVIEW = {"timestamp": "2026-01-20T15:00:00.000Z", "event_type": "created", "entity_id": "v1", "data": {"id": "v1"}}


def line(topic="mesa-ya.reviews.events", value=REVIEW, **more):
    return json.dumps({"topic": topic, "value": value, **more}) + "\n"


def test_produce_appends_and_check_shows_it(run):
    result = run("produce", "-", stdin=line() + line(value=json.dumps(REVIEW), key="k") + "\n" + line(value=None))
    assert (result.exit_code, result.stderr) == (0, f"3 records appended to {Path.cwd() / 'mesaya-ws.sqlite3'}.\n")
    checked = run("check")
    assert checked.exit_code == 0
    [_] = [text for text in checked.stdout.splitlines() if "reviews.events" in text and "│ 3" in text]


def test_produce_reads_files_and_brings_samples(run, tmp_path):
    (tmp_path / "records.jsonl").write_text(line() * 450)
    assert run("produce", "records.jsonl").stderr.startswith("450 records appended to ")
    assert run("produce", "--sample").stderr.startswith("95 records appended to ")


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("nonsense\n", "line 1 is not JSON"),
        (line() + "[]\n", 'line 2 is not {"topic", "key", "value"}'),
        (line(key=5), "line 1 has a key that is not text"),
        ('{"topic": "t"}\n', "line 1 is not"),
        (line(topic="unknown"), "unknown"),
    ],
)
def test_bad_lines_get_one_sentence(run, stdin, sentence):
    result = run("produce", "-", stdin=stdin)
    assert result.exit_code == 1
    *warnings, last = result.stderr.splitlines()
    assert sentence in last
    assert last.startswith("mesaya-ws: ")
    assert " records were appended to " in last
    assert "not known" not in last
    assert all(text.startswith("mesaya-ws: warning: ") for text in warnings)


def test_produce_keeps_the_rate_that_is_asked_for():
    log = FakeLog(clock=trio.current_time)
    records = [NewRecord("mesa-ya.reviews.events", b"x")] * 5
    clock = trio.testing.MockClock(autojump_threshold=0)
    progress = produce._Progress("the log")
    trio.run(produce._produce, Settings(), iter(records), 2.0, progress, lambda _: log.open(), clock=clock)
    assert (progress.appended, progress.under_way) == (5, 0)
    first, *others = (record.timestamp for record in log.appended)
    assert [time - first for time in others] == pytest.approx([500, 1000, 1500, 2000], abs=1)


class SlowLog(FakeLog):
    """Takes five seconds for everything."""

    async def append(self, records):
        await trio.sleep(5)
        return await super().append(records)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            Settings(kafka_brokers=("kafka:9092",)),
            "Kafka does not answer at kafka:9092: there is no answer in time: see whether the broker is well, and the "
            "way to it; still trying.",
        ),
        (
            Settings(event_log_file=Path("/var/log.sqlite3")),
            "/var/log.sqlite3 cannot be written yet: another program writes it, or the disk is slow; still trying.",
        ),
    ],
)
def test_produce_says_once_why_it_waits(capsys, settings, sentence):
    log = SlowLog(clock=trio.current_time)
    records = [NewRecord("mesa-ya.reviews.events", b"x")] * 450
    progress = produce._Progress("the log")
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(produce._produce, settings, iter(records), None, progress, lambda _: log.open(), clock=clock)
    assert progress.appended == 450
    assert capsys.readouterr().err == f"mesaya-ws: {sentence}\n"


def test_produce_says_when_the_log_does_not_take_records(run, monkeypatch):
    log = FakeLog()
    monkeypatch.setattr(produce, "open_event_log", lambda settings: log.open())
    with log.failing("the fake log is out of order."):
        result = run("produce", "--sample")
    name = Path.cwd() / "mesaya-ws.sqlite3"
    ending = f"0 records were appended to {name}; of 95 more it is not known whether they were."
    assert (result.exit_code, result.stderr) == (1, f"mesaya-ws: the fake log is out of order. {ending}\n")


def test_produce_says_what_was_appended_before_an_error(run):
    result = run("produce", "-", stdin=line() * 250 + "nonsense\n")
    assert result.exit_code == 1
    assert result.stderr.startswith("mesaya-ws: line 251 is not JSON")
    assert result.stderr.endswith(f" 200 records were appended to {Path.cwd() / 'mesaya-ws.sqlite3'}.\n")


def test_produce_warns_of_what_will_not_be_understood(run):
    result = run("produce", "-", stdin=line() + line(value="no JSON") * 12 + line(value=None))
    assert result.exit_code == 0
    assert "14 records appended to " in result.stderr
    warned = [text for text in result.stderr.splitlines() if text.startswith("mesaya-ws: warning: line ")]
    assert [text.split()[3] for text in warned] == [str(number) for number in range(2, 12)]
    assert all(" will not be understood: " in text for text in warned)
    assert "mesaya-ws: warning: 2 more will not be understood." in result.stderr.splitlines()


def test_produce_wants_one_source(run):
    assert run("produce").exit_code == 2
    assert run("produce", "-", "--sample").exit_code == 2
