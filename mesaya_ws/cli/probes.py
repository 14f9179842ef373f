"""HTTP requests of `mesaya-ws check`: to the service with these settings, and to the platform's API."""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from mesaya_ws import __version__
from mesaya_ws.cli.address import service_address
from mesaya_ws.core.log.inspection import Finding, error, warning
from mesaya_ws.settings import Settings
from mesaya_ws.settings.display import fingerprints

if TYPE_CHECKING:
    from mesaya_ws.core.access.keys import Key

ANSWER_TIMEOUT = 5.0
"""Seconds for each step of an answer."""

LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that are read."""

CLOCK_TOLERANCE = 10.0
"""Seconds by which another clock may differ; the header Date has whole seconds."""


class Answer(NamedTuple):
    """An HTTP answer: its status, its content if it is JSON (else None), and the server's time (None without Date)."""

    status: int
    content: Any
    time: float | None


class NoAnswerError(Exception):
    """There is no answer; the message is the rest of a sentence."""


class NobodyThereError(NoAnswerError):
    """There is no answer, since nothing listens there."""


class Service(NamedTuple):
    """What is at HOST and PORT: the `facts` of a service about itself, or the `trouble` with whatever listens there.

    Neither: nothing listens there.
    """

    address: str
    facts: Mapping[str, Any] | None = None
    trouble: str | None = None

    @property
    def is_absent(self) -> bool:
        """Whether nothing listens there."""
        return self.facts is None and self.trouble is None


def ask(url: str, token: bytes = b"") -> Answer:
    """Return the answer to a GET of `url`, with a bearer token if there is one. Raises `NoAnswerError`."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        headers = {"Accept": "application/json"} | ({"Authorization": b"Bearer " + token} if token else {})
        with closing(kind(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT)) as connection:
            connection.request("GET", target or "/", headers=headers)
            answer = connection.getresponse()
            body = answer.read(LARGEST_ANSWER)
            date = answer.headers.get("Date")
    except ssl.SSLError as failure:
        raise NoAnswerError(f"TLS fails there: {failure.reason or failure}") from failure
    except (OSError, http.client.HTTPException, UnicodeError) as failure:
        reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        kind_of_error = NobodyThereError if isinstance(failure, ConnectionRefusedError) else NoAnswerError
        raise kind_of_error(f"it does not answer: {reason}") from failure
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    try:
        moment = None if date is None else parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        moment = None
    return Answer(answer.status, content, moment)


def find_service(settings: Settings) -> Service:
    """Examine what is at HOST and PORT."""
    address = service_address(settings)
    try:
        health = ask(f"http://{address}/health")
    except NobodyThereError:
        return Service(address)
    except NoAnswerError as failure:  # such as one that has not begun
        return Service(address, trouble=f"whether a service runs at {address} is not known: {failure}.")
    facts = health.content if isinstance(health.content, dict) else {}
    if "version" not in facts or "ready" not in facts:
        trouble = f"what listens at {address} is not this service: choose another PORT, or end it."
        return Service(address, trouble=trouble)
    return Service(address, facts)


def service_findings(service: Service, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with `service`, if one runs; its settings may differ from these."""
    address, facts, trouble = service
    if trouble is not None:
        yield warning(trouble)
    if facts is None:
        return
    if facts["version"] != __version__:
        yield warning(
            f"the service at {address} is of version {facts['version']}, and this is {__version__}: restart it."
        )
    for reason in facts.get("reasons") or ():
        yield warning(f"the service at {address} says: {reason}")
    try:
        # Only now, since the token must not be shown to another server.
        configuration = ask(f"http://{address}/configuration", settings.publish_token.encode())
    except NoAnswerError:
        return
    if configuration.status == HTTPStatus.UNAUTHORIZED:
        yield warning(f"the service at {address} runs with another PUBLISH_TOKEN than the one here.")
    if configuration.status == HTTPStatus.OK and isinstance(configuration.content, dict):
        theirs = configuration.content.get("fingerprints") or {}
        ours = fingerprints(settings, str(configuration.content.get("salt")))
        differing = ", ".join(name for name in ours if name in theirs and theirs[name] != ours[name])
        if differing:
            yield warning(
                f"the service at {address} runs with other settings than those here: {differing}. "
                "Restart it, or see its environment."
            )


def published_keys(url: str) -> "tuple[Key, ...]":
    """Return the keys of the key set at `url`. Raises `NoAnswerError` or `ValueError`, with the rest of a sentence."""
    from mesaya_ws.core.access.keys import key_set

    answer = ask(url)
    if answer.status != HTTPStatus.OK:
        raise NoAnswerError(f"it answers {answer.status}, not 200")
    try:
        return key_set(answer.content)
    except ValueError as error:
        raise ValueError(f"it {error}") from None


def issuer_findings(settings: Settings) -> Iterator[Finding]:
    """Say what is wrong with JWT_JWKS_URL, if it is set and used."""
    if settings.jwt_jwks_url and settings.auth:
        try:
            published_keys(settings.jwt_jwks_url)
        except (NoAnswerError, ValueError) as failure:
            yield error(f"JWT_JWKS_URL: {settings.jwt_jwks_url}: {failure}.")


def platform_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with PLATFORM_API_URL, if it is set."""
    if not settings.platform_api_url:
        return
    url = f"{settings.platform_api_url.rstrip('/')}/restaurants?page=1&limit=1"
    try:
        answer = ask(url)
    except NoAnswerError as failure:
        yield error(f"PLATFORM_API_URL: {url}: {failure}.")
        return
    rows = answer.content.get("data") if isinstance(answer.content, dict) else None
    if answer.status != HTTPStatus.OK:
        yield error(f"PLATFORM_API_URL: {url} answers {answer.status}, not 200: is it the API's address, with /api/v1?")
    elif not isinstance(rows, list):
        yield error(f"PLATFORM_API_URL: {url} does not answer with a list of restaurants in `data`.")
    if answer.time is not None and abs(answer.time - time()) > CLOCK_TOLERANCE:
        ahead = answer.time - time()
        how = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"
        yield warning(
            f"the clock of {urlsplit(url).hostname} is {how} ours: "
            "set the one that is wrong, for records are ordered by their times."
        )
