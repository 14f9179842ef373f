"""Why Kafka does not answer, as a sentence that a person can act on.

The clients retry without end, and raise no more than a timeout; the cause is only in what they log. So the warnings and
errors of the logger `kafka` (some ten a second in an outage) are captured here instead of being printed.
"""

import logging
import re
from time import monotonic

from mesaya_ws.eventlog.kafka.contacts import CONTACTS, Contact, not_there
from mesaya_ws.eventlog.kafka.driver import REQUEST_LOGGER
from mesaya_ws.eventlog.kafka.driver.clients import Options

_MAX_MESSAGES = 100

# The most specific first.
_SENTENCES = (
    (
        r"SaslAuthenticationFailed|Authentication failed",
        "the broker refuses the credentials: see KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    ),
    (
        r"UnsupportedSaslMechanism",
        "the broker does not offer this way to authenticate: see KAFKA_SASL_MECHANISM ({sasl_mechanism})",
    ),
    (
        r"certificate is not valid for|[Hh]ostname mismatch",
        "the broker's certificate is for another host: name the broker in KAFKA_BROKERS as its certificate does, or "
        "set KAFKA_SSL_CHECK_HOSTNAME=off",
    ),
    (r"certificate has expired", "the broker's certificate has expired: renew it"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the authority of the broker's certificate is not known: put its certificate into KAFKA_SSL_CAFILE",
    ),
    (
        r"ALERT_BAD_CERTIFICATE|CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE",
        "the broker does not accept our certificate, or wants one: see KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE",
    ),
    (
        r"EOF occurred in violation of protocol|WRONG_VERSION_NUMBER|UNEXPECTED_EOF|RECORD_LAYER_FAILURE",
        "the broker does not speak TLS on that port: see KAFKA_SECURITY_PROTOCOL ({security_protocol}) and the port",
    ),
    (
        r"Invalid frame length|InvalidReceive",
        "what answers on that port does not speak {security_protocol}: see KAFKA_SECURITY_PROTOCOL and the port",
    ),
    (
        r"gaierror|Name or service not known|nodename nor servname|[Nn]ame resolution|DNS",
        "the name of the broker cannot be resolved: see KAFKA_BROKERS, and the name service",
    ),
    (r"ECONNREFUSED|[Cc]onnection refused", "nothing listens there: start the broker, or see KAFKA_BROKERS"),
    (
        r"ENETUNREACH|EHOSTUNREACH|[Nn]etwork is unreachable|[Nn]o route to host",
        "there is no way to that host: see the network, and KAFKA_BROKERS",
    ),
)
_CLOSED = re.compile(r"socket disconnected|Connection reset|ECONNRESET|Closed connection")


class _LogCapture(logging.Handler):
    """Captures what the clients log, in any thread, each message with when it was logged last."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()[:1000]
        # The newest is last.
        self._last.pop(message, None)
        self._last[message] = monotonic()
        if len(self._last) > _MAX_MESSAGES:
            del self._last[next(iter(self._last))]

    def since(self, start: float) -> list[str]:
        """Return the messages logged since `start` (of the monotonic clock), each once."""
        self.acquire()
        try:
            return [message for message, time in self._last.items() if time >= start]
        finally:
            self.release()


_CAPTURE = _LogCapture()


def capture_client_logs() -> None:
    """Capture what the clients log from now on, instead of printing it."""
    logger = logging.getLogger("kafka")
    if _CAPTURE not in logger.handlers:
        logger.addHandler(_CAPTURE)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        # At DEBUG it would print whole requests, the password among them.
        logging.getLogger(REQUEST_LOGGER).setLevel(logging.INFO)


def reason(options: Options, start: float) -> str:
    """Return a sentence that says why the brokers have not answered since `start` (of the monotonic clock)."""
    misled = CONTACTS.misled(options["bootstrap_servers"], start)
    if misled is not None:
        return _misled(misled, options)
    what = _cause("\n".join(_CAPTURE.since(start)), "sasl_mechanism" in options).format(**options)
    return f"Kafka does not answer at {', '.join(options['bootstrap_servers'])}: {what}."


def _misled(contact: Contact, options: Options) -> str:
    """Return a sentence that says that a broker is not where Kafka says."""
    why = not_there(contact.failure)
    if why is None:
        why = _cause(contact.failure, "sasl_mechanism" in options).format(**options)
    return (
        f"Kafka names {contact.address} as the address of a broker, but {why}. {contact.named_by} answers, and gave "
        "it: correct advertised.listeners of that broker, or make the address reachable from here."
    )


def _cause(complaints: str, authenticates: bool) -> str:
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, complaints):
            return sentence
    if not _CLOSED.search(complaints):
        return "there is no answer in time: see whether the broker is well, and the way to it"
    if authenticates:
        return "it closes the connection: wrong credentials, or KAFKA_SECURITY_PROTOCOL and the port do not match"
    return "it closes the connection: see whether KAFKA_SECURITY_PROTOCOL ({security_protocol}) and the port match"
