"""Users who were erased, the last ones."""

from itertools import count

from mesaya_ws.core.interactions.erased_users import MAX_ERASED, ErasedUsers
from mesaya_ws.core.state.tracking import Tracked
from tests.timing import seconds


def test_draft_knows_the_same_and_changes_nothing():
    erased = ErasedUsers(Tracked())
    erased.add("u1", 0, 5, 100, 0)
    draft = erased.draft(Tracked())
    draft.add("u2", 0, 6, 101, 1)
    draft.add("u1", 0, 7, 102, 2)
    assert [erased.is_erased("u1", 0, offset, 0) for offset in (4, 5, 6)] == [True, False, False]
    assert [draft.is_erased("u1", 0, offset, 0) for offset in (4, 6, 7)] == [True, True, False]
    assert (erased.is_erased("u2", 0, 0, 0), draft.is_erased("u2", 0, 0, 0)) == (False, True)


def test_oldest_is_forgotten_as_fast_however_many_were_before_it():
    """Nobody would wait for one, but for those of one step."""
    erased, numbers = ErasedUsers(Tracked()), count()

    def add(users):
        for _ in range(users):
            number = next(numbers)
            erased.add(f"u{number}", 0, number, number, number)

    add(MAX_ERASED)
    first = min(seconds(lambda: add(500)) for _ in range(3))
    add(MAX_ERASED // 2)
    last = min(seconds(lambda: add(500)) for _ in range(3))
    assert last < 10 * first
    forgotten = MAX_ERASED // 2 + 6 * 500
    assert [erased.is_erased(f"u{number}", 0, -1, 0) for number in (forgotten - 1, forgotten)] == [False, True]
