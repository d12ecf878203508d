"""Exporting: a whole conversation, or all that is kept of a user, page by page, as somebody takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from messaging.domain.commands import Actor, ExportConversation, ExportUser
from messaging.domain.errors import PermissionDenied, UserNotFound
from messaging.domain.forgetting import UPLOADS, Record
from messaging.domain.models import Conversation, Edit, Message, MessageView, Reaction
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ConversationExport, UserExport
from messaging.domain.uploads import PATH
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.views import conversation_view, message_views

EXPORT_PAGE = 200
"""How many messages, or records, are in memory at a time."""
_PLACES_AT_ONCE = 500


async def export_conversation(ctx: Context, actor: Actor, command: ExportConversation) -> Outcome:
    """All messages of a conversation up to now, for whoever may read it."""
    await count_query(ctx, actor)
    conversation = await _permitted(ctx, actor, command.conversation_id)
    view = await conversation_view(ctx, conversation)
    pages = _pages(ctx, actor, conversation, view.last_seq)
    return Outcome(reply=ConversationExport(view=view, form=command.form, at=ctx.clock(), pages=pages))


async def export_user(ctx: Context, actor: Actor, command: ExportUser) -> Outcome:
    """All that is kept of a user, for themselves or a service; secrets are left out."""
    if not (actor.service or actor.user_id == command.user_id):
        raise PermissionDenied("Only a service may export what is kept of others.")
    await count_query(ctx, actor)
    if command.user_id not in await ctx.store.users([command.user_id]):
        raise UserNotFound
    pages = _kept(ctx, command.user_id)
    return Outcome(reply=UserExport(user_id=command.user_id, at=ctx.clock(), pages=pages))


async def _kept(ctx: Context, user_id: str) -> AsyncIterator[tuple[Record | MessageView, ...]]:
    async for records in _records(ctx, user_id):
        yield records
    async for reactions in _reactions(ctx, user_id):
        yield reactions
    place = ""
    while places := await ctx.store.conversation_ids(after=place, limit=_PLACES_AT_ONCE):
        for conversation_id in sorted(await ctx.store.written_in(places, user_id)):
            async for page in _said(ctx, conversation_id, user_id):
                yield page
        place = places[-1]


async def _records(ctx: Context, user_id: str) -> AsyncIterator[tuple[Record, ...]]:
    page = await ctx.store.records(user_id, limit=EXPORT_PAGE)
    yield tuple(map(_findable, page.records))
    while page.next is not None:
        page = await ctx.store.records(user_id, after=page.next, limit=EXPORT_PAGE)
        yield tuple(map(_findable, page.records))


def _findable(record: Record) -> Record:
    """A record; of an upload also where the file is."""
    if record.kind != UPLOADS:
        return record
    return replace(record, values={**record.values, "url": f"{PATH}{record.values['id']}"})


async def _reactions(ctx: Context, user_id: str) -> AsyncIterator[tuple[Record, ...]]:
    """The reactions of a user that stand now."""
    last = 0
    while page := await ctx.store.reacted_to(user_id, after=last, limit=EXPORT_PAGE):
        found = await ctx.store.messages(page)
        yield tuple(
            Record(kind="reactions", values=_reaction(message, reaction))
            for message in sorted(found.values(), key=lambda each: each.id)
            for reaction in message.reactions
            if user_id in reaction.user_ids
        )
        last = page[-1]


def _reaction(message: Message, reaction: Reaction) -> Mapping[str, Any]:
    return {
        "conversationId": message.conversation_id,
        "messageId": str(message.id),
        "emoji": reaction.emoji,
    }


async def _said(
    ctx: Context, conversation_id: str, user_id: str
) -> AsyncIterator[tuple[Record | MessageView, ...]]:
    """A user's messages in a conversation; after each page, what those of it said before."""
    seq = 0
    while page := await ctx.store.sent(conversation_id, user_id, after=seq, limit=EXPORT_PAGE):
        yield await message_views(ctx, page)
        for message in page:
            if message.edited_at is not None:
                async for edits in _edits(ctx, message):
                    yield edits
        seq = page[-1].seq


async def _edits(ctx: Context, message: Message) -> AsyncIterator[tuple[Record, ...]]:
    rev = 0
    while page := await ctx.store.edits(message.id, after=rev, limit=EXPORT_PAGE):
        yield tuple(Record(kind="edits", values=_edit(message, edit)) for edit in page)
        rev = page[-1].rev


def _edit(message: Message, edit: Edit) -> Mapping[str, Any]:
    return {
        "conversationId": message.conversation_id,
        "messageId": str(message.id),
        "content": edit.content,
        "editedBy": edit.user_id,
        "editedAt": edit.at,
    }


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
