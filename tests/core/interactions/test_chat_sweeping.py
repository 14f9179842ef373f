"""Rows of forgotten messages, swept up a few at a time."""

from mesaya_ws.core.interactions.chat_sweeping import Sweeping
from mesaya_ws.core.state.tracking import Tracked
from tests.timing import seconds


class Messages:
    """The messages that are still to be removed."""

    def __init__(self, messages):
        self.left = set(messages)

    def remove(self, conversation, number):
        self.left.remove((conversation, number))


def test_rows_are_swept_up_a_few_at_a_time_in_the_order_in_which_they_were_forgotten():
    messages = Messages([("a", 1), ("a", 2), ("b", 1), ("b", 2)])
    sweeping = Sweeping(messages, Tracked())
    sweeping.add("a", 1, 2)
    sweeping.add("b", 1, 3)
    sweeping.add("a", 2, 3)
    assert sweeping.sweep(3) == 0
    assert messages.left == {("b", 2)}
    assert sweeping.sweep(3) == 2
    assert not sweeping


def test_first_conversation_is_found_as_fast_however_many_were_swept_up_before_it():
    """Nobody would wait for one, but for those of one step."""
    many, at_once = 60_000, 500
    sweeping = Sweeping(Messages((number, 0) for number in range(many)), Tracked())
    for number in range(many):
        sweeping.add(number, 0, 1)
    first = min(seconds(lambda: sweeping.sweep(at_once)) for _ in range(3))
    sweeping.sweep(many - 6 * at_once)
    last = min(seconds(lambda: sweeping.sweep(at_once)) for _ in range(3))
    assert last < 10 * first
    assert not sweeping
