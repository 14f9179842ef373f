"""A conversation, as a session of the client takes part in it."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from attrs import frozen

from mesaya_ws.client.requests import Ask, Send


@frozen
class Page:
    """Messages of a conversation, the oldest first; `before` is where the page before it ends, None at the beginning.

    It is not `complete` where the gateway no longer keeps what was before.
    """

    messages: list[dict[str, Any]]
    before: str | None
    complete: bool = True


class Chat:
    """The conversation of a guest with a restaurant, on `channel`, which is to be subscribed to for its events.

    Every method but `typing` returns once the gateway has read the change back from the log, and sends it again until
    then, with the same id: after a lost connection, and while the log does not answer. Raises `RequestError` for
    refusals.
    """

    def __init__(self, ask: Ask, send: Send, restaurant: str, user: str) -> None:
        self.channel = f"restaurant:{restaurant}:chat:{user}"
        self._ask = ask
        self._send = send

    async def publish(
        self, text: str, *, attachments: Sequence[str] = (), reply_to: str | None = None, message_id: str | None = None
    ) -> str:
        """Write a message, and return its position; `message_id` is a new UUID unless it is given."""
        data: dict[str, Any] = {"text": text}
        if attachments:
            data["attachments"] = list(attachments)
        if reply_to is not None:
            data["replyTo"] = reply_to
        return await self._position("publish", messageId=message_id or str(uuid4()), data=data)

    async def edit(self, message_id: str, text: str) -> str:
        """Give a message of one's own another text."""
        return await self._position("edit", messageId=message_id, data={"text": text})

    async def delete(self, message_id: str) -> str:
        """Take the text of a message away."""
        return await self._position("delete", messageId=message_id)

    async def read(self, position: str) -> str:
        """Mark everything as read up to a position; return up to where it is, which may be further."""
        return await self._position("read", position=position)

    async def block(self, *, blocked: bool = True) -> str:
        """Take no messages from the guest any more, or take them again."""
        return await self._position("block", blocked=blocked)

    async def typing(self, *, typing: bool = True) -> None:
        """Tell the others that one is typing, or not any more; to be repeated every few seconds.

        There is no answer, a refusal is passed over, and without a connection it is not sent.
        """
        await self._send({"type": "typing", "channel": self.channel, "typing": typing, "id": "typing"})

    async def history(self, before: str | None = None, limit: int = 50) -> Page:
        """Return messages before a position, or the latest ones."""
        request = {"type": "history", "channel": self.channel, "limit": limit}
        answer = await self._ask(request if before is None else {**request, "before": before})
        return Page(answer["messages"], answer["before"], answer.get("complete", True))

    async def _position(self, kind: str, **fields: object) -> str:
        answer = await self._ask({"type": kind, "channel": self.channel, **fields})
        return str(answer["position"])
