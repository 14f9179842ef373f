"""Everything that can be set: names, defaults, units, and what each is for; one module for each group.

A new setting goes into the module of its group, and what it must not be together with others into `contradictions`.
Values are read by `mesaya_ws.environment`; `scripts/reference.py` writes the tables of docs/configuration.md.
"""

from pathlib import Path

import attrs
import typed_settings as ts

from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.settings.access import AccessSettings
from mesaya_ws.settings.errors import SettingsError
from mesaya_ws.settings.event_log import EventLogSettings
from mesaya_ws.settings.history import HistorySettings
from mesaya_ws.settings.interactions import InteractionSettings
from mesaya_ws.settings.kafka import KafkaSettings
from mesaya_ws.settings.limits import LimitSettings
from mesaya_ws.settings.platform import PlatformSettings
from mesaya_ws.settings.server import LOOPBACK_ONLY, ServerSettings
from mesaya_ws.settings.slow_clients import SlowClientSettings
from mesaya_ws.settings.tokens import TokenSettings
from mesaya_ws.settings.units import MIB

__all__ = ["GROUPS", "LOOPBACK_ONLY", "MIB", "Settings", "SettingsError", "followed", "limits_of", "state_directory"]


@ts.settings(frozen=True, slots=False)
class Settings(
    # attrs begins with the fields of the last base: these are the GROUPS from the last to the first.
    PlatformSettings,
    InteractionSettings,
    HistorySettings,
    SlowClientSettings,
    LimitSettings,
    TokenSettings,
    AccessSettings,
    KafkaSettings,
    EventLogSettings,
    ServerSettings,
):
    """All settings of the service."""


STATE_DIR = "mesaya-ws.state"
"""The name of the state directory, unless it is set."""

GROUPS = {
    "The server": ServerSettings,
    "The event log": EventLogSettings,
    "Kafka": KafkaSettings,
    "Access": AccessSettings,
    "Tokens": TokenSettings,
    "Limits": LimitSettings,
    "Slow and silent clients": SlowClientSettings,
    "Clients that come back": HistorySettings,
    "Chat, holds, acknowledgements and presence": InteractionSettings,
    "The platform": PlatformSettings,
}
"""The groups in the order of the documentation, by their titles there."""


def state_directory(settings: Settings) -> Path:
    """Return the directory of the service's own state: STATE_DIR, or its default."""
    if settings.state_dir:
        return Path(settings.state_dir)
    return Path(STATE_DIR) if settings.kafka_brokers else settings.event_log_file.with_name(STATE_DIR)


def limits_of(settings: Settings) -> dict[str, float]:
    """Return the settings that are numbers, by name: the metrics show them beside what they limit."""
    values = {name.upper(): getattr(settings, name) for name in attrs.fields_dict(Settings) if name != "port"}
    return {name: value for name, value in values.items() if type(value) in (int, float)}


def followed(settings: Settings) -> tuple[str, ...]:
    """Return the topics that are followed: KAFKA_TOPICS, those of interactions, and that of parents if it is used."""
    own = (PARENTS_TOPIC,) if settings.platform_api_url else ()
    return tuple(dict.fromkeys((*settings.kafka_topics, CHAT, ACKS, HOLDS, *own)))
