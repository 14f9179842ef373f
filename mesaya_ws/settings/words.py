"""The words that settings may be, in any case."""

from collections.abc import Iterable

from mesaya_ws.runtime.readiness import STATES

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
SLOW_TABLES = ("close", "conflate")
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def in_any_case(word: str) -> str:
    """Return the word that is meant, in any case and with `-` or `_`; an unknown one is returned as it is."""
    return _MEANT.get(_plain(word), word)


def words_in_any_case(words: Iterable[str]) -> tuple[str, ...]:
    """Convert several words as `in_any_case` does."""
    return tuple(map(in_any_case, words))


def _plain(word: str) -> str:
    return word.casefold().replace("_", "-")


_WORDS = (*LOG_LEVELS, *LOG_FORMATS, *SECURITY_PROTOCOLS, *SASL_MECHANISMS, *SLOW_TABLES, *STATES)
_MEANT = {_plain(word): word for word in _WORDS} | {
    "trace": "debug",
    "warn": "warning",
    "critical": "error",
    "fatal": "error",
}
