import signal
import subprocess
import sys

import pytest

from tests.e2e.test_workers import lives
from tests.support.gateway import until
from tests.timing import PATIENCE

SESSION = """
import subprocess, sys
from tests import guardian
guardian.start()
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
for command in ("import time; time.sleep(600)", deaf if sys.argv[1] == "deaf" else "import time; time.sleep(600)"):
    child = subprocess.Popen([sys.executable, "-S", "-c", command], start_new_session=True)
    print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, None])
@pytest.mark.parametrize("kind", ["obedient", "deaf"])
def test_what_was_started_ends_with_whoever_started_it(number, kind):
    with subprocess.Popen(
        [sys.executable, "-c", SESSION, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        children = [int(session.stdout.readline()) for _ in range(2)]
        if number is None:
            session.stdin.close()
        else:
            session.send_signal(number)
        session.wait(PATIENCE)
        until(lambda: not any(map(lives, children)), PATIENCE, "the children have ended")
        assert not any(map(lives, children))
