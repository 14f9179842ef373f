from io import StringIO

import attrs
import pytest
from load.histogram import Histogram
from load.plan import Plan
from load.report import as_json, table, warnings
from load.result import Result
from rich.console import Console

NOTHING = {attribute.name: 0 for attribute in attrs.fields(Result)}
QUIET = Result(
    **NOTHING
    | {
        name: Histogram()
        for name in (attribute.name for attribute in attrs.fields(Result))
        if name.endswith(("opening", "latency", "lag", "catching_up"))
    }
    | {"failures": {}, "moments": []}
)


def late(microseconds: int) -> Histogram:
    histogram = Histogram()
    histogram.record(microseconds)
    return histogram


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"client_cpu_share": 0.9}, "The load test itself was too busy"),
        ({"feed_cpu_share": 0.9}, "The load test itself was too busy"),
        ({"machine_share": 0.95, "cpu_share": 1.1, "load_cpu": 0.8}, "1.1 of them with the server, 0.8 with the load"),
        ({"machine_share": 0.95, "cpu_share": None, "load_cpu": 0.8}, "All cores were busy, 0.8 with the load test"),
        ({"others_cpu": 0.3}, "Other programs"),
        ({"cuts": 500, "cuts_planned": 1000}, "Only 500 of 1,000 cuts took place"),
        ({"lag": late(30_000)}, "The load test itself was late, by 30 ms or more"),
        ({"misrouted": 1}, "on channels that they do not belong to"),
    ],
)
def test_what_must_be_known_before_the_figures_are_believed_is_said(found, words):
    (warning,) = warnings(attrs.evolve(QUIET, **found))
    assert words in warning


def test_nothing_is_said_of_a_run_that_nothing_disturbed():
    assert warnings(attrs.evolve(QUIET, cuts=990, cuts_planned=1000, machine_share=0.5)) == []


def test_report_says_how_many_connections_were_cut():
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table(Plan(run="x"), attrs.evolve(QUIET, cuts=990, cuts_planned=1000)))
    assert "of 1,000; who is not back cannot be cut" in shown.get()


def test_the_json_says_what_limited():
    rendered = as_json(attrs.evolve(QUIET, machine_share=0.95))
    assert (rendered["client_limits"], rendered["machine_limits"]) == (False, True)


def test_latencies_as_tokens_end_are_shown_beside_how_late_the_load_test_was():
    result = attrs.evolve(
        QUIET, expiring_latency=late(40_000), calm_latency=late(20_000), expiring_lag=late(3000), calm_lag=late(2000)
    )
    console = Console(width=120, record=True, file=StringIO())
    console.print(table(Plan(run="x", expiring=True), result))
    shown = console.export_text()
    for figure in ("40.0 ms", "before 20.0 ms", "3.0 ms", "before 2.0 ms"):
        assert figure in shown


def test_bystanders_of_a_storm_are_shown_apart_from_those_who_have_missed_something():
    result = attrs.evolve(
        QUIET,
        storm_seconds=3.0,
        storm_latency=late(70_000),
        storm_opening=late(80_000),
        catching_up=late(90_000),
        bystander_storm_latency=late(5000),
        replay_latency=late(60_000),
        bystander_replay_latency=late(6000),
    )
    console = Console(width=120, record=True, file=StringIO())
    console.print(table(Plan(run="x", storm=True), result))
    shown = " ".join(console.export_text().split())
    for figure in (
        "live events meanwhile: p99 70.0 ms",
        "answer p99 80.0 ms",
        "all received p99 90.0 ms",
        "after the answers 60.0 ms",
        "bystanders p99 5.0 ms in the storm",
        "bystanders p99 6.0 ms after the answers",
    ):
        assert figure in shown
