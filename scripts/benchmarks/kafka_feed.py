"""Feeds finished messages into a topic of Kafka, with their channel in a header: what Centrifugo's consumer wants."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import frozen
from kafka import KafkaProducer
from load.audience import Record
from load.feed import Append

CHANNELS_HEADER = "centrifugo-channels"


@frozen
class KafkaFeed:
    """Produces to `topic`, and waits for the acknowledgement of each group."""

    brokers: str
    topic: str
    messages: bool = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Append]:
        """Open a producer."""
        producer = KafkaProducer(bootstrap_servers=self.brokers, acks="all", linger_ms=0)

        def produce(records: Sequence[Record]) -> None:
            for channel, text in records:
                producer.send(self.topic, text, headers=[(CHANNELS_HEADER, channel.encode())])
            producer.flush()

        async def append(records: Sequence[Record]) -> None:
            await trio.to_thread.run_sync(produce, records)

        try:
            yield append
        finally:
            producer.close()
