"""The store of one gateway as it is opened, seen by rules, and set aside when it cannot be believed."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mesaya_ws.core.state.interface import StateError
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.statestore.directory import StateFolder, note_start
from mesaya_ws.statestore.store import LmdbState, PinnedView

log = get_logger(__name__)


class StateLostError(Exception):
    """The store is damaged, and had what this process has nowhere else: another one must begin. Says why."""


class OpenedStore:
    """The store in `folder`, and the view of it that rules have, as `stored`.

    What has `damage` is set aside when it is opened next. What is `lost` was known by the store alone: this process
    cannot go on; `on_loss` is called when that turns out while rules look something up.
    """

    def __init__(self, folder: StateFolder, stored: Stored, on_loss: Callable[[], None]) -> None:
        self._folder = folder
        self._stored = stored
        self._on_loss = on_loss
        self._store: LmdbState | None = None
        self._pinned: PinnedView | None = None
        self.damage: str | None = None
        self.lost: str | None = None
        self.entity_reads = 0
        """How many entities rules have looked up that were not in memory."""

    def take(self) -> Path:
        """Take the folder, unless it is taken already; return it. Raises `StateInUseError` and `OSError`."""
        return self._folder.take()

    def open(self, *, is_trial: bool) -> None:
        """Open it, or open it again; what has damage is set aside.

        A start `is_trial`: after too many that did not become ready, what is there is set aside. Raises `StateError`,
        `StateInUseError` and `OSError`.
        """
        folder = self._folder.take()
        may_start = not is_trial or note_start(folder)
        if self._store is None:
            self._store = LmdbState(folder)
        store = self._store
        store.reopen()
        if not may_start:
            self.damage = "The last starts with it did not become ready."
        if self.damage is not None:
            store.discard(self.damage)
            self.damage = None
        if store.set_aside is not None:
            log.warning("the state on disk was set aside, and is built anew", reason=store.set_aside)

    @property
    def opened(self) -> LmdbState:
        """The store itself. Raises `StateError` when it has never been opened."""
        if self._store is None:
            raise StateError("The state store is not open.")
        return self._store

    def pin(self) -> None:
        """Have rules see what the last commit has written. Raises `StateError`."""
        former, self._pinned = self._pinned, self.opened.pin(self._note_loss)
        self._stored.view, self._stored.on_damage = self._pinned, self._note_loss
        self._let_go(former)

    def unpin(self) -> None:
        """Have rules see nothing of it."""
        former, self._pinned, self._stored.view = self._pinned, None, None
        self._let_go(former)

    def _let_go(self, view: PinnedView | None) -> None:
        if view is not None:
            self.entity_reads += view.reads
            view.close()

    def _note_loss(self, reason: str) -> None:
        """Begin anew, in another process, without what is damaged."""
        self.lost = self.lost or reason
        self._on_loss()

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is open is still where it was."""
        return self.opened.is_in_place

    def copy(self) -> None:
        """Put a copy of the open file in the place where it is gone. Raises `StateError`."""
        self.opened.copy()

    def take_up_copy(self) -> None:
        """Go on with the copy, which alone has some of what is known. Raises `StateLostError` where that fails."""
        store = self.opened
        self.unpin()
        try:
            store.reopen()
            self.pin()
        except StateError as error:
            self.lost = str(error)
            raise StateLostError(self.lost) from error
        if store.set_aside is not None:
            self.lost = store.set_aside
            raise StateLostError(self.lost)
        log.warning("the state on disk was gone, and has been written again")

    def close(self) -> None:
        """Let go of the file and the folder; what is lost is set aside before."""
        self.unpin()
        if self._store is not None:
            if self.lost is not None:
                with suppress(StateError):
                    self._store.discard(self.lost)
            self._store.close()
        self._folder.release()
