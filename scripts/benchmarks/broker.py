"""A Kafka for those who need one, started when the first one does."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from load.process import Observed

from mesaya_ws.core.platform.topics import TOPICS


class Kafka:
    """A broker with the topics of this service, and what is known of its process; it ends with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._address = ""
        self.processes: list[Observed] = []

    def address(self) -> str:
        """Return where it listens."""
        if not self._address:
            # Only who needs a broker needs what starts one.
            from tests.kafka_broker import Broker

            broker = Broker(Path(self._stack.enter_context(TemporaryDirectory(prefix="bench-kafka-"))))
            broker.start()
            self._stack.callback(broker.stop)
            if broker.process is not None:
                self.processes = [Observed(broker.process.pid)]
            self._address = broker.address
            admin = KafkaAdminClient(bootstrap_servers=self._address)
            admin.create_topics([NewTopic(name, 1, 1) for name in TOPICS])
            admin.close()
        return self._address
