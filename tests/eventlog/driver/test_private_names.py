"""What the driver rests on in kafka-python, private names above all; nothing here needs the driver, or a broker.

With another release than the pinned one, these tests say what it has changed: every name that is gone, and every piece
of text that is another one, with the file of `eventlog/kafka/driver` that replaces, wraps or calls it.
"""

import ast
import hashlib
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import kafka
import pytest

DRIVER = Path(__file__).parents[3] / "mesaya_ws/eventlog/kafka/driver"

TEXTS = {
    "admin": {
        "kafka.admin.client.KafkaAdminClient.__init__": "a6d584dd9f5f",
        "kafka.admin.client.KafkaAdminClient._list_partition_offsets_request": "f79764199818",
        "kafka.cluster.ClusterMetadata.broker_metadata": "4e6e78899af7",
        "kafka.cluster.ClusterMetadata.request_update": "ab43ba6a98f8",
        "kafka.future.Future": "b9f4c67648cc",
        "kafka.net.manager.KafkaConnectionManager.run": "71eff8c72aaa",
        "kafka.net.manager.KafkaConnectionManager.send": "c6bc4e3773c3",
    },
    "batches": {
        "kafka.consumer.fetcher.Fetcher.PartitionRecords": "cf2214c6a218",
        "kafka.record.default_records.DefaultRecordBatch.__init__": "8df1286ebd1e",
        "kafka.record.default_records.DefaultRecordBatch._assert_has_codec": "2c4176986d1b",
        "kafka.record.default_records.DefaultRecordBatch._maybe_uncompress": "35e0360528da",
        "kafka.record.default_records.DefaultRecordBatch._read_msg": "b203a6ee5e4f",
        "kafka.record.default_records.DefaultRecordBatch.validate_crc": "4a12a3d0e6b4",
        "kafka.record.legacy_records.LegacyRecordBase": "aa365cfa38ba",
        "kafka.record.legacy_records.LegacyRecordBatch.__init__": "1c2d0a8e0132",
        "kafka.record.legacy_records.LegacyRecordBatch.__iter__": "993c55f9dcb4",
        "kafka.record.legacy_records.LegacyRecordBatch._decompress": "ac7c0091e682",
        "kafka.record.util.decode_varint": "15359185a926",
    },
    "clients": {
        "kafka.cluster.ClusterMetadata.metadata_request": "21bd6ac3202c",
        "kafka.net.compat.KafkaNetClient.__init__": "9d5a78ad19c3",
        "kafka.net.compat.KafkaNetClient.close": "b787785b1881",
        "kafka.net.manager.KafkaConnectionManager.call_soon": "56ad0940f05c",
        "kafka.net.manager.KafkaConnectionManager.close": "7eb2dbd139b8",
    },
    "connections": {
        "kafka.cluster.ClusterMetadata.bootstrap_brokers": "544bc8b52f5a",
        "kafka.cluster.ClusterMetadata.is_bootstrap": "3dd84f5d6532",
        "kafka.net.inet.KafkaNetSocket.__init_subclass__": "4251ab2dabf1",
        "kafka.net.inet.KafkaNetSocket.__new__": "ad0f52b7e767",
        "kafka.net.inet.KafkaNetSocket.sock_connect": "36c15b0ce919",
        "kafka.net.inet.create_connection": "f5a387643a47",
        "kafka.net.manager.KafkaConnectionManager.__init__": "6f9e40f17413",
        "kafka.net.manager.KafkaConnectionManager._build_transport": "0362b0a78387",
        "kafka.net.manager.KafkaConnectionManager._do_bootstrap": "2c76a7a97d90",
        "kafka.net.manager.KafkaConnectionManager.connection_delay": "3ddb1f7dbe2b",
        "kafka.net.manager.KafkaConnectionManager.reset_backoff": "e02b01905995",
        "kafka.net.manager.KafkaConnectionManager.update_backoff": "03aecec99610",
        "kafka.net.selector.KernelEvent": "adbb7f183adc",
        "kafka.net.selector.NetworkSelector._poll_once": "01523f8d2af9",
        "kafka.net.selector.NetworkSelector._wait_io": "2a3dc05bd4f1",
        "kafka.net.selector.NetworkSelector.register_event": "1c21f7a3ab37",
        "kafka.net.selector.NetworkSelector.run": "491eb51ca403",
        "kafka.net.selector.NetworkSelector.start": "cb2f490a67c8",
        "kafka.net.selector.NetworkSelector.unregister_event": "8d010c39d2e4",
        "kafka.net.selector.TaskState": "ae56ddd40ec9",
        "kafka.net.transport.KafkaSSLTransport.__init__": "3c5e971f71ac",
        "kafka.net.transport.KafkaSSLTransport._sock_recv": "0a592f230c5c",
        "kafka.net.transport.KafkaSSLTransport.handshake": "526ac8f33ece",
        "kafka.net.transport.KafkaTCPTransport.__init__": "6b9608f8e735",
        "kafka.net.transport.KafkaTCPTransport._read_from_sock": "572fe643c707",
        "kafka.net.transport.KafkaTCPTransport._sock_recv": "2594a6a62ec5",
        "kafka.net.transport.KafkaTCPTransport.abort": "55905b9407ec",
        "kafka.net.transport.KafkaTCPTransport.resume_reading": "197e2dd49c69",
        "kafka.net.transport.KafkaTCPTransport.write": "2fdc9f6fce24",
    },
    "consumer": {
        "kafka.cluster.ClusterMetadata.topic_id": "babcdc8ff32f",
        "kafka.consumer.fetcher.Fetcher._append": "341c09c715c5",
        "kafka.consumer.fetcher.Fetcher._clean_done_fetch_futures": "522c88c9324e",
        "kafka.consumer.fetcher.Fetcher._clear_pending_fetch_request": "5c930b3d7d3f",
        "kafka.consumer.fetcher.Fetcher._handle_fetch_response": "8d8210236fb7",
        "kafka.consumer.fetcher.Fetcher._parse_fetched_data": "3cd93b6d3b7b",
        "kafka.consumer.fetcher.Fetcher._send_fetches_async": "a5d605e90e1e",
        "kafka.consumer.fetcher.Fetcher.fetched_records": "bf91319f1a2f",
        "kafka.consumer.fetcher.Fetcher.maybe_validate_positions": "e8bde1884510",
        "kafka.consumer.fetcher.Fetcher.reset_offsets_if_needed": "9ee4ae022233",
        "kafka.consumer.fetcher.Fetcher.validate_offsets_if_needed": "2e35ecec2b17",
        "kafka.consumer.group.KafkaConsumer.__init__": "71d7599e5558",
        "kafka.consumer.group.KafkaConsumer._poll_once": "8d14bf9d1722",
        "kafka.consumer.group.KafkaConsumer.seek": "4000fc7e74a3",
        "kafka.consumer.subscription_state.SubscriptionState.seek": "403a2cd752e8",
        "kafka.consumer.subscription_state.TopicPartitionState": "8d2e5b91c9d4",
        "kafka.net.selector.NetworkSelector.poll": "7b73b16fc055",
    },
    "fetch_requests": {
        "kafka.consumer.fetcher.FetchSessionHandler.build_next": "eb0b3b2205b2",
        "kafka.consumer.fetcher.Fetcher._create_fetch_requests": "4399843be7e4",
    },
    "producer": {
        "kafka.producer.kafka.KafkaProducer._serialize": "e20bc6a0a57e",
        "kafka.producer.kafka.KafkaProducer.close": "431699b88f33",
        "kafka.producer.kafka.KafkaProducer.send": "70c63bac7acf",
        "kafka.producer.sender.Sender.add_topic": "34cd36ccbc11",
        "kafka.producer.sender.Sender.force_close": "7963a0d23bc9",
        "kafka.producer.sender.Sender.run": "58a7e71ecb8b",
        "kafka.producer.sender.Sender.run_once": "91bf02ab61c2",
        "kafka.producer.sender.Sender.wakeup": "a3677a55679d",
    },
}
"""By file of the driver, what it replaces, wraps or calls, with the beginning of the SHA-256 of its text."""

