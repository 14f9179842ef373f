"""Record batches are unpacked as kafka-python itself does it."""

from collections import deque
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import IsolationLevel, TopicPartition
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.util import calc_crc32c

from mesaya_ws.core.event_log import Record
from mesaya_ws.eventlog.kafka.batches import PartitionRecords, unpack

AT = TopicPartition("t", 3)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 40),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=20_000),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    ),
    min_size=1,
    max_size=20,
)


def batch_of(rows, compression=0, first=0):
    """Return the bytes of a batch; the first row is at the offset `first`."""
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 30)
    for offset, (timestamp, key, value, headers) in enumerate(rows):
        builder.append(offset, timestamp, key, value, headers)
    batch = builder.build()
    return first.to_bytes(8) + bytes(batch[8:])


@given(ROWS, st.sampled_from([0, 1, 2, 3, 4]), st.integers(0, 1 << 50))
def test_a_batch_says_what_kafka_python_reads_in_it(rows, compression, first):
    data = batch_of([row[1:] for row in rows], compression, first)
    ours = list(unpack(DefaultRecordBatch(data), *AT))
    theirs = [Record(*AT, one.offset, one.timestamp, one.key, one.value) for one in DefaultRecordBatch(data)]
    assert ours == theirs
    assert [(one.timestamp, one.key, one.value) for one in ours] == [row[1:4] for row in rows]


@given(ROWS, st.data())
def test_of_a_batch_that_is_cut_short_nothing_is_invented(rows, data):
    whole = batch_of([row[1:] for row in rows])
    cut = whole[: data.draw(st.integers(DefaultRecordBatch.HEADER_STRUCT.size, len(whole) - 1))]
    told, records = [], unpack(DefaultRecordBatch(cut), *AT)
    with pytest.raises(CorruptRecordError):
        told.extend(records)
    assert told == list(unpack(DefaultRecordBatch(whole), *AT))[: len(told)]


@given(ROWS, st.data())
def test_whatever_is_in_a_batch_it_is_read_or_called_corrupt(rows, data):
    hurt = bytearray(batch_of([row[1:] for row in rows]))
    at = data.draw(st.integers(DefaultRecordBatch.HEADER_STRUCT.size, len(hurt) - 1))
    hurt[at] = data.draw(st.integers(0, 255))
    with suppress(CorruptRecordError):
        assert all(isinstance(record, Record) for record in unpack(DefaultRecordBatch(hurt), *AT))


def records_of(data, from_offset=0, **options):
    return PartitionRecords(from_offset, AT, MemoryRecords(data), **options)


def test_what_lies_before_the_place_is_left_out():
    records = records_of(batch_of([(1, None, b"%d" % number, []) for number in range(5)], first=10), from_offset=13)
    assert [record.offset for record in records.take(100)] == [13, 14]
    assert not records
    assert records.next_fetch_offset == 15


def test_batches_are_taken_one_after_the_other_and_damage_is_told_at_its_place():
    good, bad = (batch_of([(1, b"k", b"value", [])], first=first) for first in (0, 1))
    records = records_of(good + bad.replace(b"value", b"vague") + good)
    assert [record.value for record in records.take(100)] == [b"value"]
    assert records.next_fetch_offset == 1
    with pytest.raises(CorruptRecordError, match="offset 1 has another checksum"):
        records.take(100)


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4])
def test_a_batch_is_read_from_its_middle_on(compression):
    """As a broker answers who asks for an offset in it, whatever it is compressed with."""
    before, asked, after = (
        batch_of([(1, None, b"%d" % (first + number), []) for number in range(10)], compression, first)
        for first in (0, 10, 20)
    )
    records = records_of(asked + after, from_offset=17)
    assert [(record.offset, record.value) for record in records.take(5)] == [(n, b"%d" % n) for n in range(17, 22)]
    assert records.next_fetch_offset == 22
    assert [record.offset for record in records_of(before + asked, from_offset=19).take(100)] == [19]


def sealed(batch):
    """Return a batch whose checksum is right."""
    seal = calc_crc32c(memoryview(batch)[DefaultRecordBatch.ATTRIBUTES_OFFSET :])
    return bytes(batch[:17]) + seal.to_bytes(4) + bytes(batch[DefaultRecordBatch.ATTRIBUTES_OFFSET :])


