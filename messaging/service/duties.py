"""The part of the store that is about running the service: who was sent away, who does what is done once, and
what webhooks still have to tell. A part of `ports.Store`, and held to its words by the same contract suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from messaging.domain.models import Disconnection, Hook


class Duties(Protocol):
    """Durable and visible in order, as everything of a store is."""

    # what it is

    async def about(self) -> str:
        """What the storage is, for whoever looks after it: its kind, its version, how it keeps what it is
        given."""

    # sending users away

    async def disconnect(self, user_id: str, *, revoked_before: datetime | None) -> Disconnection:
        """Keep that a user was sent away, under a number higher than all before. The time up to which their
        tokens are refused never goes back; with None it stays as it was. The user need not exist."""

    async def disconnections(self, *, after: int, limit: int) -> Sequence[Disconnection]:
        """The first `limit` past number `after`, by rising number. Only the last of each user is there. When
        n can be read, so can every one below it that no later one has replaced."""

    # what one process does for all

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Whether `holder` has the task called `name` for itself for so long from now; whoever has it may
        prolong it, and give it back with 0 seconds. Goes by the storage's clock, so that those of the
        processes do not matter; a holder that was stopped for longer must ask again before it goes on."""

    # what webhooks still have to tell

    async def keep_hooks(self, hooks: Sequence[Hook]) -> None:
        """Keep these until they are dropped; one that is kept already (by its id) stays as it is."""

    async def hook_lanes(self, *, after: str, limit: int) -> Sequence[str]:
        """The first `limit` lanes past `after`, rising, in which something is kept."""

    async def hooks(self, lane: str, *, limit: int) -> Sequence[Hook]:
        """What is kept in a lane: of messages appended with `Draft.hook` the first `limit`, by rising seq,
        each with the message as it is now; then of others the first `limit`, by rising id. What a deleted
        conversation's messages were still to tell is gone."""

    async def drop_hooks(self, hooks: Sequence[Hook]) -> None:
        """These have been told."""