ATTRIBUTES = {
    "admin": {"kafka.admin.client.KafkaAdminClient": {"_manager"}},
    "batches": {
        "kafka.consumer.fetcher.Fetcher.PartitionRecords": {"_next_inline_exception"},
        "kafka.record.default_records.DefaultRecordBatch": {"_buffer", "_pos"},
        "kafka.record.legacy_records.LegacyRecordBatch": {"_buffer", "_decompressed"},
    },
    "clients": {
        "kafka.net.compat.KafkaNetClient": {"_manager", "_net"},
        "kafka.net.selector.NetworkSelector": {"_io_thread"},
    },
    "connections": {
        "kafka.net.manager.KafkaConnectionManager": {"_conns", "_net"},
        "kafka.net.selector.NetworkSelector": {"_current"},
        "kafka.net.transport.KafkaTCPTransport": {
            "_closed",
            "_net",
            "_protocol",
            "_read",
            "_sock",
            "_write",
            "_writing",
        },
    },
    "consumer": {
        "kafka.consumer.group.KafkaConsumer": {"_client", "_fetcher", "_manager", "_net", "_subscription"},
        "kafka.consumer.fetcher.Fetcher": {
            "_completed_fetches",
            "_next_in_line_exception_metadata",
            "_next_partition_records",
            "_paused_completed_fetches",
            "_paused_partition_records",
        },
    },
    "producer": {
        "kafka.producer.kafka.KafkaProducer": {"_sender"},
        "kafka.producer.sender.Sender": {"_topics_to_add"},
    },
}
"""By file of the driver, and by class, the attributes that it reads or sets."""

METHODS = {
    "batches": {
        "kafka.consumer.fetcher.Fetcher.PartitionRecords": {
            "_consume_aborted_transactions_up_to",
            "_contains_abort_marker",
            "_is_batch_aborted",
            "_maybe_raise_next_inline_exception",
            "_unpack_records",
            "take",
        }
    },
    "fetch_requests": {"kafka.consumer.fetcher": {"_FetchPartition"}},
    "producer": {"kafka.Serializer": {"serialize"}},
}
"""The same for what is in the text of something larger in `TEXTS`, or has none of its own."""

