"""Which brokers could be connected to, and who told of them: what the clients' log does not say.

A client asks the brokers of KAFKA_BROKERS where all brokers are, and then speaks to the addresses that it is told
(`advertised.listeners`). One of those that is wrong looks like a Kafka that does not answer.
"""

import re
from collections.abc import Collection
from threading import Lock
from typing import NamedTuple

MOST = 1000
"""Addresses that are remembered."""


_NOT_THERE = (
    (r"DNS|gaierror", "that name cannot be resolved here"),
    (r"ECONNREFUSED|[Cc]onnection refused", "nothing listens there"),
    (r"ENETUNREACH|EHOSTUNREACH|unreachable|[Nn]o route", "there is no way to that host from here"),
    (r"[Tt]imed out|Timeout", "it does not answer"),
)


def not_there(failure: str) -> str | None:
    """Say what is wrong with an address if a failure to connect to it means that nobody is there; else return None."""
    return next((sentence for pattern, sentence in _NOT_THERE if re.search(pattern, failure)), None)


class Contact(NamedTuple):
    """The last attempt to connect to an address, `at` some time (of the monotonic clock), and why it failed, if so.

    `told_by` is the address of KAFKA_BROKERS that named it; empty when it is one of those itself.
    """

    address: str
    told_by: str
    failure: str
    at: float


class Contacts:
    """The last attempts of all clients in this process, whatever their threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last: dict[str, Contact] = {}
        self._lock = Lock()

    def note(self, contact: Contact) -> None:
        """Take note of an attempt; those before it to the same address are forgotten."""
        with self._lock:
            self._last.pop(contact.address, None)
            self._last[contact.address] = contact
            if len(self._last) > self._most:
                del self._last[next(iter(self._last))]

    def failure(self, address: str) -> str:
        """Return why the last attempt to connect to an address failed; the empty text when it did not."""
        with self._lock:
            contact = self._last.get(address)
        return "" if contact is None else contact.failure

    def misled(self, brokers: Collection[str], since: float) -> Contact | None:
        """Return the last contact that failed `since` then though one of `brokers`, which named it, can be reached.

        An address that is one of `brokers` itself is not wrong: if it fails, that broker is not there.
        """
        with self._lock:
            contacts = list(self._last.values())
        reached = {contact.address for contact in contacts if not contact.failure and contact.at >= since}
        for contact in reversed(contacts):
            named = contact.told_by in reached and contact.told_by in brokers and contact.address not in brokers
            if contact.failure and contact.at >= since and named:
                return contact
        return None


CONTACTS = Contacts()
"""Those of this process, as the clients' complaints are."""
