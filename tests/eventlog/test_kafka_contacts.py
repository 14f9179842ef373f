"""A broker that is not where Kafka says: reported with the address that fails, and with who named it."""

from collections.abc import Iterator
from time import monotonic

import pytest
import trio

from mesaya_ws.core.log.events import Unavailable
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.eventlog.kafka import open_kafka_log
from mesaya_ws.eventlog.kafka.contacts import CONTACTS, Contact, Contacts
from mesaya_ws.eventlog.kafka.diagnosis import reason
from mesaya_ws.eventlog.kafka.driver.clients import connection_options
from mesaya_ws.settings import Settings
from tests.kafka_broker import Broker
from tests.timing import PATIENCE

BROKER, ELSEWHERE = "127.0.0.1:9092", "kafka.internal:9092"


def contacts(*attempts: Contact) -> Contacts:
    noted = Contacts()
    for attempt in attempts:
        noted.note(attempt)
    return noted


def test_address_that_a_reachable_broker_named_is_misleading():
    failed = Contact(ELSEWHERE, BROKER, "DNS Resolution failure", 2.0)
    assert contacts(Contact(BROKER, "", "", 1.0), failed).misled([BROKER], 1.0) == failed


@pytest.mark.parametrize(
    "attempts",
    [
        [Contact(BROKER, "", "111 ECONNREFUSED", 2.0)],
        [Contact(BROKER, "", "111 ECONNREFUSED", 2.0), Contact(ELSEWHERE, BROKER, "111 ECONNREFUSED", 2.0)],
        [Contact(BROKER, "", "", 2.0), Contact(ELSEWHERE, BROKER, "", 2.0)],
        [Contact(BROKER, "", "", 2.0), Contact(BROKER, BROKER, "111 ECONNREFUSED", 2.0)],
        [Contact(BROKER, "", "", 0.5), Contact(ELSEWHERE, BROKER, "111 ECONNREFUSED", 2.0)],
        [Contact(BROKER, "", "", 2.0), Contact(ELSEWHERE, BROKER, "111 ECONNREFUSED", 0.5)],
        [Contact("other:9092", "", "", 2.0), Contact(ELSEWHERE, "other:9092", "111 ECONNREFUSED", 2.0)],
    ],
    ids=["no broker", "all gone", "all there", "named as we do", "no longer there", "long ago", "another cluster"],
)
def test_other_failures_are_not(attempts):
    assert contacts(*attempts).misled([BROKER], 1.0) is None


def test_number_of_addresses_is_bounded():
    noted = Contacts(most=3)
    noted.note(Contact(BROKER, "", "", 1.0))
    for number in range(10):
        noted.note(Contact(f"host{number}:1", BROKER, "111 ECONNREFUSED", 1.0))
    noted.note(Contact(BROKER, "", "", 1.0))
    assert noted.misled([BROKER], 0.0) == Contact("host9:1", BROKER, "111 ECONNREFUSED", 1.0)
    assert len(noted._last) == 3


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("DNS Resolution failure", "that name cannot be resolved here"),
        ("111 ECONNREFUSED", "nothing listens there"),
        ("113 EHOSTUNREACH", "there is no way to that host from here"),
        ("Connection timed out", "it does not answer"),
        ("Handshake failed: certificate is not valid for 'kafka.internal'", "the broker's certificate is for another"),
    ],
)
def test_sentence_names_who_fails_and_who_named_it(failure, words):
    broker, elsewhere, now = "sentence.test:9092", "inner.test:9092", monotonic()
    CONTACTS.note(Contact(broker, "", "", now))
    CONTACTS.note(Contact(elsewhere, broker, failure, now))
    said = reason(connection_options(Settings(kafka_brokers=(broker,))), now)
    assert said.startswith(f"Kafka names {elsewhere} as the address of a broker, but {words}")
    assert f" {broker} answers, and gave it: correct advertised.listeners of that broker" in said


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that is not started yet."""
    broker = Broker(tmp_path_factory.mktemp("misleading"))
    yield broker
    broker.kill()


@pytest.mark.kafka
async def test_a_broker_that_names_a_wrong_address_is_reported(broker: Broker):
    cases = {
        "kafka.internal.invalid:9092": "that name cannot be resolved here",
        "127.0.0.2:1": "nothing listens there",
    }
    addresses = {broker.mislead(advertised): advertised for advertised in cases}
    await trio.to_thread.run_sync(broker.start)
    for address, advertised in addresses.items():
        async with open_kafka_log(Settings(kafka_brokers=(address,))) as log:
            with pytest.raises(LogUnavailableError) as caught:
                await log.extents()
            why = cases[advertised]
            said = f"Kafka names {advertised} as the address of a broker, but {why}. {address} answers, and gave it:"
            assert str(caught.value).startswith(said)
            sender, receiver = trio.open_memory_channel[object](10)
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(log.follow, sender.send)
                    news = await receiver.receive()
                    nursery.cancel_scope.cancel()
            assert isinstance(news, Unavailable)
            assert news.reason.startswith(said)