NO_PRIVATE_NAME = {"_replace"}
"""What begins with an underscore, and is public all the same."""


def found(path):
    """Return what has this dotted name in kafka-python; fail when there is none."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            here = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        break
    for part in parts[length:]:
        if not hasattr(here, part):
            pytest.fail(f"kafka-python {kafka.__version__} has no {path} any more")
        here = getattr(here, part)
    return here


@pytest.mark.parametrize(
    ("file", "path"), [(file, path) for file, texts in TEXTS.items() for path in texts], ids=lambda part: part
)
def test_it_does_what_it_did(file, path):
    text = hashlib.sha256(inspect.getsource(found(path)).encode()).hexdigest()[:12]
    assert text == TEXTS[file][path], (
        f"kafka-python {kafka.__version__} has another {path}: see whether driver/{file}.py still fits it; if so, "
        f"its text here is {text}"
    )


@pytest.mark.parametrize(
    ("file", "path", "name"),
    [
        (file, path, name)
        for file, classes in ATTRIBUTES.items()
        for path, names in classes.items()
        for name in sorted(names)
    ],
)
def test_objects_have_the_attribute(file, path, name):
    assert re.search(rf"\bself\.{name} = ", inspect.getsource(found(path))), (
        f"a {path} of kafka-python {kafka.__version__} has no {name} any more, which driver/{file}.py uses"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for classes in METHODS.values() for path, names in classes.items() for name in sorted(names)],
)
def test_there_is_something_of_that_name(path, name):
    found(f"{path}.{name}")


def test_fetches_make_what_they_ask_by_the_name_that_is_replaced():
    from kafka.consumer.fetcher import Fetcher, _FetchPartition

    assert callable(_FetchPartition)
    assert " _FetchPartition(" in inspect.getsource(Fetcher._create_fetch_requests), (
        f"fetches of kafka-python {kafka.__version__} ask by another name: see reuse_fetch_partitions"
    )


def test_records_that_have_come_are_made_by_the_class_that_is_replaced():
    from kafka.consumer.fetcher import Fetcher

    assert "self.PartitionRecords(" in inspect.getsource(Fetcher._parse_fetched_data), (
        f"kafka-python {kafka.__version__} makes records by another class: see driver/consumer.py"
    )


def test_requests_are_printed_by_the_logger_that_is_silenced():
    from kafka.protocol import parser

    assert parser.log.name == "kafka.protocol.parser", (
        f"kafka-python {kafka.__version__} prints requests by the logger {parser.log.name}: see REQUEST_LOGGER"
    )
    others = [
        module.name
        for module in pkgutil.walk_packages(kafka.__path__, "kafka.")
        if module.name.startswith(("kafka.net.", "kafka.protocol."))
        and module.name != parser.log.name
        and "Sending request %d %s" in Path(importlib.util.find_spec(module.name).origin).read_text(encoding="utf-8")
    ]
    assert not others, f"kafka-python {kafka.__version__} prints requests elsewhere, too: {others}"


def underscored(name):
    return name.startswith("_") and not name.startswith("__")


def used(path):
    """Return the private names that a file of the driver takes from objects, but those that it makes itself."""
    taken, own = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and underscored(node.attr):
            of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
            (own if of_self and isinstance(node.ctx, ast.Store) else taken).add((node.attr, of_self))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own.add((node.name, True))
    return {name for name, _ in taken - own} - NO_PRIVATE_NAME


def listed(file):
    """Return the private names that are listed here for a file of the driver."""
    of_classes = [names for kind in (ATTRIBUTES, METHODS) for names in kind.get(file, {}).values()]
    return {path.rpartition(".")[2] for path in TEXTS.get(file, ())}.union(*of_classes)


@pytest.mark.parametrize("path", sorted(DRIVER.glob("*.py")), ids=lambda path: path.stem)
def test_all_private_names_that_the_driver_uses_are_listed_here(path):
    assert used(path) <= listed(path.stem), "list here what they rest on"


@pytest.mark.parametrize("file", sorted(ATTRIBUTES.keys() | METHODS.keys()))
def test_nothing_is_listed_here_that_the_driver_does_not_use(file):
    text = (DRIVER / f"{file}.py").read_text(encoding="utf-8")
    of_classes = [names for kind in (ATTRIBUTES, METHODS) for names in kind.get(file, {}).values()]
    assert not [name for name in set().union(*of_classes) if not re.search(rf"\b{name}\b", text)]


def test_everything_that_the_driver_overrides_is_listed_here():
    from mesaya_ws.eventlog.kafka.driver import batches, connections, consumer, producer

    overridden = 0
    for module in (batches, connections, consumer, producer):
        file = module.__name__.rpartition(".")[2]
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("kafka.")]
            for name, value in vars(kind).items():
                is_theirs = any(name in vars(base) for base in bases)
                if inspect.isfunction(value) and not name.startswith("__") and is_theirs:
                    overridden += 1
                    assert name in listed(file), f"{kind.__qualname__}.{name}"
    assert overridden > 8
