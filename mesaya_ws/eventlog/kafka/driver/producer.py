"""Changes to the producing client: what it sends in one batch, and how it is closed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaProducer, Serializer

NO_KEY = object()
"""The key of a record that has neither key nor value."""


class Keys(Serializer):  # type: ignore[misc]  # kafka-python has no types
    """Allows records with neither key nor value, by `NO_KEY`: Kafka accepts them, but the client refuses them."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        """Return the key as it is sent."""
        return None if data is NO_KEY else data


@contextmanager
def batched(producer: KafkaProducer) -> Iterator[None]:
    """Keep the sending thread asleep until all records are queued; otherwise it sends the first one alone.

    It is still woken to fetch the metadata of a topic, which the topic's first record needs.
    """
    sender = producer._sender
    wake = sender.wakeup
    sender.wakeup = lambda: wake() if sender._topics_to_add else None
    try:
        yield
    finally:
        del sender.wakeup
        wake()


def end(producer: Any, timeout: float, thread_timeout: float) -> None:
    """Close a client; records that are not acknowledged within `timeout` seconds are given up.

    The client's thread, which `close` leaves running after a timeout, is waited for `thread_timeout` seconds.
    """
    with suppress(Exception):
        producer.close(timeout)
    producer._sender.force_close()
    producer._sender.join(thread_timeout)
