"""Record batches are unpacked as kafka-python itself does it."""

import gzip
import tracemalloc
from collections import deque
from contextlib import suppress

import lz4.frame
import pytest
import snappy
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from kafka import IsolationLevel, TopicPartition
from kafka.codec import snappy_encode
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.util import calc_crc32c

from mesaya_ws.core.log.records import Record, TooLarge
from mesaya_ws.eventlog.kafka.driver.batches import OLD_BATCH, SIZES, PartitionRecords, Sizes, unpack
from mesaya_ws.eventlog.kafka.driver.unpacking import TooLargeError, reader
from tests.timing import take

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


@given(ROWS, st.sampled_from([0, 1, 2, 3, 4]), st.integers(1, 3000), st.integers(20, 30_000))
def test_however_little_is_unpacked_at_a_time_all_is_read_that_is_not_too_large(rows, compression, chunk, most):
    data = batch_of([row[1:] for row in rows], compression)
    whole = list(unpack(DefaultRecordBatch(data), *AT))
    bounded = list(unpack(DefaultRecordBatch(data), *AT, Sizes(most, SIZES.batch), chunk))
    assert len(bounded) == len(whole)
    for record, expected in zip(bounded, whole, strict=True):
        if isinstance(record.value, TooLarge):
            assert record.value.size > most
            assert record[:4] == expected[:4], "it has its place and its time"
            assert len(expected.key or b"") + len(expected.value or b"") <= record.value.size
        else:
            assert record == expected
            assert len(expected.key or b"") + len(expected.value or b"") <= most


HUGE = 80 * 1024 * 1024


@pytest.fixture(scope="module", params=[1, 3, 4], ids=["gzip", "lz4", "zstd"])
def bomb(request):
    """A batch with a record of 80 MiB between two small ones, of which packed nothing is left."""
    rows = [(1, b"k", b"before", []), (2, b"k", bytes(HUGE), []), (3, b"k", b"after", [])]
    batch = batch_of(rows, request.param)
    assert len(batch) < HUGE // 100
    return batch


