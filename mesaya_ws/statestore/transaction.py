"""What one commit writes: entities and their members, publications and marks, and what is forgotten of them."""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count as serials
from typing import Any

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import COLUMNS, Entries, Mark
from mesaya_ws.core.state.interface import FORGOTTEN_AT_ONCE, Changes, WindowChanges
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.blocks import (
    BLOCK_BYTES,
    NAME,
    WINDOW_BLOCK_BYTES,
    Block,
    blocks,
    named,
    partition_of,
    per_block,
)
from mesaya_ws.statestore.view import LmdbView

KNOWN_LINES = 20_000
"""Channels whose keys are kept for the next commit, some 400 bytes each; to make them anew is much of its work."""

PORTION = 1000
"""Publications that are made blocks of together."""

Lines = dict[tuple[str, Partition], bytes]
"""By channel and partition, the `named` key that these have in `lines`."""


class Transaction:
    """One transaction that writes; it keeps in `lines` the keys that the next one needs, too."""

    def __init__(self, txn: Any, tables: Mapping[str, Any], lines: Lines) -> None:
        self._txn = txn
        self._tables = tables
        if len(lines) > KNOWN_LINES:
            lines.clear()
        self._lines = lines

    def write(self, changes: Changes) -> None:
        """Write all of `changes`."""
        txn, tables = self._txn, self._tables
        meta = tables["meta"]
        if changes.entities_anew:
            for name in layout.ENTITY_TABLES:
                txn.drop(tables[name], delete=False)
        for name in changes.emptied:
            self._empty(name)
        if changes.anew:
            for name in layout.ENTRY_TABLES:
                txn.drop(tables[name], delete=False)
            txn.delete(b"floors", db=meta)
            txn.delete(b"entries", db=meta)
        txn.put(b"head", layout.sealed(changes.head), db=meta)
        self._put_entities(changes)
        self._put_members(changes)
        view = LmdbView(txn, tables)
        last, count = view.entries
        if changes.entries:
            if changes.entries.first <= last:
                raise ValueError("serials of entries increase")
            self._append_publications(changes.entries)
            self._append_marks(changes.entries.marks)
            last, count = changes.entries.last, count + len(changes.entries)
        floors = dict(view.floors)
        for partition, offset in changes.floors.items():
            floors[partition] = max(offset, floors.get(partition, 0))
        count -= self._forget(changes, count, view, floors)
        txn.put(b"entries", layout.sealed(layout.PLACE.pack(last, count)), db=meta)
        if floors != view.floors:
            txn.put(b"floors", layout.floors_value(floors), db=meta)
        self._write_window(changes.window)

    def _write_window(self, changes: WindowChanges) -> None:
        """Write what changes of the copy of the window: it has no index, since all of it is read at once.

        Blocks are forgotten whole.
        """
        txn, window, recent = self._txn, self._tables["window"], self._tables["recent"]
        if changes.anew:
            for name in layout.WINDOW_TABLES:
                txn.drop(self._tables[name], delete=False)
        with txn.cursor(window) as cursor:
            found = cursor.first()
            while found and Block(cursor.value()).last < changes.keep_from:
                cursor.delete()
                found = bool(cursor.key())
            for _, _, made in self._blocks(changes.publications, WINDOW_BLOCK_BYTES):
                _append(cursor, made)
        for number, value in changes.notes.items():
            if value is None:
                txn.delete(layout.SERIAL.pack(number), db=recent)
            else:
                txn.put(layout.SERIAL.pack(number), layout.sealed(value), db=recent)

    def _put_entities(self, changes: Changes) -> None:
        entities = self._tables["entities"]
        with self._txn.cursor(entities) as cursor:
            for table, values in sorted(changes.entities.items()):
                keys, put, deleted = layout.entity_items(table, values)
                # As two lists: the garbage collector has no pair of each to examine.
                cursor.putmulti(zip(keys, put, strict=True))
                for key in deleted:
                    self._txn.delete(key, db=entities)

    def _put_members(self, changes: Changes) -> None:
        with self._txn.cursor(self._tables["members"]) as cursor:
            for index, parents in sorted(changes.members.items()):
                # In their order without a comparison of pairs, which takes longer than to put them.
                keys, added = [], []
                for parent in sorted(parents):
                    key = layout.joined(index, parent)
                    for member, belongs in sorted(parents[parent].items()):
                        if belongs:
                            keys.append(key)
                            added.append(member)
                        elif cursor.set_key_dup(key, member):
                            cursor.delete()
                cursor.putmulti(zip(keys, added, strict=True), dupdata=False)

    def _empty(self, name: str) -> None:
        """Forget all of a table, or of an index."""
        prefix = layout.joined(name, "")
        for table in layout.ENTITY_TABLES:
            with self._txn.cursor(self._tables[table]) as cursor:
                found = cursor.set_range(prefix)
                while found and cursor.key().startswith(prefix):
                    found = cursor.delete(dupdata=True) and bool(cursor.key())

    def _append_marks(self, marks: Sequence[Mark]) -> None:
        if not marks:
            return
        with self._txn.cursor(self._tables["marks"]) as cursor:
            cursor.putmulti([(layout.SERIAL.pack(mark.serial), layout.mark_value(mark)) for mark in marks], append=True)
        indexed: dict[str, list[tuple[bytes, bytes]]] = {"pairs": [], "notes": []}
        for mark in marks:
            table, key, value = layout.index_of(mark)
            indexed[table].append((key, value))
        for table, values in indexed.items():
            with self._txn.cursor(self._tables[table]) as cursor:
                cursor.putmulti(sorted(values))

    def _append_publications(self, entries: Entries) -> None:
        """Append blocks of publications, and one value for each line that they are on.

        Every call lets other threads run meanwhile, which may take the time of many: so there are few calls.
        """
        if not entries.published:
            return
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        with self._txn.cursor(self._tables["log"]) as cursor:
            first = entries.first
            for keys, offsets, made in self._blocks(entries):
                for key, place in zip(keys, zip(offsets, serials(first), strict=False), strict=True):
                    places[key] += place
                first += len(keys)
                _append(cursor, made)
        packed = [(key[NAME:], struct.pack(f">{len(numbers)}Q", *numbers)) for key, numbers in places.items()]
        values = {key + value[: layout.PLACE.size]: value for key, value in packed}
        with self._txn.cursor(self._tables["lines"]) as cursor:
            ordered = sorted(values)
            cursor.putmulti(zip(ordered, map(values.__getitem__, ordered), strict=True))

    def _blocks(
        self, entries: Entries, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[tuple[Sequence[bytes], Sequence[int], list[tuple[bytes, bytes]]]]:
        """Yield publications in portions: the keys of their lines, their offsets, and the blocks that they become."""
        # Not all at once: the garbage collector of the event loop would have to examine it all in one step; and memory
        # that has just been used is the cheapest.
        for start in range(0, entries.published, PORTION):
            flat, first = entries.flat[start * COLUMNS : (start + PORTION) * COLUMNS], entries.first + start
            channels, partitions, offsets, times, frames = (flat[column::COLUMNS] for column in range(COLUMNS))
            keys = self._keys(channels, partitions)
            made = blocks(first, keys, offsets, times, frames, per_block(frames, block_bytes))
            yield keys, offsets, [(layout.SERIAL.pack(serial), value) for serial, value in made]

    def _keys(self, channels: Sequence[str], partitions: Sequence[Partition]) -> list[bytes]:
        lines = self._lines
        try:
            return list(map(lines.__getitem__, zip(channels, partitions, strict=True)))
        except KeyError:
            for line in zip(channels, partitions, strict=True):
                if line not in lines:
                    lines[line] = named(layout.line_key(*line))
            return self._keys(channels, partitions)

    def _forget(self, changes: Changes, entries: int, view: LmdbView, floors: dict[Partition, int]) -> int:
        """Forget the oldest entries, and raise the floors of the partitions of what they were made; return how many.

        Marks lie between publications as their serials do.
        """
        taken, surplus, count = view.entry_bytes(), 0, 0
        if changes.max_bytes is not None and taken > changes.max_bytes:
            surplus = -(-(taken - changes.max_bytes) * entries // taken)  # each counts alike
        indexed: dict[str, list[tuple[bytes, bytes]]] = {"pairs": [], "notes": []}
        lines: dict[bytes, int] = {}  # by line, the last offset that is forgotten
        serial = 0
        with self._txn.cursor(self._tables["log"]) as log, self._txn.cursor(self._tables["marks"]) as marks:
            is_block, is_mark = log.first(), marks.first()
            while count < FORGOTTEN_AT_ONCE and (is_block or is_mark):
                if is_mark and not (is_block and log.key() < marks.key()):
                    mark = layout.mark_in(layout.SERIAL.unpack(marks.key())[0], marks.value())
                    if mark.timestamp >= changes.keep_since and count >= surplus:
                        break
                    table, key, value = layout.index_of(mark)
                    indexed[table].append((key, value))
                    count += 1
                    marks.delete()
                    is_mark = bool(marks.key())  # the next one's
                    continue
                block = Block(log.value())
                columns = block.columns()
                gone, most = 0, min(block.count, FORGOTTEN_AT_ONCE - count)
                while gone < most and (columns.times[gone] < changes.keep_since or count + gone < surplus):
                    gone += 1
                if not gone:
                    break
                count += gone
                serial = block.first + gone - 1
                lines.update(columns.last_offsets(gone))
                log.delete()
                is_block = bool(log.key())
                if gone < block.count:
                    # Marks may lie before what is left.
                    is_block = log.put(layout.SERIAL.pack(block.first + gone), block.after(columns, gone))
        self._forget_marks(indexed)
        self._forget_places(sorted(lines), serial)
        for line, offset in lines.items():
            partition = partition_of(line)
            floors[partition] = max(offset + 1, floors.get(partition, 0))
        return count

    def _forget_marks(self, indexed: Mapping[str, list[tuple[bytes, bytes]]]) -> None:
        for table, values in indexed.items():
            with self._txn.cursor(self._tables[table]) as cursor:
                for key, value in sorted(values):
                    if cursor.set_key_dup(key, value):
                        cursor.delete()

    def _forget_places(self, lines: Iterable[bytes], serial: int) -> None:
        """Forget what lines have up to a serial."""
        with self._txn.cursor(self._tables["lines"]) as cursor:
            for line in lines:
                found = cursor.set_range(line)
                while found and cursor.key().startswith(line):
                    value = cursor.value()
                    left = b"".join(layout.PLACE.pack(*at) for at in layout.places_in(value) if at[1] > serial)
                    if len(left) == len(value):
                        break
                    cursor.delete()
                    if left:
                        cursor.put(line + left[: layout.PLACE.size], left)
                        break
                    found = bool(cursor.key())


def _append(cursor: Any, made: Sequence[tuple[bytes, bytes]]) -> None:
    """Append blocks, whose serials must be larger than those that are there."""
    _, added = cursor.putmulti(made, append=True)
    if added < len(made):
        raise ValueError("serials of entries increase")
