"""The benchmarks run: each of their own gateways takes what it is fed, and clients receive it all."""

import subprocess
import sys

import pytest

from tests.e2e.command import environment
from tests.scripts.test_scripts import ROOT
from tests.timing import PATIENCE

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("case", "server"), [("channels", "mesaya-ws"), ("channels", "floor"), ("end-to-end", "mesaya-ws sqlite")]
)
def test_server_that_is_compared_loses_nothing(case, server, tmp_path):
    page = tmp_path / "page.md"
    command = ("benchmarks", "--case", case, "--server", server, "--duration", "0.5", "--markdown", page)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"}),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heads, _, row = (line.split("|") for line in page.read_text().splitlines() if line.startswith("|"))
    figures = dict(zip((head.strip() for head in heads), (cell.strip() for cell in row), strict=True))
    assert figures["lost"] == "0", done.stdout
    assert float(figures["deliveries/s"].replace(",", "")) > 0, done.stdout
