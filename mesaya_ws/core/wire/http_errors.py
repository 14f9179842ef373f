"""Every way in which a request is refused: with which status, by which code, and what that means.

Answers are `{"error": {"code", "message"}}`; the message is a sentence about the case at hand.
"""

from http import HTTPStatus

from attrs import frozen


@frozen
class HttpError:
    """Why a request is refused."""

    status: HTTPStatus
    code: str
    meaning: str


BAD_REQUEST = HttpError(HTTPStatus.BAD_REQUEST, "bad_request", "The request is not well-formed HTTP/1.1.")
BAD_HANDSHAKE = HttpError(HTTPStatus.BAD_REQUEST, "bad_handshake", "The handshake is not that of RFC 6455.")
BAD_CHANNEL = HttpError(
    HTTPStatus.BAD_REQUEST,
    "bad_channel",
    "A channel, the id, or `wait` is none that there can be; the message says which.",
)
TOO_MANY_CHANNELS = HttpError(
    HTTPStatus.BAD_REQUEST, "too_many_channels", "The request names more than MAX_SUBSCRIPTIONS channels."
)
BAD_JSON = HttpError(HTTPStatus.BAD_REQUEST, "bad_json", "The body is not a JSON object.")
UNAUTHORIZED = HttpError(HTTPStatus.UNAUTHORIZED, "unauthorized", "PUBLISH_TOKEN was not sent, or another one was.")
BAD_TOKEN = HttpError(
    HTTPStatus.UNAUTHORIZED,
    "bad_token",
    "The handshake's token names nobody; the message says what is wrong with it.",
)
ORIGIN_NOT_ALLOWED = HttpError(
    HTTPStatus.FORBIDDEN, "origin_not_allowed", "Pages of this origin may not connect (ALLOWED_ORIGINS)."
)
HOST_NOT_ALLOWED = HttpError(
    HTTPStatus.FORBIDDEN,
    "host_not_allowed",
    "With `AUTH=off`, this is not answered under a name that may be anybody's (DNS rebinding).",
)
PUBLISH_DISABLED = HttpError(HTTPStatus.FORBIDDEN, "publish_disabled", "PUBLISH_TOKEN is not set.")
PRIVATE_CHANNEL = HttpError(HTTPStatus.FORBIDDEN, "private_channel", "One of the channels is not open to this client.")
NOT_FOUND = HttpError(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this path.")
METHOD_NOT_ALLOWED = HttpError(
    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not one for this path."
)
HEAD_TOO_LATE = HttpError(
    HTTPStatus.REQUEST_TIMEOUT, "head_too_late", "The head of the request took longer than HANDSHAKE_TIMEOUT."
)
BODY_TOO_LATE = HttpError(HTTPStatus.REQUEST_TIMEOUT, "body_too_late", "The body of the request took too long.")
CONFLICT = HttpError(
    HTTPStatus.CONFLICT, "conflict", "Somebody else holds one of the tables, `until` then; or has a hold with this id."
)
TOO_MANY_HOLDS = HttpError(HTTPStatus.CONFLICT, "too_many", "The user holds as many tables there as one may.")
HOLD_ENDED = HttpError(HTTPStatus.CONFLICT, "hold_ended", "The hold with this id has ended: `reason` says why.")
BODY_TOO_LARGE = HttpError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The body is larger than MAX_BODY_BYTES."
)
TARGET_TOO_LONG = HttpError(
    HTTPStatus.REQUEST_URI_TOO_LONG, "target_too_long", "The path and query of the request are too long."
)
BAD_MESSAGE = HttpError(
    HTTPStatus.UNPROCESSABLE_ENTITY, "bad_message", "A field of the body is missing, or of the wrong type."
)
UNKNOWN_RESTAURANT = HttpError(
    HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_restaurant", "The restaurant is not known, or has been deleted."
)
UNKNOWN_TABLE = HttpError(
    HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_table", "One of the tables stands in another restaurant."
)
UNKNOWN_TOPIC = HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_topic", "The topic is none of KAFKA_TOPICS.")
BAD_RECORD = HttpError(
    HTTPStatus.UNPROCESSABLE_ENTITY, "bad_record", "This service would not understand the record when it reads it back."
)
REFUSED = HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, "refused", "The log will never take this record.")
TOO_WIDE = HttpError(
    HTTPStatus.UNPROCESSABLE_ENTITY, "too_wide", "The record concerns too much to be explained while others are served."
)
UPGRADE_REQUIRED = HttpError(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", "This path is for WebSockets.")
BAD_VERSION = HttpError(
    HTTPStatus.UPGRADE_REQUIRED, "bad_version", "The handshake is of another version of the protocol than 13."
)
TOO_MANY_OF_ADDRESS = HttpError(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_of_address",
    "The client's address holds MAX_CONNECTIONS_PER_ADDRESS already.",
)
TOO_MANY_OF_USER = HttpError(
    HTTPStatus.TOO_MANY_REQUESTS, "too_many_of_user", "The user holds MAX_CONNECTIONS_PER_USER already."
)
TOO_MANY_HANDSHAKES = HttpError(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_handshakes",
    "The client's address has opened more than HANDSHAKES_PER_SECOND.",
)
HEAD_TOO_LARGE = HttpError(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_large",
    "The head of the request is larger than MAX_HEAD_BYTES.",
)
INTERNAL = HttpError(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The service met a fault of its own; it has been logged."
)
UNKNOWN_METHOD = HttpError(HTTPStatus.NOT_IMPLEMENTED, "unknown_method", "The method is none of HTTP.")
TOO_MANY_CONNECTIONS = HttpError(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "too_many_connections",
    "The service holds MAX_CONNECTIONS already, or what `ulimit -n` allows.",
)
DRAINING = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "draining", "This instance is going away: connect again.")
UNAVAILABLE = HttpError(
    HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Whether a token is good cannot be said now: try again in a moment."
)
LOG_UNAVAILABLE = HttpError(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "log_unavailable",
    "The log did not acknowledge: the record may or may not have been appended.",
)

HTTP_ERRORS = (
    BAD_REQUEST,
    BAD_HANDSHAKE,
    BAD_CHANNEL,
    TOO_MANY_CHANNELS,
    BAD_JSON,
    UNAUTHORIZED,
    BAD_TOKEN,
    ORIGIN_NOT_ALLOWED,
    HOST_NOT_ALLOWED,
    PUBLISH_DISABLED,
    PRIVATE_CHANNEL,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    HEAD_TOO_LATE,
    BODY_TOO_LATE,
    CONFLICT,
    TOO_MANY_HOLDS,
    HOLD_ENDED,
    BODY_TOO_LARGE,
    TARGET_TOO_LONG,
    BAD_MESSAGE,
    UNKNOWN_RESTAURANT,
    UNKNOWN_TABLE,
    UNKNOWN_TOPIC,
    BAD_RECORD,
    REFUSED,
    TOO_WIDE,
    UPGRADE_REQUIRED,
    BAD_VERSION,
    TOO_MANY_OF_ADDRESS,
    TOO_MANY_OF_USER,
    TOO_MANY_HANDSHAKES,
    HEAD_TOO_LARGE,
    INTERNAL,
    UNKNOWN_METHOD,
    TOO_MANY_CONNECTIONS,
    DRAINING,
    UNAVAILABLE,
    LOG_UNAVAILABLE,
)
"""All of them, in the order of their statuses."""
