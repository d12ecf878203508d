"""What a store keeps for one user alone: notifications, and what a conversation is to them.

Whatever concerns one user alone is counted by a counter of that user, their *position*: it rises by one with
each such write, together with it. So who knows a position can tell by it whether anything was missed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from messaging.domain.models import Kept, Notification


class Inboxes(Protocol):
    """Notifications. They are forgotten 90 days after they were made."""

    async def inbox_positions(self, user_ids: Collection[str]) -> Mapping[str, int]:
        """Each user's position; 0 where nothing has concerned them alone so far. What was counted up to it
        can be read."""

    async def add_notifications(self, notes: Sequence[tuple[str, Notification]]) -> Sequence[Kept]:
        """Keep notifications, each for its user; as they are then, with their positions. One under an id that
        the user has a notification of stores nothing, and gives that.

        Of very many (more than 500) some may be kept when it fails.
        """

    async def notifications(
        self, user_id: str, *, limit: int, before: int | None = None, unread: bool = False
    ) -> Sequence[Notification]:
        """The last `limit` below position `before` (None: of all), the newest first; with `unread` only those
        that were not marked read."""

    async def notifications_after(self, user_id: str, position: int, *, limit: int) -> Sequence[Notification]:
        """The first `limit` past a position, the oldest first."""

    async def unread_notifications(self, user_id: str) -> int:
        """How many were not marked read."""

    async def read_notifications(self, user_id: str, ids: Collection[str] | None, *, at: datetime) -> None:
        """Mark these of the user's notifications read, or all (None); those that are stay as they were."""


class Places(Protocol):
    """What a conversation is to one of its members. Each write gives their new position; None, and nothing
    was written, for somebody who is no member. See Member for what the values mean."""

    async def archive(self, conversation_id: str, user_id: str, archived_at: int | None) -> int | None:
        """Keep that it was archived at this seq, or is not archived."""

    async def mute(self, conversation_id: str, user_id: str, muted: bool) -> int | None:
        """Keep whether it is muted."""

    async def mark_unread(self, conversation_id: str, user_id: str, unread_at: int | None) -> int | None:
        """Keep that it was marked unread with the cursor there, or is not marked."""


class Inbox(Inboxes, Places, Protocol):
    """Both: they share the user's position."""
