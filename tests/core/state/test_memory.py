import pytest

from mesaya_ws.core.state.interface import pair_is_kept
from mesaya_ws.core.state.memory import MemoryState
from tests.core.state.contract import A, B, StateContract, pair


class TestMemory(StateContract):
    @pytest.fixture
    def new_store(self):
        return MemoryState


def test_a_pair_is_kept_by_a_place_with_both_or_without_the_second():
    one = pair(1, 10, 5)
    assert pair_is_kept(one, {A: 11, B: 6})
    assert pair_is_kept(one, {A: 10, B: 5})
    assert pair_is_kept(one, {})
    assert not pair_is_kept(one, {A: 10, B: 6})
