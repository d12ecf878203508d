"""Exporting: a whole conversation, page by page, as somebody takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from messaging.domain.commands import Actor, ExportConversation
from messaging.domain.models import Conversation, MessageView
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ConversationExport
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.views import conversation_view, message_views

EXPORT_PAGE = 200
"""How many messages are in memory at a time."""


async def export_conversation(ctx: Context, actor: Actor, command: ExportConversation) -> Outcome:
    """All messages of a conversation up to now, for whoever may read it."""
    await count_query(ctx, actor)
    conversation = await _permitted(ctx, actor, command.conversation_id)
    view = await conversation_view(ctx, conversation)
    pages = _pages(ctx, actor, conversation, view.last_seq)
    return Outcome(reply=ConversationExport(view=view, form=command.form, at=ctx.clock(), pages=pages))


async def _pages(
    ctx: Context, actor: Actor, conversation: Conversation, last_seq: int
) -> AsyncIterator[tuple[MessageView, ...]]:
    """Page after page; RoomNotFound as soon as the user may no longer read there."""
    seq = 0
    while seq < last_seq:
        messages = await ctx.store.history(conversation.id, after=seq, limit=min(EXPORT_PAGE, last_seq - seq))
        if not messages:
            return
        yield await message_views(ctx, [each for each in messages if each.seq <= last_seq])
        seq = messages[-1].seq
        await _permitted(ctx, actor, conversation.id)


async def _permitted(ctx: Context, actor: Actor, conversation_id: str) -> Conversation:
    seat = await ctx.seats.find(conversation_id, actor.user_id)
    return permit(Action.READ, seat.conversation, seat.role, service=actor.service)
