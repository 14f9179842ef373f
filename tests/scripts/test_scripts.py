"""The scripts run as the documentation shows them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import environment

ROOT = Path(__file__).parents[2]
RESULTS = [ROOT / "scripts" / "benchmarks" / "RESULTS.md", ROOT / "tests" / "faults" / "README.md"]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *RESULTS]
HELPFUL = ("bench", "growth", "loadtest.py", "responsive", "kafka")


def shown():
    """Return the names of all scripts that the documentation shows."""
    return set(re.findall(r"\bscripts/([\w.]+)(?![\w./])", "".join(page.read_text() for page in PAGES)))


def test_every_script_that_is_shown_can_be_run():
    assert {*HELPFUL, "serve", "test", "check", "reference.py"} <= shown()
    for name in shown():
        assert (ROOT / "scripts" / name).stat().st_mode & 0o100, name


def options(name):
    """Return the options with which the pages show a script in their blocks."""
    lines = re.findall(rf"^scripts/{name} (.*)$", "\n".join(page.read_text() for page in PAGES), re.MULTILINE)
    return {word for line in lines for word in shlex.split(line, comments=True) if word.startswith("--")}


def usage(*command, cwd):
    done = subprocess.run(
        [*command, "--help"], cwd=cwd, env=environment({}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
    return done.stdout


@pytest.mark.parametrize("name", HELPFUL)
def test_scripts_have_the_options_that_are_shown(name, tmp_path):
    text = usage(ROOT / "scripts" / name, cwd=tmp_path)
    assert [option for option in options(name) if not re.search(rf"{option}\b", text)] == []


def test_tests_of_faults_have_the_options_that_are_shown():
    text = usage(sys.executable, "-m", "pytest", "tests/faults", cwd=ROOT)
    assert options("test") == {"--write-results"}
    assert "--write-results" in text


def test_options_that_are_shown_are_found():
    assert options("bench") >= {"--turns", "--markdown", "--quick"}
    assert options("growth") == {"--plot"}


def test_the_reference_is_written_by_its_script(tmp_path):
    done = subprocess.run([ROOT / "scripts" / "reference.py"], cwd=tmp_path, env=environment({}), check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("older", [[], ["3.10.13", "2.7.18"]])
def test_every_python_from_3_11_on_is_found_whether_or_not_there_are_older_ones(older, tmp_path):
    newer = ["3.98.2", "3.98.10", "3.99.0"]
    for number, version in enumerate([*newer, *older]):
        python = tmp_path / f"python3.{11 + number}"
        python.write_text(f"#!/bin/sh\necho {version}\n")
        python.chmod(0o755)
    [function] = re.findall(r"^pythons\(\) \{.*?^\}$", (ROOT / ".ci" / "run").read_text(), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{function}\npythons"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYENV_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split()[0] for line in done.stdout.splitlines()]
    assert found[-3:] == newer, "each once, the oldest first"
    assert not {*older, "3.11"} & {*found}
