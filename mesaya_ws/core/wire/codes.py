"""Every way in which the service says no: error codes in answers, and close codes of connections.

Close codes below 4000 are those of RFC 6455, 7.4.1 and its IANA registry; 4000-4999 are private to this service.
"""

from attrs import frozen


@frozen
class CloseCode:
    """Why a connection is closed; `reconnect` says whether to come back makes sense."""

    code: int
    name: str
    meaning: str
    reconnect: bool


@frozen
class ErrorCode:
    """Why a message was not obeyed; the connection goes on."""

    name: str
    meaning: str


NORMAL = CloseCode(
    1000,
    "normal",
    "The client asked for the end, or something between did: the service sends this as an answer alone.",
    reconnect=True,
)
UNSUPPORTED_DATA = CloseCode(
    1003, "unsupported_data", "A binary frame came; messages are JSON in text frames.", reconnect=False
)
MESSAGE_TOO_BIG = CloseCode(1009, "message_too_big", "A message was larger than MAX_MESSAGE_BYTES.", reconnect=False)
INTERNAL_ERROR = CloseCode(
    1011, "internal_error", "The service met a fault of its own; it has been logged.", reconnect=True
)
SERVICE_RESTART = CloseCode(
    1012,
    "service_restart",
    "This instance is going away; another takes over. Resume with your positions.",
    reconnect=True,
)
TRY_AGAIN_LATER = CloseCode(
    1013, "try_again_later", "Whether a token is good cannot be said now: connect again in a moment.", reconnect=True
)
SLOW = CloseCode(
    4008,
    "slow",
    "The client read too slowly: its send queue was full, or it took nothing for PING_TIMEOUT. "
    "Nothing is lost: resume with your positions.",
    reconnect=True,
)
PING_TIMEOUT = CloseCode(
    4009, "ping_timeout", "Nothing came from the client within PING_TIMEOUT of a ping.", reconnect=True
)
RATE_LIMITED = CloseCode(
    4029,
    "rate_limited",
    "The client sent more than MESSAGES_PER_SECOND or BYTES_PER_SECOND, a message in more than MAX_FRAGMENTS, or too "
    "many tiny pieces of messages.",
    reconnect=False,
)
UNAUTHENTICATED = CloseCode(
    4401, "unauthenticated", "The client has no good token: get one, and connect again with it.", reconnect=False
)
MESSAGE_TIMEOUT = CloseCode(
    4408,
    "message_timeout",
    "A message took longer than MESSAGE_TIMEOUT from its first byte to its last.",
    reconnect=True,
)
TOO_MANY_CONNECTIONS = CloseCode(
    4429,
    "too_many_connections",
    "The user holds MAX_CONNECTIONS_PER_USER already: this one, the newest, is refused, and the others go on.",
    reconnect=False,
)

CLOSE_CODES = {
    close.code: close
    for close in (
        NORMAL,
        CloseCode(1002, "protocol_error", "The client broke the WebSocket protocol (RFC 6455).", reconnect=False),
        UNSUPPORTED_DATA,
        CloseCode(1006, "abnormal", "The connection broke without a close; only ever seen locally.", reconnect=True),
        CloseCode(1007, "invalid_data", "A text frame was not UTF-8.", reconnect=False),
        MESSAGE_TOO_BIG,
        INTERNAL_ERROR,
        SERVICE_RESTART,
        TRY_AGAIN_LATER,
        SLOW,
        PING_TIMEOUT,
        RATE_LIMITED,
        UNAUTHENTICATED,
        MESSAGE_TIMEOUT,
        TOO_MANY_CONNECTIONS,
    )
}
"""All close codes that a client can meet, by number. The JavaScript client has a list of those without `reconnect`."""

BAD_JSON = ErrorCode("bad_json", "The message is not a JSON object.")
BAD_MESSAGE = ErrorCode("bad_message", "A field is missing, or of the wrong type.")
UNKNOWN_TYPE = ErrorCode("unknown_type", "No message of this type exists.")
BAD_CHANNEL = ErrorCode("bad_channel", "No channel can have this name.")
UNAUTHORIZED = ErrorCode("unauthorized", "This channel is not open to you.")
BAD_TOKEN = ErrorCode("bad_token", "The token names nobody; the sentence says what is wrong with it.")
OTHER_USER = ErrorCode(
    "other_user",
    "The token names another user than before: sign out first, or open another connection.",
)
UNAVAILABLE = ErrorCode("unavailable", "This cannot be said or done now: try again in a moment.")
TOO_MANY_SUBSCRIPTIONS = ErrorCode("too_many_subscriptions", "The connection holds MAX_SUBSCRIPTIONS already.")
NOT_SUBSCRIBED = ErrorCode("not_subscribed", "The connection is not subscribed to this channel.")
CONFLICT = ErrorCode(
    "conflict", "Something else has been said with this id; or somebody else holds a table, `until` then."
)
TOO_MANY_HOLDS = ErrorCode("too_many", "You hold as many tables there as you may, `until` then.")
NOT_ALLOWED = ErrorCode("not_allowed", "The restaurant has blocked you, or what you want to change is not yours.")
NOT_FOUND = ErrorCode("not_found", "There is no such message, hold or table, or not any more.")
UNKNOWN_RESTAURANT = ErrorCode("unknown_restaurant", "The restaurant is not known, or has been deleted.")
TOO_OFTEN = ErrorCode("rate_limited", "That is more than you may send now: try again in `retryIn` seconds.")

ERROR_CODES = {
    error.name: error
    for error in (
        BAD_JSON,
        BAD_MESSAGE,
        UNKNOWN_TYPE,
        BAD_CHANNEL,
        UNAUTHORIZED,
        BAD_TOKEN,
        OTHER_USER,
        UNAVAILABLE,
        TOO_MANY_SUBSCRIPTIONS,
        NOT_SUBSCRIBED,
        CONFLICT,
        TOO_MANY_HOLDS,
        NOT_ALLOWED,
        NOT_FOUND,
        UNKNOWN_RESTAURANT,
        TOO_OFTEN,
    )
}
"""All error codes of answers, by name."""

TOKEN_EXPIRED, REVOKED, SIGNED_OUT, RIGHTS_CHANGED = "token_expired", "revoked", "signed_out", "rights_changed"
"""Why the service ends a subscription, as `unsubscribed` says it."""
