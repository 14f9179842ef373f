from hypothesis import given
from hypothesis import strategies as st
from load.client import Client, State
from load.received import Finished, Received
from load.wire import Chunk, Stamp


def client(channel=0):
    return Client(channel, "127.0.0.2", bystander=False)


@given(st.lists(st.integers(1, 12)))
def test_every_event_counts_once_whatever_comes(numbers):
    received, reader = Received(), client()
    for number in numbers:
        received.enter(reader, Stamp(0, number, 0), 1000)
    seen = received.close()
    assert seen.deliveries == received.total == len(set(numbers))
    assert seen.duplicates == len(numbers) - len(set(numbers))
    assert received.finish([reader], [12]).lost == 12 - len(set(numbers))


def test_late_message_is_counted_as_late_and_not_lost():
    received, reader = Received(), client()
    for number in (1, 4, 3):
        received.enter(reader, Stamp(0, number, 0), 1000)
    assert received.finish([reader], [4]) == Finished(lost=1, late=1)


def test_an_event_of_another_channel_went_astray():
    received = Received()
    received.enter(client(0), Stamp(1, 1, 0), 1000)
    assert (received.now.misrouted, received.now.deliveries) == (1, 0)


def test_the_past_has_no_latency():
    received, reader = Received(), client()
    reader.replaying = 1
    for number in (1, 2):
        received.enter(reader, Stamp(0, number, 5_000), 9_000)
    seen = received.close()
    assert (seen.replayed, seen.latency.total, seen.latency.maximum) == (1, 1, 4)


def test_sample_has_only_what_is_new():
    received = Received()
    received.fail("refused")
    assert received.close().failures == {"refused": 1}
    assert received.close().failures == {}


def test_the_events_of_others_are_known_by_their_time():
    received = Received()
    received.notice(b'{"position":"abc","timestamp":"2026-01-20T18:00:00.000Z"}', 1768932000.25)
    received.notice(b'{"type":"pong","timestamp":"2026-01-20T18:00:00.000Z"}', 1768932000.25)
    seen = received.close()
    assert seen.deliveries == 1
    assert abs(seen.latency.maximum - 250_000) < 1000


def test_what_comes_to_a_client_whose_token_has_ended_went_astray_and_nothing_more_is_missing():
    received, reader = Received(), client()
    received.enter(reader, Stamp(0, 1, 0), 1000)
    reader.state = State.LAPSED
    assert received.finish([reader], [5]).lost == 0
    received.enter(reader, Stamp(0, 2, 0), 1000)
    assert received.now.misrouted == 1


def test_bystanders_are_told_apart_and_when_a_client_has_all_that_it_missed():
    received, reader = Received(), client()
    bystander = Client(0, "127.0.0.2", bystander=True)
    reader.replaying, reader.began = 2, 5_000
    for number in (1, 2, 3):
        received.enter(reader, Stamp(0, number, 5_000), 1_000_000 * number)
        received.enter(bystander, Stamp(0, number, 5_000), 9_000)
    chunk = Chunk(b"")
    chunk.stamps, chunk.bystanders = [Stamp(0, 4, 0)], {0: 1}
    received.fresh.append(chunk)
    seen = received.close()
    assert (seen.catching_up.total, seen.catching_up.maximum) == (1, 1995)
    assert (seen.bystander_latency.total, seen.latency.total) == (4, 5)
    assert (seen.bystander_latency.maximum, seen.latency.maximum) == (32, 2995)
