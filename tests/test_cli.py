import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesaya_ws.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a directory of its own, on an embedded log."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA_BROKERS", "EVENT_LOG", "AUTH", "PORT"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)

    return invoke


def line(topic="mesa-ya.reviews.events", value="x", **more):
    return json.dumps({"topic": topic, "value": value, **more}) + "\n"


def test_produce_appends_and_check_shows_it(run):
    result = run("produce", "-", stdin=line() + line(value={"a": 1}, key="k") + "\n" + line(value=None))
    assert (result.exit_code, result.stderr) == (0, f"3 records appended to {Path.cwd() / 'mesaya-ws.sqlite3'}.\n")
    checked = run("check")
    assert checked.exit_code == 0
    [row] = [text for text in checked.stdout.splitlines() if "reviews.events" in text and "│ 3" in text]
    assert row


def test_produce_reads_files_and_brings_samples(run, tmp_path):
    (tmp_path / "records.jsonl").write_text(line() * 450)
    assert run("produce", "records.jsonl").stderr.startswith("450 records appended to ")
    assert run("produce", "--sample").stderr.startswith("69 records appended to ")


def test_produce_keeps_a_rate(run):
    assert run("produce", "-", "--rate", "1000", stdin=line() * 5).stderr.startswith("5 records appended to ")


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
    assert sentence in result.stderr
    assert result.stderr.startswith("mesaya-ws: ")
    assert len(result.stderr.splitlines()) == 1


def test_produce_wants_one_source(run):
    assert run("produce").exit_code == 2
    assert run("produce", "-", "--sample").exit_code == 2


@pytest.mark.parametrize("command", [["serve"], ["produce", "--sample"], ["check"], ["tail", "global:restaurants"]])
def test_bad_settings_are_told_without_a_traceback(run, monkeypatch, command):
    monkeypatch.setenv("PORT", "x")
    result = run(*command)
    assert (result.exit_code, result.stderr) == (2, "mesaya-ws: PORT must be a whole number, not 'x'.\n")


def test_check_hides_secrets(run, monkeypatch):
    monkeypatch.setenv("PUBLISH_TOKEN", "hunter2")
    result = run("check")
    assert "PUBLISH_TOKEN" in result.stdout
    assert "hunter2" not in result.output


def test_a_file_that_is_no_log(run, tmp_path):
    (tmp_path / "mesaya-ws.sqlite3").write_text("these are not the bytes of a database" * 50)
    for command in (["check"], ["produce", "--sample"], ["serve"]):
        result = run(*command)
        assert result.exit_code == 1, command
        # `serve` may warn before of what the machine does not allow.
        assert "is not an event log" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


def test_version(run):
    assert run("--version").stdout.startswith("mesaya-ws, version ")
