"""The wheel holds what the service needs, and nothing else."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from mesaya_ws.environment import load_settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    [path] = folder.glob("*.whl")
    return set(ZipFile(path).namelist())


@pytest.mark.slow
def test_every_module_is_there(wheel):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mesaya_ws").rglob("*.py")}
    assert modules <= wheel


@pytest.mark.slow
def test_so_is_what_is_not_code(wheel):
    assert {"mesaya_ws/py.typed", "mesaya_ws/samples/captured.jsonl", "mesaya_ws/web/protocol/asyncapi.css"} <= wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


@pytest.mark.slow
def test_so_is_the_client_for_browsers(wheel):
    package = json.loads((ROOT / "mesaya_ws/web/client/package.json").read_text())
    files = ("package.json", *package["files"])
    assert {f"mesaya_ws/web/client/{name}" for name in files} <= wheel


@pytest.mark.slow
def test_so_is_all_that_the_console_loads(wheel):
    folder = ROOT / "mesaya_ws" / "web" / "console"
    files = {str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file()}
    assert "mesaya_ws/web/console/index.html" in files
    assert files <= wheel


@pytest.mark.slow
def test_nothing_else_is(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"mesaya_ws"}


def test_a_container_is_reached_from_outside_though_auth_is_off(tmp_path):
    image = dict(
        re.findall(r"(\w+)=(\S+)", re.search(r"^ENV (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)[1])
    )
    composed = dict(re.findall(r"^      (\w+): (\S+)", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    for environment in (image, {"HOST": composed["HOST"]}):
        assert load_settings({**environment, "AUTH": "off"}, tmp_path).host == "0.0.0.0"


def test_the_composed_service_is_open_to_this_machine_alone():
    ports = re.findall(r'^      - "(\S+:\d+)"', (ROOT / "compose.yaml").read_text(), re.MULTILINE)
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_lock_names_every_dependency_and_no_registry():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lock.splitlines() if "==" in line}
    for requirement in wanted:
        name = requirement.split("[")[0].split("=")[0].split(">")[0].strip().lower()
        assert name in pinned, name
    assert "://" not in lock


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_what_a_run_leaves_behind_is_not_in_the_repository():
    """Or every checkout would begin with the state of whoever committed it."""
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert listed.stdout == ""
