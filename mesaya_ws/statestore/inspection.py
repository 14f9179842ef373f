"""What a state directory holds, looked at from outside: nothing is created, set aside or written."""

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import lmdb
from attrs import frozen

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.stored import head_in
from mesaya_ws.core.state.interface import Size, StateError
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.store import FILE, MAP_BYTES
from mesaya_ws.statestore.view import LmdbView


@frozen
class StateFound:
    """A store in the folder `path`: its `size`, and the offsets of the `cut`, which nothing has been read beyond.

    Where it cannot be read, `trouble` says why, in a sentence.
    """

    path: Path
    size: Size | None = None
    cut: Mapping[Partition, int] | None = None
    trouble: str | None = None

    def lag(self, ends: Mapping[Partition, int]) -> int | None:
        """Return how many records a log that `ends` there has beyond the cut; None where that is not known."""
        if self.cut is None:
            return None
        return sum(max(0, end - self.cut.get(partition, 0)) for partition, end in ends.items())


def inspect_state(directory: Path) -> list[StateFound]:
    """Return the stores in a state directory, of each process that keeps or kept one there."""
    found: list[Path] = []
    with suppress(OSError):
        found = sorted(path for path in directory.iterdir() if (path / FILE).is_file())
    return [_inspect(path) for path in found]


def _inspect(folder: Path) -> StateFound:
    try:
        return _read(folder)
    except (StateError, lmdb.Error, OSError) as error:
        return StateFound(folder, trouble=f"{folder / FILE} cannot be read: {error}")


def _read(folder: Path) -> StateFound:
    path = folder / FILE
    with closing(
        lmdb.open(str(path), subdir=False, readonly=True, create=False, map_size=MAP_BYTES, max_dbs=len(layout.TABLES))
    ) as env:
        # To look at what is beyond the end of the file would end the process.
        if path.stat().st_size < (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
            return StateFound(folder, trouble=f"{path} has lost its end.")
        tables = {name: env.open_db(name.encode(), create=False) for name in layout.TABLES}
        with env.begin() as txn:
            if txn.get(b"format", db=tables["meta"]) != layout.FORMAT:
                return StateFound(folder, trouble=f"{path} is of another version.")
            view = LmdbView(txn, tables)
            head = view.head
            cut = None if head is None else {at: place.next for at, place in head_in(head).cut.places.items()}
            return StateFound(folder, view.size(), cut)
