from mesaya_ws.cli import check
from tests.fakes import FakeLog


def rows(result):
    """Return the rows of the tables that were printed."""
    return [[cell.strip() for cell in text.split("│")[1:-1]] for text in result.stdout.splitlines() if "│" in text]


def test_check_shows_the_settings_but_no_secrets(run, monkeypatch):
    for name, value in {"PUBLISH_TOKEN": "hunter2", "AUTH": "off", "KAFKA_GROUP_ID": "[b]group[/b]"}.items():
        monkeypatch.setenv(name, value)
    result = run("check")
    assert ["PUBLISH_TOKEN", "(hidden)"] in rows(result)
    assert ["KAFKA_SASL_PASSWORD", ""] in rows(result)
    assert ["AUTH", "off"] in rows(result)
    assert ["KAFKA_GROUP_ID", "[b]group[/b]"] in rows(result)
    assert "hunter2" not in result.output
    assert result.stdout.splitlines()[-1] == "All is well."
    assert result.stderr == "mesaya-ws: AUTH=off, so private channels are open to everybody.\n"


def test_check_says_which_topics_are_missing(run, monkeypatch):
    log = FakeLog(("mesa-ya.reviews.events",))
    monkeypatch.setattr(check, "open_event_log", lambda settings: log.open())
    monkeypatch.setenv("KAFKA_TOPICS", "b,mesa-ya.reviews.events,a")
    result = run("check")
    assert (result.exit_code, result.stderr) == (1, "mesaya-ws: these topics do not exist (yet): a, b.\n")


def test_check_says_that_the_log_does_not_answer(run, monkeypatch):
    log = FakeLog()
    monkeypatch.setattr(check, "open_event_log", lambda settings: log.open())
    with log.failing("the cable is out."):
        result = run("check")
    assert (result.exit_code, result.stderr) == (1, "mesaya-ws: the event log does not answer: the cable is out.\n")


def test_check_waits_for_the_log_for_a_while_only(run, monkeypatch):
    monkeypatch.setattr(check, "PATIENCE", 0.0)
    result = run("check")
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        ["mesaya-ws: the event log does not answer: no answer within 0 s."],
    )
