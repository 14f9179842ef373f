from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.notifications import StoredNotifications, latest
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.state.entries import StoredPublication

CHANNEL = parse_channel("user:u:notifications")
PARTITIONS = [Partition(topic_of("payments"), 0), Partition(topic_of("payments"), 1), Partition(topic_of("menus"), 0)]
PUBLISHED = st.lists(st.tuples(st.sampled_from(PARTITIONS), st.integers(0, 9)), max_size=20)


def publish(published, max_bytes, one_order, serial=7):
    """Return a window of `max_bytes` after it all, and what a store would keep of it, which counted on."""
    window, kept, offsets = Window(300, max_bytes), [], {}
    window.have_one_order = one_order
    for partition, time in published:
        offset = offsets[partition] = offsets.get(partition, -1) + 1
        frame = b"%b %d" % (str(partition).encode(), offset)
        window.add(CHANNEL.name, partition, offset, 0, frame, None, time)
        kept.append(StoredPublication(CHANNEL.name, serial + len(kept), partition, offset, time, frame))
    return window, kept


def stored(kept, count, floors=None):
    """Return what is read of that from a store."""
    lines = {}
    for each in kept:
        if each.offset >= (floors or {}).get(each.partition, 0):
            lines.setdefault(each.partition, []).append(each)
    last = sorted(each for line in lines.values() for each in line[-count - 1 :])
    return StoredNotifications(CHANNEL, sorted(last, key=lambda each: each.serial), {}, floors or {})


@given(PUBLISHED, st.integers(0, 400), st.integers(0, 20), st.integers(1, 6), st.booleans())
def test_inbox_is_the_same_whatever_has_left_the_window(published, max_bytes, unwritten, count, one_order):
    endless, kept = publish(published, 1 << 20, one_order)
    expected = latest(endless, CHANNEL, count, None, 0, is_in_window=True)
    assert expected.frames == [each.frame for each in endless.latest(CHANNEL.name, count + 1)][-count:]
    assert expected.more is (len(published) > count)
    window, _ = publish(published, max_bytes, one_order)
    # What is not written yet is in the window, or there is no answer from the store.
    written = len(kept) - min(unwritten, len(window))
    found = latest(window, CHANNEL, count, stored(kept[:written], count), 0, is_in_window=False)
    assert found == expected


@given(PUBLISHED, st.integers(1, 6))
def test_inbox_without_a_store_is_what_the_window_has(published, count):
    window, _ = publish(published, 100, one_order=True)
    found = latest(window, CHANNEL, count, None, 0, is_in_window=False)
    assert found.frames == [each.frame for each in window.latest(CHANNEL.name, count)]
    assert not found.are_all


def test_what_is_older_than_the_history_is_left_out_and_not_all_is_said_to_be_there():
    published = [(PARTITIONS[0], time) for time in range(5)]
    window, kept = publish(published, 0, one_order=False)
    found = latest(window, CHANNEL, 2, stored(kept, 2), 4, is_in_window=False)
    assert found.frames == [kept[4].frame]
    assert not found.more
    assert not found.are_all


def test_store_that_has_forgotten_something_does_not_say_that_it_has_all():
    window, kept = publish([(PARTITIONS[0], 0), (PARTITIONS[1], 1)], 0, one_order=False)
    found = latest(window, CHANNEL, 2, stored(kept, 2, {PARTITIONS[0]: 1}), 0, is_in_window=False)
    assert found.frames == [kept[1].frame]
    assert not found.are_all
    assert latest(window, CHANNEL, 2, stored(kept, 2, {PARTITIONS[2]: 1}), 0, is_in_window=False).are_all, "of another"
