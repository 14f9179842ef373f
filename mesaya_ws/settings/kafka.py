"""Settings of Kafka."""

import typed_settings as ts

from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.settings.validators import brokers, named_like_topics, one_of
from mesaya_ws.settings.words import SASL_MECHANISMS, SECURITY_PROTOCOLS, in_any_case


@ts.settings(frozen=True, slots=False)
class KafkaSettings:
    """The connection to Kafka, and the topics to follow."""

    kafka_brokers: tuple[str, ...] = ts.option(
        default=(), validator=brokers, help="Kafka bootstrap servers, `host:port` separated by commas."
    )
    kafka_group_id: str = ts.option(
        default="mesaya-ws-group",
        help="Name of this deployment in Kafka (client id). It does not split the stream.",
    )
    kafka_topics: tuple[str, ...] = ts.option(
        default=TOPICS, validator=named_like_topics, help="Topics to follow, separated by commas."
    )
    kafka_security_protocol: str = ts.option(
        default="PLAINTEXT",
        converter=in_any_case,
        validator=one_of(*SECURITY_PROTOCOLS),
        help="Protocol of connections to the brokers.",
    )
    kafka_sasl_mechanism: str = ts.option(
        default="PLAIN",
        converter=in_any_case,
        validator=one_of(*SASL_MECHANISMS),
        help="SASL mechanism.",
    )
    kafka_sasl_username: str = ts.option(default="", help="SASL user.")
    kafka_sasl_password: ts.SecretStr = ts.secret(default=ts.SecretStr(""), help="SASL password.")
    kafka_ssl_cafile: str = ts.option(default="", help="PEM file of the brokers' authority; none: the system's.")
    kafka_ssl_certfile: str = ts.option(
        default="", help="PEM file of the service's client certificate, for mutual TLS."
    )
    kafka_ssl_keyfile: str = ts.option(default="", help="PEM file of that certificate's key.")
    kafka_ssl_check_hostname: bool = ts.option(
        default=True, help="Whether the brokers' certificates must name their hosts."
    )
