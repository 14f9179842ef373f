"""Taking note of a reservation, for its restaurant."""

from mesaya_ws.client.events import Acknowledged
from mesaya_ws.client.requests import Ask


async def acknowledge(ask: Ask, reservation: str) -> Acknowledged:
    """Acknowledge a reservation, until that is answered. Raises `RequestError` for refusals."""
    answer = await ask({"type": "reservation.ack", "reservationId": reservation})
    return Acknowledged(answer["reservationId"], answer["by"], answer["at"])
