"""The settings as they are given: read and checked.

A setting is read from the environment variable of the same name in capitals, or from `.env` in the working directory;
the environment wins. An empty value counts as not set.
"""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
from dotenv import dotenv_values
from typed_settings.converters import TSConverter

from mesaya_ws.settings import LOOPBACK_ONLY, Settings, SettingsError
from mesaya_ws.settings.contradictions import contradictions
from mesaya_ws.settings.tokens import TOKEN_SETTINGS

_CONVERTER = TSConverter(strlist_sep=lambda text: [word for part in text.split(",") if (word := part.strip())])
_FOR_ANY_LOG = ("KAFKA_TOPICS", "")
_ALIKE = 0.85
"""Similarity, from 0 to 1, from which on an unknown name is taken for a misspelt setting."""

_RENAMED = {
    "EVENT_LOG": "EVENT_LOG_FILE",
    "OUTBOX_BYTES": "SEND_QUEUE_BYTES",
    "OUTBOX_MESSAGES": "SEND_QUEUE_MESSAGES",
    "PARENT_WAIT": "PARENT_TIMEOUT",
    "RELOAD_SECONDS": "RELOAD_TIMEOUT",
    "STATE_TOPIC": "CHECKPOINT_TOPIC",
}
"""Settings by the names that they had before 0.1.0."""

_KINDS = {int: "a whole number", float: "a number", bool: "`on` or `off`"}


def load_settings(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the settings from `environ` (default: the process's) and `.env` in `directory` (default: the working one).

    Raises `SettingsError` with a sentence for every value that cannot be used.
    """
    texts = given(environ, directory)
    values: dict[str, Any] = {}
    problems = [f"{old} is called {new} now: rename it" for old, new in _RENAMED.items() if old in texts]
    problems += _unknown_tokens(texts)
    for field in attrs.fields(Settings):
        if text := texts.get(field.name.upper()):
            try:
                values[field.name] = _value(field, text)
            except ValueError as error:
                problems.append(str(error))
    if not problems:
        settings = Settings(**values)
        if not settings.auth and "host" not in values:
            settings = attrs.evolve(settings, host=LOOPBACK_ONLY)
        problems.extend(contradictions(settings))
    if problems:
        raise SettingsError(problems)
    return settings


def given(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> dict[str, str]:
    """Return the texts that `load_settings` reads, by name, whether they are settings or not, without empty ones.

    Raises `SettingsError` when `.env` cannot be read.
    """
    path = (directory or Path.cwd()) / ".env"
    try:
        dotenv = dotenv_values(path, encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from None
    sources = (dotenv, os.environ if environ is None else environ)
    return {name: text.strip() for source in sources for name, text in source.items() if text and text.strip()}


def _value(field: "attrs.Attribute[Any]", text: str) -> object:
    """Convert and validate the `text` given for `field`. Raises `ValueError` with a sentence."""
    wanted: type = field.type or str
    try:
        value: object = _CONVERTER.structure(text, wanted)
    except (ValueError, TypeError):
        kind = _KINDS.get(wanted, "text")
        raise ValueError(f"{field.name.upper()} must be {kind}, not {text!r}") from None
    if callable(field.converter):
        value = field.converter(value)
    if field.validator is not None:
        field.validator(None, field, value)
    return value


def _unknown_tokens(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each name that begins with `JWT_` and is no setting: it may be meant to close something."""
    for text in sorted(text for text in texts if text.startswith("JWT_") and text not in TOKEN_SETTINGS):
        alike = get_close_matches(text, TOKEN_SETTINGS, 1, _ALIKE)
        hint = f"{alike[0]} may be meant" if alike else f"there are {', '.join(TOKEN_SETTINGS)}"
        yield f"{text} is no setting, and would have no effect: {hint}"


def unused(settings: Settings, texts: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each of the `texts` that has no effect beside the others, or is a misspelt setting."""
    names = {field.name.upper() for field in attrs.fields(Settings)}
    kafka, protocol = bool(settings.kafka_brokers), settings.kafka_security_protocol

    def given(prefix: str) -> list[str]:
        return sorted(name for name in texts if name in names and name.startswith(prefix))

    if kafka and (listed := given("EVENT_LOG_FILE")):
        yield f"{_not_used(listed)}, since KAFKA_BROKERS is set"
    if not kafka and (listed := [name for name in given("KAFKA_") if name not in _FOR_ANY_LOG]):
        yield f"{_not_used(listed)}, since KAFKA_BROKERS is not set"
    for part in ("SASL", "SSL"):
        if kafka and part not in protocol and (listed := given(f"KAFKA_{part}_")):
            yield f"{_not_used(listed)} with KAFKA_SECURITY_PROTOCOL={protocol}"
    if not settings.auth and (listed := given("JWT_")):
        yield f"{_not_used(listed)} with AUTH=off"
    for text in sorted(texts.keys() - names):
        if alike := get_close_matches(text, names, 1, _ALIKE):
            yield f"{text} is no setting, and has no effect; {alike[0]} may be meant"


def _not_used(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not used"
