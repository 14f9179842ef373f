"""What lies further back than the window: read from the state store, for clients that come back after a long time.

request ──▶ a batch of requests, one of each client ──▶ read in a thread ──▶ answered, one after another
▲                                                                          │
└──────────── the send queue has drained, and there are more pages ◀───────┘
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from weakref import WeakKeyDictionary

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest, read_pages
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.history import next_history_request, on_history
from mesaya_ws.core.session.subscription import Subscription
from mesaya_ws.gateway.snapshots import between_records
from mesaya_ws.gateway.store_keeper import StoreKeeper
from mesaya_ws.gateway.store_reads import Look, read_stored

BATCH = 32
"""Pages that are read in one go: some 10 ms, from a disk that answers at once, and 2 MiB."""

ANSWERS = 30
"""Those of them that are for clients which have no answer yet, where others wait for more of what they missed.

A page that opens a replay is a sixteenth of the others: so the two that are left are as much as all of these.
"""


@frozen
class _Asked:
    delivery: Delivery
    subscription: Subscription
    request: HistoryRequest | None


class HistoryReader:
    """Reads for all who request it, in the order in which they came, one page of each before the next one of any.

    Those who have no answer yet go before those who have: in a storm, most of what is read is what follows answers.
    """

    def __init__(self, store: StoreKeeper, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        # Weak: in a long outage many come, wait for a while, and go.
        self._unanswered: WeakKeyDictionary[Delivery, None] = WeakKeyDictionary()
        self._answered: WeakKeyDictionary[Delivery, None] = WeakKeyDictionary()
        self._requested = trio.Event()

    def request(self, delivery: Delivery) -> None:
        """Have all read that `delivery` awaits; to repeat that changes nothing."""
        self._queue(delivery)
        self._requested.set()

    def _queue(self, delivery: Delivery) -> None:
        if delivery.awaits_answer:
            self._answered.pop(delivery, None)
            self._unanswered[delivery] = None
        elif delivery not in self._unanswered:
            self._answered[delivery] = None

    async def run(self) -> None:
        """Read and answer, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            while batch := await self._next_batch():
                await self._answer(batch)

    async def _next_batch(self) -> list[_Asked]:
        batch: list[_Asked] = []
        unanswered, answered = list(islice(self._unanswered, BATCH)), list(islice(self._answered, BATCH))
        for delivery in [*unanswered[:ANSWERS], *answered, *unanswered[ANSWERS:]][:BATCH]:
            self._unanswered.pop(delivery, None)
            self._answered.pop(delivery, None)
            if delivery.awaits_history:
                batch.append(_Asked(delivery, *next_history_request(delivery)))
            await trio.lowlevel.checkpoint()  # to check one position may take some milliseconds
        return batch

    async def _answer(self, batch: list[_Asked]) -> None:
        requests = {number: asked.request for number, asked in enumerate(batch) if asked.request is not None}

        def look(numbers: Sequence[int]) -> Look[HistoryPage]:
            return partial(read_pages, requests=[requests[number] for number in numbers])

        def continues(number: int, page: HistoryPage) -> bool:
            return self._feed.continues_page(requests[number], page)

        found = await read_stored(self._store, self._feed, requests, look, continues)
        for number, asked in enumerate(batch):
            await between_records(self._feed)
            on_history(asked.delivery, asked.subscription, found(number))
            if asked.delivery.awaits_history:
                self._queue(asked.delivery)  # after all others
            await trio.lowlevel.checkpoint()
