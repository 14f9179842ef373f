import resource

import pytest

from mesaya_ws.runtime.file_limits import RESERVED, allow_connections

INFINITE = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch):
    """The limits of a process that nobody but the test can see: [soft, hard]."""
    limits = [1024, 4096]

    def change(_, new):
        assert new[1] == limits[1], "the hard limit could never be raised again"
        limits[:] = new

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", change)
    return limits


@pytest.mark.parametrize(
    ("before", "wanted", "allowed", "after"),
    [
        ((1024, 4096), 500, 500, 1024),
        ((1024, 4096), 2000, 2000, 2000 + RESERVED),
        ((1024, 4096), 50_000, 4096 - RESERVED, 4096),
        ((1024, INFINITE), 50_000, 50_000, 50_000 + RESERVED),
        ((INFINITE, INFINITE), 50_000, 50_000, INFINITE),
        ((64, 64), 50_000, 32, 64),
    ],
)
def test_limit_of_open_files_is_raised_as_far_as_possible(limits, before, wanted, allowed, after):
    limits[:] = before
    assert allow_connections(wanted) == allowed
    assert limits == [after, before[1]]


def test_limit_of_open_files_is_read_from_the_system():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert allow_connections(1) == 1
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