def memory(act):
    """Return what `act` returns, and how much memory it took at most."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_record_that_is_far_too_large_is_not_unpacked(bomb):
    taken, records = [], unpack(DefaultRecordBatch(bomb), *AT)

    def read():
        with pytest.raises(TooLargeError, match=str(HUGE)[:3]):
            taken.extend(records)

    _, most = memory(read)
    assert [record.value for record in taken] == [b"before"]
    assert most < 4 * 1024 * 1024


def test_a_record_that_is_too_large_is_unpacked_but_not_kept(bomb):
    sizes = Sizes(SIZES.record, 2 * HUGE)
    taken, most = memory(lambda: list(unpack(DefaultRecordBatch(bomb), *AT, sizes)))
    assert [record.value for record in taken] == [b"before", taken[1].value, b"after"]
    assert isinstance(taken[1].value, TooLarge)
    assert most < 8 * 1024 * 1024


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_a_batch_that_is_too_large_is_read_up_to_there(compression):
    batch = DefaultRecordBatch(batch_of([(1, None, bytes(1000), [])] * 100, compression))
    taken = []
    with pytest.raises(TooLargeError, match="50000"):
        taken.extend(unpack(batch, *AT, Sizes(5000, 50_000), 1024))
    assert 45 <= len(taken) <= 50


def test_a_block_of_snappy_that_is_too_large_is_not_even_begun():
    packed = snappy.compress(bytes(10_000))
    with pytest.raises(TooLargeError, match="10000"):
        reader(2, packed, 9999)(100)
    assert reader(2, packed, 10_000)(20_000) == bytes(10_000)


@pytest.mark.parametrize("compression", [1, 2, 3])
def test_an_old_batch_that_is_too_large_is_not_unpacked(compression):
    builder = LegacyRecordBatchBuilder(1, compression, 1 << 30)
    for offset in range(40):
        builder.append(offset, 5, None, bytes(1024 * 1024))
    records = records_of(builder.build())

    def take():
        with pytest.raises(TooLargeError):
            records.take(100)

    _, most = memory(take)
    assert most < 3 * OLD_BATCH + 4 * 1024 * 1024


@pytest.mark.parametrize(("compression", "magic"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (3, 1)])
def test_an_old_record_that_is_too_large_is_reported_by_its_size(compression, magic):
    builder = LegacyRecordBatchBuilder(magic, compression, 1 << 30)
    for offset, size in enumerate((10, 2000, 10)):
        builder.append(offset, 5, None, bytes(size))
    records = records_of(builder.build())
    records.sizes = Sizes(1000, 50_000)
    assert [record.value for record in records.take(100)] == [bytes(10), TooLarge(2000), bytes(10)]


def test_of_large_records_few_are_taken_at_a_time():
    records = records_of(batch_of([(1, None, bytes(100_000), [])] * 10))
    assert [len(records.take(200)) for _ in range(4)] == [3, 3, 3, 1]
    assert not records


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_what_is_packed_may_come_in_several_parts(compression):
    parts = [bytes([number]) * 50_000 for number in range(3)]
    pack = {
        1: lambda part: gzip.compress(part) + bytes(7),
        2: lambda part: snappy_encode(part, xerial_blocksize=10_000)[16:],
        3: lz4.frame.compress,
        4: zstandard.ZstdCompressor().compress,
    }[compression]
    packed = (snappy_encode(b"x")[:16] if compression == 2 else b"") + b"".join(map(pack, parts))
    read, found = reader(compression, packed, 1 << 20), b""
    while part := read(7000):
        assert len(part) <= 7000
        found += part
    assert found == b"".join(parts)
    assert read(7000) == b""


@pytest.mark.slow
@pytest.mark.parametrize("compression", [1, 3, 4])
def test_however_many_parts_there_are_the_time_grows_with_the_bytes_alone(compression):
    pack = {1: gzip.compress, 3: lz4.frame.compress, 4: zstandard.ZstdCompressor().compress}[compression]
    empty = pack(b"")

    def read(size):
        assert reader(compression, empty * (size // len(empty)), 1 << 20)(1 << 20) == b""

    assert take(read, 1_600_000) < 16 * take(read, 200_000) + 0.1


@pytest.mark.parametrize("compression", [1, 3])
def test_what_is_packed_and_cut_short_is_no_end(compression):
    packed = {1: gzip.compress, 3: lz4.frame.compress}[compression](bytes(range(256)) * 10)
    read = reader(compression, packed[:-9], 1 << 20)
    with pytest.raises(EOFError):
        list(iter(lambda: read(100), b""))


@given(ROWS, st.data())
def test_of_a_batch_that_is_cut_short_nothing_is_invented(rows, data):
    whole = batch_of([row[1:] for row in rows])
    cut = whole[: data.draw(st.integers(DefaultRecordBatch.HEADER_STRUCT.size, len(whole) - 1))]
    taken, records = [], unpack(DefaultRecordBatch(cut), *AT)
    with pytest.raises(CorruptRecordError):
        taken.extend(records)
    assert taken == list(unpack(DefaultRecordBatch(whole), *AT))[: len(taken)]


@given(ROWS, st.data())
def test_damaged_batch_is_read_or_rejected(rows, data):
    hurt = bytearray(batch_of([row[1:] for row in rows]))
    at = data.draw(st.integers(DefaultRecordBatch.HEADER_STRUCT.size, len(hurt) - 1))
    hurt[at] = data.draw(st.integers(0, 255))
    # A size that was damaged may be larger than a whole batch.
    with suppress(CorruptRecordError, TooLargeError):
        assert all(isinstance(record, Record) for record in unpack(DefaultRecordBatch(hurt), *AT))


def records_of(data, from_offset=0, **options):
    return PartitionRecords(from_offset, AT, MemoryRecords(data), **options)


def test_what_lies_before_the_place_is_left_out():
    records = records_of(batch_of([(1, None, b"%d" % number, []) for number in range(5)], first=10), from_offset=13)
    assert [record.offset for record in records.take(100)] == [13, 14]
    assert not records
    assert records.next_fetch_offset == 15


def test_batches_are_read_in_order_and_damage_is_reported_at_its_offset():
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
    rows = [(1, b"k", b"good", [])] * good + [(1, b"k", b"poison", [])] + [(1, b"k", b"after", [])] * bad
    batch = batch_of(rows, first=first)
    # The length of the value; it is doubled, as a number with a sign is written.
    return sealed(batch.replace(b"\x0cpoison", b"\x7epoison"))


def test_what_is_good_before_a_poisoned_record_is_taken_first():
    records = records_of(with_a_poisoned_one(3, 5, first=40) + batch_of([(1, b"k", b"next", [])], first=49), 40)
    assert [record.offset for record in records.take(100)] == [40, 41, 42]
    assert records.next_fetch_offset == 43
    with pytest.raises(CorruptRecordError, match="offset 43 is longer"):
        records.take(100)
    assert records.batch_end == 49, "nothing in the batch can be read any more"


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
    assert records.batch_end == (15 if follows == "a good one" else 0)


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
    empty[8:12] = (len(empty) - 12).to_bytes(4)  # its length, after the offset
    empty[-4:] = bytes(4)  # and its number of records
    empty[DefaultRecordBatch.ATTRIBUTES_OFFSET + 1] |= DefaultRecordBatch.CONTROL_MASK
    empty[43:51] = (7).to_bytes(8)  # the producer
    records = records_of(bytes(empty), 4, isolation_level=IsolationLevel.READ_COMMITTED, check_crcs=False)
    assert records.take(10) == []
    assert records.next_fetch_offset == 5


def test_bytes_after_the_last_record_are_an_error_before_it_is_yielded():
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
