"""What becomes of a record of the log: published, or why nothing comes of it."""

from enum import StrEnum


class Disposition(StrEnum):
    """What became of a record: a label of the metrics, so the list is short and closed."""

    # That of `Enum` is written in Python, and every record is counted by its reason.
    __hash__ = str.__hash__

    PUBLISHED = "published"
    ORPHAN = "orphan"
    """Applied; nothing is known that says whom it concerns."""
    UNPLACED = "unplaced"
    """An image or a piece of furniture that belongs to nothing known."""
    LATE = "late"
    """A later record of the same entity had been taken before: published as an update, unless it is deleted by then."""
    BACKFILLED = "backfilled"
    """What the platform's API has said, and is not to be published: an owner, or what had been published before."""
    PLAN = "plan"
    AUTH = "auth"
    STRIPE = "stripe"
    TOMBSTONE = "tombstone"
    UNKNOWN_TOPIC = "unknown_topic"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    UNKNOWN_ENTITY = "unknown_entity"
    BAD_ID = "bad_id"
    BAD_FIELD = "bad_field"
    """Of chat and the like: a field is missing, or not what it must be."""
    VOID = "void"
    """Of chat and the like: it was proposed too late, too early, twice, or by somebody who may not."""
    CORRUPT = "corrupt"
    """The log has it, but its bytes cannot be unpacked."""
    TOO_LARGE = "too_large"
    """More than MAX_RECORD_BYTES, or more in it than can be read without holding up everybody."""
