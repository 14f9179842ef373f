from hypothesis import given
from hypothesis import strategies as st
from load.books import Books, Finished
from load.client import Client, State
from load.wire import Stamp


def client(channel=0):
    return Client(channel, "127.0.0.2", bystander=False)


@given(st.lists(st.integers(1, 12)))
def test_every_event_counts_once_whatever_comes(numbers):
    books, reader = Books(), client()
    for number in numbers:
        books.enter(reader, Stamp(0, number, 0), 1000)
    seen = books.close()
    assert seen.deliveries == books.total == len(set(numbers))
    assert seen.duplicates == len(numbers) - len(set(numbers))
    assert books.finish([reader], [12]).lost == 12 - len(set(numbers))


def test_late_message_is_counted_as_late_and_not_lost():
    books, reader = Books(), client()
    for number in (1, 4, 3):
        books.enter(reader, Stamp(0, number, 0), 1000)
    assert books.finish([reader], [4]) == Finished(lost=1, late=1)


def test_an_event_of_another_channel_went_astray():
    books = Books()
    books.enter(client(0), Stamp(1, 1, 0), 1000)
    assert (books.now.misrouted, books.now.deliveries) == (1, 0)


def test_the_past_has_no_latency():
    books, reader = Books(), client()
    reader.replaying = 1
    for number in (1, 2):
        books.enter(reader, Stamp(0, number, 5_000), 9_000)
    seen = books.close()
    assert (seen.replayed, seen.latency.total, seen.latency.maximum) == (1, 1, 4)


def test_sample_has_only_what_is_new():
    books = Books()
    books.fail("refused")
    assert books.close().failures == {"refused": 1}
    assert books.close().failures == {}


def test_the_events_of_others_are_known_by_their_time():
    books = Books()
    books.notice(b'{"position":"abc","timestamp":"2026-01-20T18:00:00.000Z"}', 1768932000.25)
    books.notice(b'{"type":"pong","timestamp":"2026-01-20T18:00:00.000Z"}', 1768932000.25)
    seen = books.close()
    assert seen.deliveries == 1
    assert abs(seen.latency.maximum - 250_000) < 1000


def test_what_comes_to_a_client_whose_token_has_ended_went_astray_and_nothing_more_is_missing():
    books, reader = Books(), client()
    books.enter(reader, Stamp(0, 1, 0), 1000)
    reader.state = State.LAPSED
    assert books.finish([reader], [5]).lost == 0
    books.enter(reader, Stamp(0, 2, 0), 1000)
    assert books.now.misrouted == 1
