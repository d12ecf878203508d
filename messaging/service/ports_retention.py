"""How a store removes old messages for good. A part of `ports.Store`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from messaging.domain.models import Conversation


class Retention(Protocol):
    """What remains of a conversation has no gaps, and keeps its numbers."""

    async def conversations(self, *, after: str = "", limit: int) -> Sequence[Conversation]:
        """The first `limit` conversations whose ids are past `after`, by rising id."""

    async def remove_before(self, conversation_id: str, before: datetime, *, limit: int) -> int:
        """Remove the oldest messages for good, with what was done to them; how many.

        At most `limit`, up to the first that was sent at `before` or later, and never the newest. Raises the
        conversation's `removed_seq` first. With the last of them (fewer than `limit`) cursors that stand
        below are raised to it: what is removed is unread to nobody. May be repeated.
        """
