"""What is to be committed of chat, beside the rows that were noted: its indexes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mesaya_ws.core.interactions.chat_inboxes import Inboxes
from mesaya_ws.core.interactions.chat_messages import IDS, ChatMessages
from mesaya_ws.core.interactions.quiet_conversations import QuietConversations
from mesaya_ws.core.state.stored_rows import StoredRows


class ChatCapture:
    """What has changed of the indexes since the last commit; and in `emptied`, what is to be emptied before."""

    def __init__(
        self,
        conversations: StoredRows[Any],
        messages: ChatMessages,
        inboxes: Sequence[Inboxes],
        quiet: QuietConversations,
    ) -> None:
        self._conversations, self._messages = conversations, messages
        self._inboxes, self._quiet = inboxes, quiet
        self.emptied: tuple[str, ...] = ()
        if conversations.anew:
            names = (each.name for each in inboxes)
            tables = conversations.table, messages.rows.table, messages.counts.rows.table
            self.emptied = (*tables, IDS, quiet.index.name, *names)
        conversations.capture()
        messages.capture()
        for each in inboxes:
            each.capture()
        self._hours = quiet.index.capture()

    @property
    def members(self) -> Mapping[str, Mapping[str, Mapping[bytes, bool]]]:
        """By index and parent, which members belong there; it takes long, and any thread may ask."""
        indexes = {each.name: each.members() for each in self._inboxes}
        return {IDS: self._messages.members(), self._quiet.index.name: self._hours, **indexes}

    def committed(self, rows: Mapping[str, Mapping[str, bytes | None]]) -> Iterator[None]:
        """Take note that all of it has been committed, and the store's view is of that; yields after some of it."""
        yield from self._conversations.committed()
        yield from self._messages.committed()
        for inboxes in self._inboxes:
            yield from inboxes.committed()
        self._quiet.index.committed()
