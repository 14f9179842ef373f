"""Feeds a topic of Kafka: records for this service, or finished messages for Centrifugo, their channel in a header.

kafka-python's producer takes 2 ms of a core, in three threads, for what it sends at once; on a machine of two cores,
that would be most of what is measured. So the library's requests go over a socket here without any of it.
"""

import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import frozen
from kafka.errors import for_code
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.producer import ProduceRequest
from kafka.record import MemoryRecordsBuilder
from load.feed import Append
from load.workload import Record

CHANNELS_HEADER = "centrifugo-channels"

_VERSION = 9
_ALL = -1
_BATCH = 1_000_000
"""Bytes; the broker takes a little more, and a group is a third of it."""

_Topic = ProduceRequest.TopicProduceData


@frozen
class KafkaFeed:
    """Produces to the one broker there is, and waits for the acknowledgement of each group.

    Records go to their topics; with `messages_to`, finished messages go to that topic. All have one partition.
    """

    broker: str
    messages_to: str = ""

    @property
    def messages(self) -> bool:
        """Whether it takes finished messages."""
        return bool(self.messages_to)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Append]:
        """Connect to the broker."""
        host, _, port = self.broker.partition(":")
        protocol = KafkaProtocol(client_id="bench")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            async def append(records: Sequence[Record]) -> None:
                protocol.send_request(self._request(records))
                await stream.send_all(protocol.send_bytes())
                answers = []
                while not answers:
                    answers = protocol.receive_bytes(await stream.receive_some())
                _check(answers[0][1])

            yield append

    def _request(self, records: Sequence[Record]) -> ProduceRequest:
        """Return the request to append `records`."""
        batches = defaultdict(lambda: MemoryRecordsBuilder(2, 0, _BATCH))
        now = round(time.time() * 1000)
        for name, value in records:
            topic, headers = name, []
            if self.messages_to:
                topic, headers = self.messages_to, [(CHANNELS_HEADER, name.encode())]
            if batches[topic].append(now, None, value, headers) is None:
                raise BufferError(f"A group of records for {topic} is larger than {_BATCH} bytes.")
        topics = []
        for topic, batch in batches.items():
            batch.close()
            topics.append(_Topic(name=topic, partition_data=[_Topic.PartitionProduceData(0, batch.buffer())]))
        return ProduceRequest(version=_VERSION, transactional_id=None, acks=_ALL, timeout_ms=10_000, topic_data=topics)


def _check(answer) -> None:
    """Raise a `KafkaError` when something was not appended."""
    for topic in answer.responses:
        for partition in topic.partition_responses:
            if partition.error_code:
                raise for_code(partition.error_code)(f"{topic.name} does not take records")
