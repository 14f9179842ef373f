import subprocess
from io import StringIO

import pytest
from benchmarks.memory import KEPT, before, change, remember, remembered, state_of
from rich.console import Console


def cases(value, server="ours", name="paced"):
    return {name: {server: {"CPU µs/delivery": value}}}


def shown(table):
    console = Console(width=200, file=StringIO())
    console.print(table)
    return console.file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "bench.json"


def test_before_is_the_latest_run_of_another_state(path):
    for state, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        remember(path, state, cases(value))
    assert before(remembered(path), "c", cases(4.0)) == ("b", cases(2.0))
    assert before(remembered(path), "d", cases(4.0)) == ("c", cases(3.0))
    assert before(remembered(path), "d", cases(4.0, name="wide")) is None
    remember(path, "a", cases(5.0))
    assert before(remembered(path), "d", cases(4.0)) == ("a", cases(5.0)), "what was measured last counts"


def test_cases_of_one_state_come_together(path):
    remember(path, "a", cases(1.0))
    remember(path, "a", cases(2.0, name="wide"))
    assert remembered(path) == {"a": cases(1.0) | cases(2.0, name="wide")}


def test_not_all_is_remembered(path):
    for number in range(KEPT + 5):
        remember(path, str(number), cases(1.0))
    assert list(remembered(path)) == [str(number) for number in range(5, KEPT + 5)]


def test_a_change_is_seen_beside_the_yardstick():
    old = {"paced": {"ours": {"CPU µs/delivery": 4.0}, "floor": {"CPU µs/delivery": 2.0}}}
    new = {"paced": {"ours": {"CPU µs/delivery": 2.0}, "floor": {"CPU µs/delivery": 3.0}}}
    assert [line.split() for line in shown(change("abc", old, new, "ours", "floor")).splitlines()][2:] == [
        ["paced", "CPU", "µs/delivery", "4.00", "2.00", "0.50", "1.50"]
    ]


def test_the_state_of_a_work_tree_is_its_commit_and_its_changes(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(("git", *identity, *arguments), cwd=tmp_path, check=True, capture_output=True)

    git("init")
    file = tmp_path / "file"
    file.write_text("1")
    git("add", "file")
    git("commit", "-m", "x")
    clean = state_of(tmp_path)
    file.write_text("2")
    changed = state_of(tmp_path)
    file.write_text("3")
    assert changed.startswith(f"{clean}+")
    assert state_of(tmp_path) not in (clean, changed)
    git("commit", "-am", "y")
    assert state_of(tmp_path) not in (clean, changed)
