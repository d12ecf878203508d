"""What others read while somebody was away, as the events that it would have been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from messaging.domain.events import MessagesRead
from messaging.domain.models import Conversation, Profile, ReadMark
from messaging.service.context import Context
from messaging.service.reading import pushes_receipts, receipts_of


async def reads_since(
    ctx: Context, conversation: Conversation, at: datetime, *, limit: int
) -> Sequence[MessagesRead]:
    """The first `limit` reads later than `at`, the oldest first; none where receipts are not pushed.

    Only those are kept that can be the first of somebody's message, so it is these (docs/design.md, Coming
    back).
    """
    if not await pushes_receipts(ctx, conversation):
        return []
    marks = await ctx.store.marks_since(conversation.id, at, limit=limit)
    people = await ctx.people.find({mark.reader_id for mark in marks})
    return [await _read(ctx, conversation, mark, people[mark.reader_id]) for mark in marks]


async def _read(ctx: Context, conversation: Conversation, mark: ReadMark, reader: Profile) -> MessagesRead:
    return MessagesRead(
        conversation=conversation,
        reader=reader,
        cursor=mark.seq,
        own_read=0,  # told to who watches, not to who counts
        receipts=await receipts_of(ctx, conversation.id, mark.reader_id, mark.after, mark.seq),
        pushed=True,
        at=mark.at,
    )
