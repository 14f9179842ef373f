"""Appending to the embedded log: one thread and one connection, and all waiting appends in one transaction."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import attrs
import trio

from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.eventlog.sqlite.database import Database, DatabaseError
from mesaya_ws.eventlog.sqlite.follower import RETRY_INTERVAL

GROUP_RECORDS = 5000
"""Records after which a transaction includes no more waiting appends."""


@attrs.define(eq=False)
class _Request:
    """Records that wait to be appended, and the result when `done` is set: `appended`, or a `failure`."""

    records: Sequence[NewRecord]
    done: trio.Event = attrs.field(factory=trio.Event)
    withdrawn: bool = False
    appended: list[Appended] = attrs.field(factory=list)
    failure: str | None = None


class Writer:
    """Appends what is requested, in order, to the file that `open_database` opens for `topics`.

    `trouble` says why nothing can be appended, or is None. The `wakers` are set after each transaction. Whoever finds
    that the file is an older copy sets `older_copy`: it is reopened then, which begins an epoch.
    """

    def __init__(self, open_database: Callable[[], Database], topics: frozenset[str], *, compact: bool) -> None:
        self.trouble: str | None = None
        self.older_copy = threading.Event()
        self.wakers: set[threading.Event] = set()
        self._open = open_database
        self._topics = topics
        self._compact = compact
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """Append `records`, unless it is cancelled before they are written.

        Raises `LogUnavailableError`.
        """
        request = _Request(records)
        self._requests.put(request)
        try:
            await request.done.wait()
        finally:
            request.withdrawn = True
        if request.failure:
            raise LogUnavailableError(request.failure)
        return request.appended

    def close(self) -> None:
        """End `run`, after all that was requested before."""
        self._requests.put(None)

    def run(self) -> None:
        """Append until `close`. To be run in a thread of its own."""
        with ExitStack() as opened:
            file: Database | None = None
            while (requests := self._gather()) is not None:
                try:
                    if file is None or file.moved or self.older_copy.is_set():
                        self.older_copy.clear()
                        opened.close()
                        file = opened.enter_context(closing(self._open()))
                        file.migrate(self._topics)
                    groups = (() if request.withdrawn else request.records for request in requests)
                    places = file.append(groups, compact=self._compact)
                    for request, appended in zip(requests, places, strict=True):
                        request.appended = appended
                    self.trouble = None
                except DatabaseError as error:
                    opened.close()
                    file = None
                    self.trouble = str(error)
                self._token.run_sync_soon(_complete, requests, self.trouble)
                for waker in tuple(self.wakers):
                    waker.set()

    def _gather(self) -> list[_Request] | None:
        """Return all waiting requests, or none to check whether trouble is over; None when the log is closed."""
        requests: list[_Request] = []
        records = 0
        try:
            request = self._requests.get(timeout=RETRY_INTERVAL if self.trouble else None)
            while request is not None:
                requests.append(request)
                records += len(request.records)
                if records >= GROUP_RECORDS:
                    return requests
                request = self._requests.get_nowait()
        except queue.Empty:
            return requests
        if not requests:
            return None
        self._requests.put(None)  # for the next time
        return requests


def _complete(requests: Sequence[_Request], failure: str | None) -> None:
    for request in requests:
        request.failure = failure
        request.done.set()
