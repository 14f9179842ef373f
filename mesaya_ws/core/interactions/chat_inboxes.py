"""Inboxes of chat: the conversations of one restaurant, or of one guest, the one with the latest record last.

| what happens | what follows |
|---|---|
| a record changes a conversation | it is the last of both of its inboxes |
| a conversation is forgotten | it is in none |
"""

from collections.abc import Iterator

from mesaya_ws.core.interactions.chat_records import ConversationKey


class Inboxes:
    """The inboxes of all restaurants, or those of all guests, by their ids."""

    def __init__(self) -> None:
        self._conversations: dict[str, dict[ConversationKey, None]] = {}

    def touch(self, owner: str, key: ConversationKey) -> None:
        """Make a conversation the latest one of an inbox."""
        inbox = self._conversations.setdefault(owner, {})
        inbox.pop(key, None)
        inbox[key] = None

    def forget(self, owner: str, key: ConversationKey) -> None:
        """Take a conversation out of an inbox."""
        inbox = self._conversations.get(owner, {})
        inbox.pop(key, None)
        if not inbox:
            self._conversations.pop(owner, None)

    def latest(self, owner: str) -> Iterator[ConversationKey]:
        """Iterate over the conversations of an inbox, the latest first."""
        return reversed(self._conversations.get(owner, {}))

    def count(self, owner: str) -> int:
        """Return how many conversations an inbox holds."""
        return len(self._conversations.get(owner, ()))
