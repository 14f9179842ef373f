import os
import socket
import subprocess
import sys
import time

from load.process import Observed, family, listening, machine_cpu


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


def test_who_stands_still_does_nothing():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        busy = Observed(child.pid)
        with busy.standing_still():
            before = busy.cpu()
            time.sleep(0.05)
            assert busy.cpu() == before
        until = time.monotonic() + 30
        while busy.cpu() == before and time.monotonic() < until:
            pass
        assert busy.cpu() > before
        child.kill()


def test_the_machine_has_done_what_this_process_has_done():
    assert machine_cpu() >= Observed.here().cpu() > 0


def test_writes_are_counted():
    here = Observed.here()
    before = here.writes()
    with open(os.devnull, "wb", buffering=0) as nothing:
        nothing.writelines(b"x" for _ in range(50))
    assert here.writes() - before >= 50
