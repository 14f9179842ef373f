"""Values that are valid each by itself, but not together."""

from collections.abc import Iterator

from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.platform.topics import REVOCATIONS
from mesaya_ws.settings import Settings, followed
from mesaya_ws.settings.tokens import token_sources


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each contradiction."""
    yield from _kafka(settings)
    yield from _tokens(settings)
    if REVOCATIONS in (*settings.kafka_topics, settings.checkpoint_topic):
        yield f"{REVOCATIONS} is the topic of revocations: neither KAFKA_TOPICS nor CHECKPOINT_TOPIC may name it"
    if PRESENCE in (*settings.kafka_topics, settings.checkpoint_topic):
        yield f"{PRESENCE} is the topic of presence: neither KAFKA_TOPICS nor CHECKPOINT_TOPIC may name it"
    if settings.checkpoint_topic in followed(settings):
        yield f"CHECKPOINT_TOPIC={settings.checkpoint_topic} is followed for its events: choose a topic of its own"


def _kafka(settings: Settings) -> Iterator[str]:
    protocol = settings.kafka_security_protocol
    if protocol.startswith("SASL") and not (settings.kafka_sasl_username and settings.kafka_sasl_password):
        yield f"KAFKA_SECURITY_PROTOCOL={protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    if bool(settings.kafka_ssl_certfile) != bool(settings.kafka_ssl_keyfile):
        yield "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE belong together: set both or neither"


def _tokens(settings: Settings) -> Iterator[str]:
    sources = token_sources(settings)
    if len(sources) > 1:
        yield f"{' and '.join(sources)} are set: tokens are verified with keys of one source, so set only one of them"
    if settings.jwt_secret_previous and not settings.jwt_secret:
        yield "JWT_SECRET_PREVIOUS is the secret before JWT_SECRET: set that as well, or neither"
    if settings.auth_required and not (settings.auth and sources):
        yield (
            "AUTH_REQUIRED=on needs AUTH=on and one of JWT_PUBLIC_KEY, JWT_JWKS_URL and JWT_SECRET: "
            "else nobody could connect"
        )