def with_a_poisoned_one(good, bad, first=0):
    """Return a batch of `good` records, one that cannot be read, though the checksum is right, and `bad` others."""
    rows = [(1, b"k", b"good", [])] * good + [(1, b"k", b"poison", [])] + [(1, b"k", b"behind", [])] * bad
    batch = batch_of(rows, first=first)
    # The length of the value; it is doubled, as a number with a sign is written.
    return sealed(batch.replace(b"\x0cpoison", b"\x7epoison"))


def test_what_is_good_before_a_poisoned_record_is_taken_first():
    records = records_of(with_a_poisoned_one(3, 5, first=40) + batch_of([(1, b"k", b"next", [])], first=49), 40)
    assert [record.offset for record in records.take(100)] == [40, 41, 42]
    assert records.next_fetch_offset == 43
    with pytest.raises(CorruptRecordError, match="offset 43 is longer"):
        records.take(100)
    assert records.behind == 49, "nothing in the batch can be read any more"


@pytest.mark.parametrize("follows", ["a good one", "a bad one", "nothing"])
def test_where_a_damaged_batch_ends_is_believed_only_to_the_next_one(follows):
    damaged = bytearray(batch_of([(1, b"k", b"v", [])] * 10, first=5))
    damaged[23] = 99  # the first byte of how many offsets it spans
    following = {
        "a good one": batch_of([(1, b"k", b"v", [])], first=15),
        "a bad one": batch_of([(1, b"k", b"value", [])], first=15).replace(b"value", b"vague"),
        "nothing": b"",
    }[follows]
    records = records_of(bytes(damaged) + following, 5)
    with pytest.raises(CorruptRecordError, match="offset 5 has another checksum"):
        records.take(100)
    assert records.behind == (15 if follows == "a good one" else 0)


def test_marks_and_aborted_transactions_are_hidden():
    class Aborted:
        producer_id, first_offset = 7, 0

    def of_producer(producer, first, *, control=False):
        builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, 0, 1 << 20)
        # The key of a mark: its version, and whether it is an abort (0) or a commit (1).
        builder.append(0, 1, b"\0\0\0\0" if control else None, b"\0" * 6 if control else b"of %d" % producer, [])
        batch = bytearray(first.to_bytes(8) + bytes(builder.build()[8:]))
        if control:
            batch[DefaultRecordBatch.ATTRIBUTES_OFFSET + 1] |= DefaultRecordBatch.CONTROL_MASK
        return bytes(batch)

    data = of_producer(7, 0) + of_producer(8, 1) + of_producer(7, 2, control=True) + of_producer(7, 3)
    committed = records_of(
        data, isolation_level=IsolationLevel.READ_COMMITTED, aborted_transactions=deque([Aborted()]), check_crcs=False
    )
    assert [record.value for record in committed.take(100)] == [b"of 8", b"of 7"]
    assert committed.next_fetch_offset == 4


def test_of_a_mark_compaction_may_leave_no_more_than_the_head():
    empty = bytearray(batch_of([(1, None, None, [])], first=4)[: DefaultRecordBatch.HEADER_STRUCT.size])
    empty[8:12] = (len(empty) - 12).to_bytes(4)  # its length, behind the offset
    empty[-4:] = bytes(4)  # and its number of records
    empty[DefaultRecordBatch.ATTRIBUTES_OFFSET + 1] |= DefaultRecordBatch.CONTROL_MASK
    empty[43:51] = (7).to_bytes(8)  # the producer
    records = records_of(bytes(empty), 4, isolation_level=IsolationLevel.READ_COMMITTED, check_crcs=False)
    assert records.take(10) == []
    assert records.next_fetch_offset == 5


def test_what_lies_behind_the_last_record_is_told_before_it_is_taken():
    data = batch_of([(1, b"k", b"a", []), (1, b"k", b"b", [])])
    records = unpack(DefaultRecordBatch(data + b"more"), *AT)
    assert next(records).value == b"a"
    with pytest.raises(CorruptRecordError, match="offset 1, the last one"):
        next(records)


def test_batches_of_old_brokers_are_read():
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    builder.append(0, 5, b"k", b"old")
    records = records_of(bytes(builder.build()))
    assert records.take(10) == [Record(*AT, 0, 5, b"k", b"old")]
