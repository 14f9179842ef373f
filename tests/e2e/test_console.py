"""The console in a real browser, on a real gateway: what each page shows, and that everybody can use it."""

import os
import re
import subprocess
import sys

import pytest

from tests.e2e.node import FOLDER, install, required

TOKEN = "a token of the tests"
PAGES = ("shell", "floor", "watch", "chat", "connections", "health", "publish")


@pytest.mark.parametrize("page", PAGES)
def test_page(start_gateway, page):
    gateway = start_gateway(PUBLISH_TOKEN=TOKEN)
    run(page, gateway)


def run(name, gateway, **variables):
    """Run the tests of a file of `tests/node/console` against a gateway."""
    node, chromium = install(), required("chromium")
    ours = {"CHROMIUM": chromium, "GATEWAY": f"http://127.0.0.1:{gateway.port}", "PUBLISH_TOKEN": TOKEN}
    command = [node, "--test", "--test-reporter=tap", f"console/{name}.test.mjs"]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env=os.environ | ours | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    sys.stdout.write(done.stdout)
    counts = dict(re.findall(r"^# (tests|pass|skipped) (\d+)$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(counts["tests"]) > 2
    assert counts["pass"] == counts["tests"]
