"""`POST /erase`: a user's texts and name in chat are to be forgotten."""

import orjson
from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.core.interactions.chat_records import Erased, chat_record
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.server.http.request import authorize, publish, read_object, require_id, structure
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.settings import Settings


@frozen
class EraseRequest:
    """`{"user"}`: whose texts and name are to be forgotten."""

    user: str


def erase_route(settings: Settings, publisher: Publisher) -> Route:
    """Return the route; it answers 201 with the record's place, at which every instance forgets."""

    async def answer(request: Request) -> Response:
        authorize(request, settings)
        asked = structure(await read_object(request, settings), EraseRequest)
        require_id("The user", asked.user)
        record = chat_record(Erased(asked.user), platform_time(now_ms()))
        return await publish(publisher, record.topic, orjson.loads(record.value or b""), asked.user)

    return Route("/erase", answer, methods=["POST"])
