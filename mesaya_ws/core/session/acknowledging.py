"""What the people of a restaurant acknowledge: the first of them counts, on all devices."""

from mesaya_ws.core.access.channels import parse_channel, restaurant_channel
from mesaya_ws.core.access.rights import Action
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.acknowledgements import Ack, ack_record
from mesaya_ws.core.log.records import Appended
from mesaya_ws.core.session.commands import AppendResult, Command, TooManyAppendsError
from mesaya_ws.core.session.rights import has_right, still_reading
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.views.acknowledgements import acknowledgement_shown
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import Acknowledge, MessageError


def acknowledge(session: Session, message: Acknowledge) -> Command | bytes:
    """Return what is to be appended for a client, or the frame of the answer. Raises `MessageError`.

    A reservation that is not known is refused as one that is another restaurant's: so nobody finds out what exists.
    """
    id, identity, feed = message.reservationId, session.identity, session.feed
    if identity is not None and not feed.live:
        raise still_reading(message.id)
    restaurant = feed.known.restaurant_of("reservation", id)
    channel = None if restaurant is None else parse_channel(restaurant_channel(restaurant, "reservations"))
    if restaurant is None or identity is None or channel is None or not has_right(session, Action.ACKNOWLEDGE, channel):
        raise MessageError(codes.UNAUTHORIZED, "The reservation is not one of your restaurant's.", id=message.id)

    def answer(result: AppendResult) -> bytes:
        news = feed.known.acknowledgement(id)
        if isinstance(result, Appended) and news is not None and news.by is not None:
            return _acknowledged(message, feed)
        code = codes.TOO_OFTEN if isinstance(result, TooManyAppendsError) else codes.UNAVAILABLE
        sentence = str(result) if isinstance(result, Exception) else "It belongs to another restaurant now."
        return text_frame(encode("error", code=code.name, message=sentence, id=message.id))

    news = feed.known.acknowledgement(id)
    if news is not None and news.by is not None:
        return _acknowledged(message, feed)
    return Command(ack_record(Ack(id, restaurant, identity.user)), answer, is_read_back=True)


def _acknowledged(message: Acknowledge, feed: Published) -> bytes:
    """Return the answer, which says who was first."""
    news = feed.known.acknowledgement(message.reservationId)
    assert news is not None  # noqa: S101 - asked for right before
    shown = acknowledgement_shown(message.reservationId, news)
    return text_frame(encode("acknowledged", id=message.id, **shown))
