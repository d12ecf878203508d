"""What others read while somebody was away, as the events that it would have been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from messaging.domain.events import MessagesRead
from messaging.domain.models import Conversation, ReadMark
from messaging.service.context import Context
from messaging.service.reading import pushes_receipts, receipts_of


async def reads_since(
    ctx: Context, conversation: Conversation, at: datetime, *, limit: int
) -> Sequence[MessagesRead]:
    """The first `limit` reads later than `at`, the oldest first; none where receipts are not pushed.

    Only those are kept that can be the first of somebody's message, so it is these (docs/design.md, Coming
    back).
    """
    marks = await ctx.store.marks_among([conversation.id], at, limit=limit)
    events = [await read_event(ctx, conversation, mark) for mark in marks]
    return [event for event in events if event is not None]


async def read_event(ctx: Context, conversation: Conversation, mark: ReadMark) -> MessagesRead | None:
    """That somebody read; None where receipts are not pushed."""
    if not await pushes_receipts(ctx, conversation):
        return None
    return MessagesRead(
        conversation=conversation,
        reader=(await ctx.people.find({mark.reader_id}))[mark.reader_id],
        cursor=mark.seq,
        own_read=0,  # told to who watches, not to who counts
        receipts=await receipts_of(ctx, conversation.id, mark.reader_id, mark.after, mark.seq),
        pushed=True,
        at=mark.at,
    )
