"""kafka-python, with what is changed of it: nothing else in the project uses a private name or an inner module of it.

Each change, why, and the tests that show it (in `tests/eventlog`):

- batches: `PartitionRecords` yields records of ours, four times as fast, and odd ones pass: `driver/test_batches`.
- unpacking: codecs unpack a little at a time; a few kilobytes can stand for gigabytes: `driver/test_batches`.
- fetch_requests: fetches reuse what they ask of a partition, an eighth of their cost: `driver/test_patches`.
- consumer: `_handle_fetch_response` notes ends and errors, for lag without questions: `driver/test_consumer`.
- consumer: `_clear_pending_fetch_request` and `poll`, to ask again at once, in half the time: `driver/test_consumer`.
- consumer: `_append` takes few bytes at a time, for large records would hold up the loop: `driver/test_fetching`.
- consumer: a half-read batch is dropped, or each later poll would raise the same: `driver/test_fetching`.
- consumer: rests of paused or replaced partitions, which would be met again or never: `driver/test_fetching`.
- consumer: `seek` takes an epoch, so that what a new leader has cut off is noticed: `driver/test_fetching`.
- connections: `ClosingSocket` closes a socket that got no connection; it stayed open: `driver/test_patches`.
- connections: `write`, `_read_from_sock`, `_sock_recv` spare a third of a request's cost: `driver/test_connections`.
- connections: a handshake of TLS ends in time; it was waited for without end: `driver/test_patches`.
- connections: `_build_transport` notes which addresses fail, and who named them: `test_kafka_contacts`.
- connections: `bootstrap_brokers` are those that may be tried soonest, not one by lot: `driver/test_connections`.
- connections: `reset_backoff` wants a connection, or some ports are tried 1,500 times a second: `driver/test_patches`.
- connections: `UnthreadedLoop`, for two threads would hand over to one another: `driver/test_connections`.
- clients: reading creates no topics; the consumer's own option for that is ignored: `driver/test_patches`.
- clients: `interrupt` closes clients from another thread; not everything in them has a timeout: `test_kafka_outages`.
- admin: leaders are asked singly, for an error of one partition took the answers of all: `test_kafka_metadata`.
- producer: `batched` sends all records at once; the first went alone, the others waited: `test_kafka_producer`.
- producer: `Keys` lets a record have neither key nor value, as Kafka does: `driver/test_patches`.
- producer: `end` stops the thread that `close` leaves running after a timeout: `driver/test_patches`.

`driver/test_private_names` has all names that this rests on, and says what another release has changed of them.
"""

import kafka

from mesaya_ws.settings import SettingsError

RELEASE = "3.0.12"
"""The release of kafka-python whose names all those are that begin with an underscore here, and are not ours."""

REQUEST_LOGGER = "kafka.protocol.parser"
"""The logger that prints whole requests at DEBUG, passwords among them."""


def check_release(found: str = kafka.__version__) -> None:
    """Raise `SettingsError` when another release of kafka-python is installed than the one that is changed here."""
    if found != RELEASE:
        raise SettingsError(
            [
                f"kafka-python {found} is installed, but private names of {RELEASE} are used here, which may mean "
                f"something else there: install kafka-python=={RELEASE}."
            ]
        )


# Before any of those names is looked for; the modules below are imported when a Kafka log is opened, not before.
check_release()
