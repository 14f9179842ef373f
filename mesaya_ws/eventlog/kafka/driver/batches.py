"""Record batches, as brokers store and send them, unpacked into our records.

kafka-python makes two objects and some forty calls for each record, and parses headers, which are not used here. This
takes a quarter of the time, and accepts any headers. For the format see
https://kafka.apache.org/documentation/#recordbatch.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from kafka import IsolationLevel
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.util import decode_varint

from mesaya_ws.core.log.records import Record, TooLarge
from mesaya_ws.eventlog.kafka.driver.unpacking import TooLargeError, reader

CHUNK = 1024 * 1024
"""Bytes that are unpacked at a time."""

HEAD = 40
"""Bytes that hold all numbers before a record's key, and more."""

TAKEN_BYTES = 256 * 1024
"""Bytes of records after which a poll takes no more; the last of them may be larger."""

OLD_BATCH = 8 * 1024 * 1024
"""Unpacked bytes of an old batch, at most: it is read as a whole, and its record objects take even more memory."""


_record = partial(tuple.__new__, Record)
"""Makes a record of all of its values, in half of the time that naming them takes."""


class Sizes(NamedTuple):
    """The most unpacked bytes of a record, and of a batch."""

    record: int
    batch: int


SIZES = Sizes(4 * 1024 * 1024, 64 * 1024 * 1024)


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """The records of one partition in one answer, as `Record`s.

    When a batch cannot be unpacked, `batch_end` is the offset after it, if known. `taken` is the bytes of records in
    the last `take`. `note_epoch` is called with partition, offset and epoch before the first record of each new leader
    epoch.
    """

    batch_end = 0
    leader_epoch = -1
    note_epoch: Callable[[Any, int, int], None] = staticmethod(lambda partition, offset, epoch: None)
    sizes = SIZES
    taken = 0

    def take(self, n: int | None = None) -> list[Record]:
        """Return the next records, at most `n`, and few bytes more than TAKEN_BYTES."""
        self._maybe_raise_next_inline_exception()
        records: list[Record] = []
        self.taken = 0
        try:
            for record in islice(self.record_iterator, n):
                records.append(record)
                self.taken += len(record.value or b"") + len(record.key or b"")
                if self.taken >= TAKEN_BYTES:
                    break
        except Exception as error:
            if not records:
                raise
            self._next_inline_exception = error
        return records

    def _unpack_records(self, partition: Any, batches: Any, *_: Any) -> Iterator[Record]:
        """Yield the records, but not those of transactions that were aborted. Raises `CorruptRecordError`."""
        batch = last = batches.next_batch()
        while batch is not None:
            if self.check_crcs and not batch.validate_crc():
                # Its record count may be damaged, too; where the next batch begins is certain.
                following = batches.next_batch()
                if following is not None and following.validate_crc():
                    self.batch_end = following.base_offset
                raise CorruptRecordError(f"The batch at offset {batch.base_offset} has another checksum than it says.")
            last = batch
            self.bytes_read += batch.size_in_bytes
            if batch.magic < 2:
                yield from self._of_old(partition, batch)
            elif not self._is_hidden(partition, batch):
                self.batch_end = batch.next_offset
                for record in unpack(batch, partition.topic, partition.partition, self.sizes):
                    self.next_fetch_offset = record.offset + 1
                    yield record
            batch = batches.next_batch()
        if last is not None and last.magic == 2:
            # Compaction may have removed the last record of a batch.
            self.next_fetch_offset = last.next_offset
        self.drain()

    def _is_hidden(self, partition: Any, batch: Any) -> bool:
        """Return whether a batch is a transaction marker, or belongs to an aborted transaction."""
        if self.leader_epoch != batch.leader_epoch:
            self.leader_epoch = batch.leader_epoch
            self.note_epoch(partition, batch.base_offset, batch.leader_epoch)
        is_aborted = False
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            # Compaction may leave only the head of a marker.
            if batch.records_count and self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            else:
                is_aborted = self._is_batch_aborted(batch)
        if is_aborted or batch.is_control_batch:
            self.next_fetch_offset = batch.next_offset
            return True
        return False

    def _of_old(self, partition: Any, batch: Any) -> Iterator[Record]:
        """Yield the records of a batch that was written before Kafka 0.11."""
        if batch.compression_type:
            _unpack_old(batch)
        for record in batch:
            if self.check_crcs and not record.validate_crc():
                raise CorruptRecordError(f"The record at offset {record.offset} has another checksum than it says.")
            self.next_fetch_offset = record.offset + 1
            key, value = record.key, record.value
            if (size := len(key or b"") + len(value or b"")) > self.sizes.record:
                key, value = None, TooLarge(size)
            yield Record(partition.topic, partition.partition, record.offset, record.timestamp, key, value)


