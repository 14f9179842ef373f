import os
import socket
import subprocess
import sys
import time

from load.process import Observed, family, listening


def test_time_and_memory_of_this_process():
    here = Observed(os.getpid())
    before = here.cpu()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert here.cpu() > before
    assert here.memory() > 1_000_000


def test_children_belong_to_their_parent():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in family(os.getpid())
        child.communicate(b"\n")
    assert child.pid not in family(os.getpid())


def test_whoever_listens_is_found_by_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listening(port) == Observed(os.getpid())
    assert listening(port) is None


def test_a_process_that_has_gone_uses_nothing():
    gone = Observed(2**22 + 1)
    assert gone.cpu() == 0
    assert gone.memory() == 0
