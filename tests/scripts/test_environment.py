"""How a checkout gets its environment: quickly, one at a time, and anew when it was left half-made.

The project is a tiny one with a build backend of its own, so that nothing is fetched.
"""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import until

MAKE = Path(__file__).parents[2] / "scripts" / "make_environment.py"

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1"
"""

BACKEND = """
import zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name

build_wheel = build_editable
"""


class Checkout:
    """A checkout of the tiny project."""

    def __init__(self, root):
        self.root, self.home = root, root / ".venv"
        (root / "pyproject.toml").write_text(PROJECT)
        (root / "backend.py").write_text(BACKEND)
        (root / "requirements.lock").write_text("")

    def start(self):
        command = [sys.executable, MAKE, self.root, self.home, "run"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)

    def make(self):
        """Make the environment; return what was said."""
        with self.start() as process:
            _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said

    def works(self):
        done = subprocess.run([self.home / "bin" / "python", "-c", "import tiny, pip"], check=False)
        return done.returncode == 0


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_it_is_made_once_and_then_left_alone(checkout):
    said = checkout.make()
    assert "Making .venv with Python" in said
    assert "Installing" in said
    assert checkout.works()
    assert checkout.make() == ""
    (checkout.root / "requirements.lock").write_text("# something else\n")
    said = checkout.make()
    assert "Installing" in said
    assert "Making" not in said, "what is sound is kept"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_interrupted_is_made_anew(checkout, number):
    with checkout.start() as process:
        until((checkout.home / "bin").exists, 60, "the environment is under way")
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
    if number == signal.SIGINT:
        assert "Interrupted; the next start makes .venv anew." in said
        assert "Traceback" not in said
    assert "Making .venv" in checkout.make()
    assert checkout.works()


def test_one_that_cannot_install_is_made_anew(checkout):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout.home], check=True)
    assert "Making .venv" in checkout.make()
    assert checkout.works()


def test_progress_names_packages_as_they_come(capsys):
    show_progress = runpy.run_path(str(MAKE))["show_progress"]
    lines = [
        "  Installing build dependencies: started",
        "Collecting python-snappy (from kafka-python[crc32c,lz4,snappy,zstd]==2.3.0)",
        "Collecting trio==0.31.0",
        "Building wheels for collected packages: tiny",
        "Installing collected packages: trio, tiny",
    ]
    show_progress(lines, period=0)
    assert capsys.readouterr().err.splitlines() == [
        "  1 packages: python-snappy",
        "  2 packages: trio",
        "  2 packages: putting them in place",
    ]


def test_two_at_once_do_not_meet(checkout):
    with checkout.start() as one, checkout.start() as other:
        said = [process.communicate(timeout=120)[1] for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), said
    assert sorted("Making" in words for words in said) == [False, True]
    assert checkout.works()


def test_what_fails_is_reported_and_tried_again(checkout):
    (checkout.root / "backend.py").write_text("raise SystemExit('no such thing')\n")
    with checkout.start() as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.endswith("Installing failed; why is above. The next start tries it again.\n")
    (checkout.root / "backend.py").write_text(BACKEND)
    checkout.make()
    assert checkout.works()
