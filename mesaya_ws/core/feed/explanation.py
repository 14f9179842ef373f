"""Why a record is shown to whom, or to nobody: what it is understood as, what it changes, and what becomes of it.

It is processed as any other record, by the rules of `router`, but applied to a draft of what is known: nothing changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mesaya_ws.core.access.channels import Channel, parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import RIGHTS, Action, Facts, Relation, may
from mesaya_ws.core.feed.pieces import data_in_pieces
from mesaya_ws.core.feed.router import WIDE, is_wide, process
from mesaya_ws.core.interactions.acknowledgements import AckRecord
from mesaya_ws.core.interactions.chat_records import ChatRecord
from mesaya_ws.core.interactions.hold_records import HoldRecord
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Decoded, Event, Interaction, Rejected, decode
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome
from mesaya_ws.core.platform.projections import Projections

REASONS: Mapping[Disposition, str] = {
    Disposition.PUBLISHED: "It is published on the channels below.",
    Disposition.ORPHAN: "It is applied, but nothing that is known says whom it concerns.",
    Disposition.UNPLACED: "It is an image, or a piece of furniture, of something that is not known.",
    Disposition.LATE: "A later record of the same entity was applied before: it is published as an update, unless the "
    "entity is deleted by then.",
    Disposition.BACKFILLED: "The platform's API said it, and there is nothing in it to be published.",
    Disposition.PLAN: "It is about a subscription plan, which concerns nobody in particular.",
    Disposition.AUTH: "It is about a user: names and roles are applied, and it is never published.",
    Disposition.STRIPE: "It is passed on from Stripe, and about no entity of the platform.",
    Disposition.TOMBSTONE: "It has no value.",
    Disposition.UNKNOWN_TOPIC: "No rule says what records of this topic mean.",
    Disposition.NOT_JSON: "Its value is not JSON.",
    Disposition.NOT_OBJECT: "Its value, or its data, is not a JSON object.",
    Disposition.UNKNOWN_EVENT_TYPE: "No rule knows its event type.",
    Disposition.UNKNOWN_ENTITY: "Its topic does not speak of such an entity.",
    Disposition.BAD_ID: "An id that is needed is missing, or of a wrong form.",
    Disposition.BAD_FIELD: "A field of it is missing, or not what it must be: it is skipped.",
    Disposition.VOID: "It comes too late or twice, or from somebody who may not: it changes nothing.",
    Disposition.CORRUPT: "Its bytes cannot be unpacked.",
    Disposition.TOO_LARGE: "It is too large.",
}
"""What each disposition says of a record."""

Explanation = dict[str, Any]
"""JSON: see docs/backend.md."""


class TooWideError(Exception):
    """The record concerns so much that to explain it would hold up everybody else."""


def explain(
    record: Record,
    projections: Projections,
    *,
    auth: bool = True,
    user: Identity | None = None,
    is_alone: bool = False,
) -> Explanation:
    """Return what a record would become, were it the next one, and who may see that by the rights; and if `user` may.

    Without `auth`, everybody may see everything. `projections` must have nothing that is still to end; they are not
    changed. Raises `TooWideError` for what takes longer than a few milliseconds, unless it `is_alone`: nobody waits.
    """
    event = decode(record)
    explanation: Explanation = {"understood": _understood(event)}
    draft = projections.draft()
    # A draft does not know which reservations are to come; nothing has been applied to it yet.
    if not is_alone and isinstance(event, Event) and event.entity in WIDE and is_wide(event, projections):
        raise TooWideError(f"It concerns more than {PARTS_AT_ONCE} other entities.")
    known = isinstance(event, Event) and event.entity in draft.entities
    before = draft.entities[event.entity].alive.get(event.id) if isinstance(event, Event) and known else None
    outcome = process(event, draft)
    if isinstance(event, Event) and known:
        after = draft.entities[event.entity].alive.get(event.id)
        explanation["applied"] = _applied(before, after, is_late=outcome.reason is Disposition.LATE)
    explanation |= _becomes(outcome)
    if not is_alone and max(outcome.parts, len(outcome.messages)) > PARTS_AT_ONCE:
        raise TooWideError(f"Its messages show more than {PARTS_AT_ONCE} entities.")
    explanation["messages"] = [_message(message, (projections, draft), auth, user) for message in outcome.messages]
    return explanation


def _understood(event: Decoded) -> Explanation | None:
    if isinstance(event, Rejected):
        return None
    if isinstance(event, Interaction):
        id = getattr(event.said, "id", getattr(event.said, "reservation", ""))
        kinds = {AckRecord: "acknowledgement", ChatRecord: "chat", HoldRecord: "hold"}
        entity = next(name for kind, name in kinds.items() if isinstance(event.said, kind))
        understood: Explanation = {"entity": entity, "event": type(event.said).__name__.lower(), "id": id}
        return understood | {"timestamp": event.timestamp, "fields": event.said._asdict()}
    shown: Explanation = {"entity": event.entity, "event": event.what, "id": event.id, "timestamp": event.timestamp}
    shown["fields"] = event.data
    if event.previous is not None:
        shown["previousStatus"] = event.previous
    if event.mistyped:
        shown["leftOut"] = list(event.mistyped)
    return shown


def _applied(before: Data | None, after: Data | None, *, is_late: bool) -> Explanation:
    """Return what of an entity has changed: by field, what was known before, and what is known now."""
    old, new = before or {}, after or {}
    names = dict.fromkeys((*new, *old))
    changed = {
        name: {"before": old.get(name), "after": new.get(name)} for name in names if old.get(name) != new.get(name)
    }
    return {"existed": before is not None, "exists": after is not None, "late": is_late, "changed": changed}


def _becomes(outcome: Outcome) -> Explanation:
    shown: Explanation = {"becomes": outcome.reason, "because": outcome.detail or REASONS[outcome.reason]}
    if outcome.awaits and not outcome.messages:
        shown["waitsFor"] = list(outcome.awaits)
    return shown


def _message(message: Message, facts: Sequence[Facts], auth: bool, user: Identity | None) -> Explanation:
    """Return what a message says and who may see it: who may by the `facts` before the record, or by those after it.

    The record that takes a right away is the last one that is shown by it; who gains one may ask for what was missed.
    """
    channel = parse_channel(message.channel)
    assert channel is not None  # noqa: S101 - rules publish on channels that exist
    shown: Explanation = {
        "channel": message.channel,
        "type": message.type,
        "timestamp": message.timestamp,
        "data": orjson.loads(b"".join(data_in_pieces(message.data))),
        "seenBy": _audience(channel, facts),
    }
    if user is not None:
        shown["seenByUser"] = not auth or any(may(user, Action.SUBSCRIBE, channel, each) for each in facts)
    return shown


def _audience(channel: Channel, facts: Sequence[Facts]) -> list[Explanation]:
    """Return who may subscribe to a channel by any of the `facts`: the relations that suffice, and which user that is.

    No record that changes the owner from one to another is published on a channel of the owner's.
    """
    audience = []
    for relation in sorted(RIGHTS[channel.kind.name][Action.SUBSCRIBE], key=lambda each: each.value):
        shown: Explanation = {"who": relation.value}
        if relation is Relation.OWNER:
            if not channel.is_of_restaurant:
                continue
            owners = (each.owner_of(channel.subject or "") for each in facts)
            shown["user"] = next((owner for owner in owners if owner is not None), None)
        elif relation is Relation.SELF:
            if channel.is_of_restaurant and channel.guest is None:
                continue
            shown["user"] = channel.guest or channel.subject
        audience.append(shown)
    return audience
