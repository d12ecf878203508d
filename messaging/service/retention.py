"""Retention: messages that are older than is wanted go, a few at a time, the oldest of a conversation first.

What remains of a conversation has no gaps. Its newest message stays as a deleted one, so that numbering goes
on. How long is wanted, a conversation says itself, or else the operator does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from messaging.domain.events import Announcement
from messaging.domain.models import Conversation
from messaging.service.context import Context
from messaging.service.erasing import take_back

MESSAGES_AT_ONCE = 200
"""How many messages go in one step: so few that nobody who sends notices."""
_CONVERSATIONS_AT_ONCE = 500


async def retain(ctx: Context, *, after: str = "") -> AsyncIterator[tuple[str, Sequence[Announcement]]]:
    """Go once through all conversations past the id `after`, step by step: after each, up to which one this
    is through, and what is to be told of the step."""
    while page := await ctx.store.conversations(after=after, limit=_CONVERSATIONS_AT_ONCE):
        for conversation in page:
            if days := conversation.retention_days or ctx.policy.retention_days:
                async for events in _shorten(ctx, conversation, days):
                    yield after, events
            after = conversation.id
        yield after, ()


async def _shorten(
    ctx: Context, conversation: Conversation, days: int
) -> AsyncIterator[Sequence[Announcement]]:
    before = ctx.clock() - timedelta(days=days)
    while await ctx.store.remove_before(conversation.id, before, limit=MESSAGES_AT_ONCE) == MESSAGES_AT_ONCE:
        yield ()
    yield ()
    for last in await ctx.store.history(conversation.id, limit=1):
        if last.created_at < before and last.deleted_at is None:
            yield await take_back(ctx, last.id)
