"""Up to where two logs, which were one, hold the same records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.epochs import Epochs


def known(*begun: tuple[int, int]) -> Epochs:
    epochs = Epochs()
    for offset, number in begun:
        epochs.begin(offset, number)
    return epochs


def epochs_of(log: list[int]) -> Epochs:
    """Return what is known of a log whose records were written in these epochs."""
    epochs = Epochs()
    for offset, number in enumerate(log):
        epochs.begin(offset, number)
    return epochs


def written(counts: list[int], first: int) -> list[int]:
    return [number for number, count in enumerate(counts, first) for _ in range(count)]


COUNTS = st.lists(st.integers(0, 4), max_size=5)


@given(shared=COUNTS, goes_on=st.integers(0, 4), one=COUNTS, other=COUNTS, data=st.data())
def test_logs_agree_up_to_where_they_were_one(shared, goes_on, one, other, data):
    """One of them goes on in the epoch in which the other one was copied, as who writes it does not notice."""
    both = written([*shared, 1], 100)
    ours = both + both[-1:] * goes_on + written(one, 200)
    theirs = both + written(other, 300)
    offset = data.draw(st.integers(0, min(len(ours), len(theirs))))
    assert epochs_of(ours).agreed(epochs_of(theirs), offset) == min(len(both), offset)
    assert epochs_of(theirs).agreed(epochs_of(ours), offset) == min(len(both), offset)


@pytest.mark.parametrize(
    ("ours", "theirs", "offset", "agreed"),
    [
        ([], [], 9, 9),
        ([(0, 1)], [], 9, 9),
        ([], [(0, 1)], 9, 9),
        ([(5, 1)], [(5, 2)], 5, 5),
        ([(0, 1)], [(4, 2)], 9, 4),
        ([(6, 1)], [(4, 2)], 9, 4),
        ([(8, 3)], [(0, 1), (4, 3), (7, 4)], 9, 7),
    ],
    ids=["neither", "not theirs", "not ours", "before both", "before theirs", "after theirs", "a place alone"],
)
def test_what_is_not_known_is_no_objection(ours, theirs, offset, agreed):
    assert known(*ours).agreed(known(*theirs), offset) == agreed
