"""The platform's topics, and our own ones: for what its API says, and for revocations."""

from mesaya_ws.core.interactions.topics import ACKS, HOLDS

DOMAINS = (
    "restaurants",
    "sections",
    "tables",
    "objects",
    "section-objects",
    "menus",
    "reviews",
    "images",
    "reservations",
    "payments",
    "subscriptions",
    "auth",
    "owner-upgrade",
    "announcements",
)


def topic_of(domain: str) -> str:
    """Return the name of the topic that carries the events of `domain` (one of `DOMAINS`)."""
    return f"mesa-ya.{domain}.events"


TOPICS = tuple(map(topic_of, DOMAINS))


PARENTS_TOPIC = "mesaya-ws.parents"
"""Topic of our own: what the platform's API has said of parents without a record (see `views.backfill`)."""

REVOCATIONS = "mesaya-ws.revocations"
"""Topic of our own, compacted by user: whose tokens are dead (see `access.revocations`)."""

OWN_TOPICS = frozenset({PARENTS_TOPIC, ACKS, HOLDS})
"""Topics of our own that feed channels of the platform's: positions leave them out while they do not exist."""
