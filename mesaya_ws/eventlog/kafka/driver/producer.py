"""What is changed in the client that produces: what it sends together, and how it ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaProducer, Serializer

NO_KEY = object()
"""The key of a record that has neither key nor value."""


class Keys(Serializer):  # type: ignore[misc]  # kafka-python has no types
    """Lets a record have neither key nor value, with `NO_KEY`: Kafka takes it, but the client would not send it."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        """Return the key as it is sent."""
        return None if data is NO_KEY else data


@contextmanager
def together(producer: KafkaProducer) -> Iterator[None]:
    """Let the thread that sends sleep until all records are there; the first would go alone, and the others wait.

    It is woken to learn about a topic, for which the first record of it waits.
    """
    sender = producer._sender
    wake = sender.wakeup
    sender.wakeup = lambda: wake() if sender._topics_to_add else None
    try:
        yield
    finally:
        del sender.wakeup
        wake()


def end(producer: Any, patience: float, thread_patience: float) -> None:
    """Close a client; records that are not acknowledged in `patience` seconds are given up.

    Its thread, which `close` leaves running after a timeout, ends in `thread_patience` seconds, or soon after.
    """
    with suppress(Exception):
        producer.close(patience)
    producer._sender.force_close()
    producer._sender.join(thread_patience)