def _unpack_old(batch: Any) -> None:
    """Unpack an old batch, which kafka-python does whatever its size. Raises as `unpack` does."""
    batch._assert_has_codec(batch.compression_type)
    if batch.magic == 0 and batch.compression_type == batch.CODEC_LZ4:
        raise CorruptRecordError(f"The batch at offset {batch.base_offset} is packed as only Kafka 0.8 and 0.9 did it.")
    at = batch.KEY_OFFSET_V1 if batch.magic == 1 else batch.KEY_OFFSET_V0
    # The key, which is null, and the compressed records.
    at += 4 + max(0, int.from_bytes(batch._buffer[at : at + 4], signed=True))
    size = max(0, int.from_bytes(batch._buffer[at : at + 4], signed=True))
    read = reader(batch.compression_type, bytes(batch._buffer[at + 4 : at + 4 + size]), OLD_BATCH)
    unpacked = bytearray()
    while part := read(CHUNK):
        unpacked += part
        if len(unpacked) > OLD_BATCH:
            raise TooLargeError(f"The batch at offset {batch.base_offset} has more than {OLD_BATCH} bytes, unpacked.")
    batch._buffer, batch._decompressed = memoryview(unpacked), True


def unpack(batch: Any, topic: str, partition: int, sizes: Sizes = SIZES, chunk: int = CHUNK) -> Iterator[Record]:
    """Yield the records of a batch (of format 2), a `chunk` of it in memory; of one that is too large, its size.

    Raises `CorruptRecordError`, `TooLargeError` when the batch as a whole is, and whatever a codec raises.
    """
    data, at, read = bytes(batch._buffer), batch._pos, None
    if batch.compression_type:
        batch._assert_has_codec(batch.compression_type)
        read = reader(batch.compression_type, data[at:], sizes.batch)
        # A slice of bytes is bytes.
        data, at = read(chunk), 0
    unpacked = len(data)
    base, first = batch.base_offset, batch.first_timestamp
    appended = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    most = sizes.record

    def more(wanted: int) -> None:
        """Make `data` begin at `at`, and hold so many bytes, if there are."""
        nonlocal data, at, unpacked
        parts, held = [data[at:]], len(data) - at
        while held < wanted and read is not None and (part := read(max(chunk, wanted - held))):
            parts.append(part)
            held += len(part)
            unpacked += len(part)
            if unpacked > sizes.batch:
                raise TooLargeError(f"The batch at offset {base} has more than {sizes.batch} bytes, unpacked.")
        data, at = b"".join(parts), 0

    try:
        for following in range(batch.records_count - 1, -1, -1):
            if read is not None and len(data) - at < HEAD:
                more(HEAD)
            # Numbers below 64 are one byte, and below 8192 two; that is nearly always so, and a call less.
            if (byte := data[at]) > 127 and (high := data[at + 1]) < 128:
                byte, at = byte & 127 | high << 7, at + 2
                size = (byte >> 1) ^ -(byte & 1)
            else:
                size, at = decode_varint(data, at)
            end = at + size
            if size > most:
                if size > sizes.batch - unpacked + len(data) - at:
                    raise TooLargeError(f"The record at offset {base} or after it has {size} bytes, unpacked.")
                if read is not None:
                    more(min(size, HEAD))
                    end = size
            elif end > len(data) and read is not None:
                more(size)
                end = size
            at += 1  # after the attributes, which mean nothing yet
            if (byte := data[at]) < 128:
                later, at = (byte >> 1) ^ -(byte & 1), at + 1
            else:
                later, at = decode_varint(data, at)
            if (byte := data[at]) < 128:
                further, at = (byte >> 1) ^ -(byte & 1), at + 1
            else:
                further, at = decode_varint(data, at)
            timestamp = first + later if appended is None else appended
            if size > most:
                while read is not None and end > len(data):
                    end, at = end - len(data), len(data)
                    more(1)
                    if not data:
                        break
                if end > len(data):
                    raise CorruptRecordError(f"The record at offset {base + further} is longer than it says.")
                at = end
                yield Record(topic, partition, base + further, timestamp, None, TooLarge(size))
                continue
            if (byte := data[at]) < 128:
                length, at = (byte >> 1) ^ -(byte & 1), at + 1
            else:
                length, at = decode_varint(data, at)
            key = None
            if length >= 0:
                key, at = data[at : at + length], at + length
            if (byte := data[at]) > 127 and (high := data[at + 1]) < 128:
                byte, at = byte & 127 | high << 7, at + 2
                length = (byte >> 1) ^ -(byte & 1)
            else:
                length, at = decode_varint(data, at)
            value = None
            if length >= 0:
                value, at = data[at : at + length], at + length
            if not at <= end <= len(data):
                raise CorruptRecordError(f"The record at offset {base + further} is longer than it says.")
            if not following and (end != len(data) or (read is not None and read(chunk))):
                raise CorruptRecordError(f"Something follows the record at offset {base + further}, the last one.")
            at = end  # after the headers
            yield _record((topic, partition, base + further, timestamp, key, value))
    except (ValueError, IndexError) as error:
        raise CorruptRecordError(f"A record in the batch at offset {base} ends too early.") from error
