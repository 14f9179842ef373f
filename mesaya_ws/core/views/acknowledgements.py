"""Acknowledged news: their records, and what `:reservations` shows of them."""

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.interactions.acknowledgements import Ack, AckRecord, News, Remind
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Interaction, platform_time
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections


def ack_rule(said: AckRecord, event: Interaction, projections: Projections) -> Outcome:
    """Apply a record of acknowledgements, and return what it says to the restaurant."""
    news = projections.acks.apply(said, event.at[0])
    if news is None:
        return Outcome((), Disposition.VOID)
    channel = restaurant_channel(news.restaurant, "reservations")
    match said:
        case Ack(id):
            shown = acknowledgement_shown(id, news)
            return outcome_of([Message(channel, "reservation.acknowledged", event.timestamp, shown)])
        case Remind(id, _, n):
            reminder = {"reservationId": id, "n": n}
            return outcome_of([Message(channel, "reservation.reminder", event.timestamp, reminder)])
    return Outcome((), Disposition.PUBLISHED)


def acknowledgement_shown(reservation: str, news: News) -> Data:
    """Return an acknowledgement as its event has it."""
    return {"reservationId": reservation, "by": news.by, "at": platform_time(news.at or 0)}


def acknowledged(restaurant: str, projections: Projections) -> list[Data]:
    """Return the acknowledgements of a restaurant that are remembered."""
    known = projections.acks.of_restaurant(restaurant)
    return [acknowledgement_shown(id, news) for id, news in known if news.by is not None]
