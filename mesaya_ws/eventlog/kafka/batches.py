"""Record batches, as brokers keep and send them, unpacked into records of ours.

kafka-python's own way makes two objects and some forty calls of each record, and reads its headers, which nobody here
asks for; this takes a quarter of the time, and lets headers be whatever their producer liked. For the format see
https://kafka.apache.org/documentation/#recordbatch; the names that begin with an underscore are those of release
3.0.12, which is pinned.
"""

from collections.abc import Iterator
from typing import Any

from kafka import IsolationLevel
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.util import decode_varint

from mesaya_ws.core.event_log import Record


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """What one answer has brought of a partition; what it yields are `Record`s.

    When a batch cannot be unpacked, what is left of it lies before `behind`, as far as that is known.
    """

    behind = 0

    def _unpack_records(self, partition: Any, batches: Any, *_: Any) -> Iterator[Record]:
        """Yield the records, but not those of transactions that were aborted. Raises `CorruptRecordError`."""
        batch = last = batches.next_batch()
        while batch is not None:
            if self.check_crcs and not batch.validate_crc():
                # How many records it says to hold may be the damage. Where the next one begins is known for sure.
                following = batches.next_batch()
                if following is not None and following.validate_crc():
                    self.behind = following.base_offset
                raise CorruptRecordError(f"The batch at offset {batch.base_offset} has another checksum than it says.")
            last = batch
            self.bytes_read += batch.size_in_bytes
            if batch.magic < 2:
                yield from self._of_old(partition, batch)
            elif not self._is_hidden(batch):
                self.behind = batch.next_offset
                for record in unpack(batch, *partition):
                    self.next_fetch_offset = record.offset + 1
                    yield record
            batch = batches.next_batch()
        if last is not None and last.magic == 2:
            # Compaction may have removed the last record of a batch.
            self.next_fetch_offset = last.next_offset
        self.drain()

    def _is_hidden(self, batch: Any) -> bool:
        """Return whether a batch is a mark of a transaction, or belongs to one that was aborted."""
        self.leader_epoch = batch.leader_epoch
        is_aborted = False
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            # Compaction may leave nothing of a mark but its head.
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
        for record in batch:
            if self.check_crcs and not record.validate_crc():
                raise CorruptRecordError(f"The record at offset {record.offset} has another checksum than it says.")
            self.next_fetch_offset = record.offset + 1
            yield Record(
                partition.topic, partition.partition, record.offset, record.timestamp, record.key, record.value
            )


def unpack(batch: Any, topic: str, partition: int) -> Iterator[Record]:
    """Yield the records of a batch (of format 2). Raises `CorruptRecordError`, and whatever a codec raises."""
    batch._maybe_uncompress()
    # A slice of bytes is bytes.
    data, at = bytes(batch._buffer), batch._pos
    base, first = batch.base_offset, batch.first_timestamp
    appended = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    try:
        for behind in range(batch.records_count - 1, -1, -1):
            size, at = decode_varint(data, at)
            end = at + size
            later, at = decode_varint(data, at + 1)  # behind the attributes, which mean nothing yet
            # Numbers below 64 are one byte; that is nearly always so, and a call less.
            if (byte := data[at]) < 128:
                further, at = (byte >> 1) ^ -(byte & 1), at + 1
            else:
                further, at = decode_varint(data, at)
            if (byte := data[at]) < 128:
                length, at = (byte >> 1) ^ -(byte & 1), at + 1
            else:
                length, at = decode_varint(data, at)
            key = None
            if length >= 0:
                key, at = data[at : at + length], at + length
            length, at = decode_varint(data, at)
            value = None
            if length >= 0:
                value, at = data[at : at + length], at + length
            if not at <= end <= len(data):
                raise CorruptRecordError(f"The record at offset {base + further} is longer than it says.")
            if not behind and end != len(data):
                raise CorruptRecordError(f"Something lies behind the record at offset {base + further}, the last one.")
            at = end  # behind the headers
            yield Record(topic, partition, base + further, first + later if appended is None else appended, key, value)
    except (ValueError, IndexError) as error:
        raise CorruptRecordError(f"A record in the batch at offset {base} ends too early.") from error
