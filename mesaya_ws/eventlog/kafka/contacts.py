"""Which brokers could be connected to, and which broker named their addresses; the clients do not log that.

A client asks the brokers of KAFKA_BROKERS where all brokers are, and then connects to the addresses in the answer
(`advertised.listeners`). If such an address is wrong, it looks as if Kafka did not answer.
"""

import re
from collections.abc import Collection
from threading import Lock
from typing import NamedTuple

MAX_ADDRESSES = 1000
"""Addresses that are remembered."""


_NOT_THERE = (
    (r"DNS|gaierror", "that name cannot be resolved here"),
    (r"ECONNREFUSED|[Cc]onnection refused", "nothing listens there"),
    (r"ENETUNREACH|EHOSTUNREACH|unreachable|[Nn]o route", "there is no way to that host from here"),
    (r"[Tt]imed out|Timeout", "it does not answer"),
)


def not_there(failure: str) -> str | None:
    """Return what is wrong with an address if `failure` means that nothing answers there; otherwise None."""
    return next((sentence for pattern, sentence in _NOT_THERE if re.search(pattern, failure)), None)


class Contact(NamedTuple):
    """An attempt to connect to an address, `at` a time of the monotonic clock; `failure` is empty if it succeeded.

    `named_by` is the address of KAFKA_BROKERS that named it; empty when it is one of those itself.
    """

    address: str
    named_by: str
    failure: str
    at: float


class Contacts:
    """The last attempt for each address, by all clients and threads of this process."""

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self._most = most
        self._last: dict[str, Contact] = {}
        self._lock = Lock()

    def note(self, contact: Contact) -> None:
        """Note an attempt, in place of the previous one to the same address."""
        with self._lock:
            self._last.pop(contact.address, None)
            self._last[contact.address] = contact
            if len(self._last) > self._most:
                del self._last[next(iter(self._last))]

    def failure(self, address: str) -> str:
        """Return why the last attempt to connect to an address failed; empty when it did not."""
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
            named = contact.named_by in reached and contact.named_by in brokers and contact.address not in brokers
            if contact.failure and contact.at >= since and named:
                return contact
        return None


CONTACTS = Contacts()
"""The contacts of this process."""
