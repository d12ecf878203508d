"""What a conversation is to one of its members: archived, muted, marked unread. Nobody else learns of it."""

from __future__ import annotations

from collections.abc import Awaitable

from messaging.domain.commands import Actor, MarkUnread, SetArchived, SetMuted
from messaging.domain.errors import PermissionDenied, RoomNotFound
from messaging.domain.events import PlaceChanged
from messaging.domain.models import Conversation, Kind, Membership
from messaging.domain.permissions import Action
from messaging.domain.replies import ConversationReply
from messaging.service.changing import permitted
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.views import conversation_view


async def set_archived(ctx: Context, actor: Actor, command: SetArchived) -> Outcome:
    """Put a conversation away, or take it back. It comes back by itself with the next message, unless it is
    muted."""
    mine = await _mine(ctx, actor, command.conversation_id)
    if mine.archived == command.archived:
        return await _shown(ctx, mine)
    at = mine.last_seq if command.archived else None
    return await _changed(ctx, mine, ctx.store.archive(command.conversation_id, actor.user_id, at))


async def set_muted(ctx: Context, actor: Actor, command: SetMuted) -> Outcome:
    """Be no longer told of a conversation, or again. What is unread there does not count in the total."""
    mine = await _mine(ctx, actor, command.conversation_id)
    if mine.member.muted == command.muted:
        return await _shown(ctx, mine)
    return await _changed(ctx, mine, ctx.store.mute(command.conversation_id, actor.user_id, command.muted))


async def mark_unread(ctx: Context, actor: Actor, command: MarkUnread) -> Outcome:
    """Mark a conversation unread by hand; it counts as one unread message where there is none."""
    mine = await _mine(ctx, actor, command.conversation_id)
    if mine.marked_unread:
        return await _shown(ctx, mine)
    at = mine.member.cursor
    return await _changed(ctx, mine, ctx.store.mark_unread(command.conversation_id, actor.user_id, at))


async def unmark(ctx: Context, user_id: str, conversation: Conversation) -> PlaceChanged | None:
    """Something was marked read where nothing was left to read: the conversation is no longer marked unread;
    None where it was not."""
    member = None if conversation.kind is Kind.ROOM else await ctx.store.member(conversation.id, user_id)
    if member is None or member.unread_at != member.cursor:
        return None
    position = await ctx.store.mark_unread(conversation.id, user_id, None)
    return await place_changed(ctx, user_id, conversation.id, position or 0)


async def place_changed(
    ctx: Context, user_id: str, conversation_id: str, position: int
) -> PlaceChanged | None:
    """What the user is told of a conversation as it is to them now; None where they are not in it."""
    mine = await ctx.store.membership(conversation_id, user_id)
    if mine is None:
        return None
    view = await conversation_view(ctx, mine.conversation, mine)
    return PlaceChanged(user_id=user_id, view=view, position=position, at=ctx.clock())


async def _mine(ctx: Context, actor: Actor, conversation_id: str) -> Membership:
    await count_query(ctx, actor)
    mine = await ctx.store.membership(conversation_id, actor.user_id)
    if mine is None:
        await permitted(ctx, actor, conversation_id, Action.READ)
        raise PermissionDenied("Only members can archive, mute or mark a conversation.")
    return mine


async def _shown(ctx: Context, mine: Membership) -> Outcome:
    return Outcome(reply=ConversationReply(view=await conversation_view(ctx, mine.conversation, mine)))


async def _changed(ctx: Context, mine: Membership, write: Awaitable[int | None]) -> Outcome:
    position = await write
    user_id, conversation_id = mine.member.user_id, mine.conversation.id
    event = await place_changed(ctx, user_id, conversation_id, position or 0) if position else None
    if event is None:
        raise RoomNotFound  # they were removed meanwhile
    return Outcome(reply=ConversationReply(view=event.view), events=(event,))
