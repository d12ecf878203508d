"""What a store keeps of what users do about one another: blocks and reports. A part of `ports.Store`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from messaging.domain.models import Hook
from messaging.domain.moderation import Block, Report


class Positions(NamedTuple):
    """The new positions (see ports_inbox) of two users whom one write concerns."""

    user: int
    other: int


class Blocks(Protocol):
    """Who wants nothing to do with whom. A block concerns both users, and raises the position of each."""

    async def block(
        self, user_id: str, blocked_id: str, *, at: datetime, seen: datetime | None = None
    ) -> Positions | None:
        """Keep that a user blocked another one, who had `seen` them last at that time; None where they had
        already, and nothing was written."""

    async def unblock(self, user_id: str, blocked_id: str) -> Positions | None:
        """End a block; None where there was none."""

    async def find_block(self, user_id: str, blocked_id: str) -> Block | None:
        """The block, if there is one."""

    async def blocks(self, user_id: str, *, limit: int, after: str | None = None) -> Sequence[Block]:
        """The first `limit` blocks of a user, by the id of whom they blocked, past `after`."""

    async def count_blocks(self, user_id: str) -> int:
        """How many others the user has blocked."""

    async def blocked_between(self, one: str, other: str) -> bool:
        """Whether either of the two has blocked the other."""

    async def blocked_with(self, user_id: str) -> frozenset[str]:
        """All who have blocked the user, or whom the user has blocked."""

    async def blocked_with_each(self, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The same for each of these users; without those of whom there is nobody."""


class Reports(Protocol):
    """What users told the operators of messages. One report of a message for each user."""

    async def add_report(self, report: Report, *, hooks: Sequence[Hook] = ()) -> Report:
        """Keep a report, and `hooks` with it; or give the one of this message that its reporter had made
        before."""

    async def reports(self, *, limit: int, before: int | None = None) -> Sequence[Report]:
        """The last `limit` reports below id `before` (None: of all), the newest first."""


class Moderation(Blocks, Reports, Protocol):
    """Both."""
