"""From what is stored to what is shown: messages with senders and first reads, conversations with members."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from messaging.domain.models import (
    Conversation,
    ConversationView,
    Kind,
    Member,
    Membership,
    MemberView,
    Message,
    MessageView,
)
from messaging.service.context import Context
from messaging.service.pages import viewed
from messaging.service.policy import MAX_SHOWN_MEMBERS

_AT_ONCE = 10
"""How many runs of messages are read at a time."""
_NEAR = 50
"""Marks of this many messages in between are read rather than asked for apart."""


async def message_views(ctx: Context, messages: Sequence[Message]) -> tuple[MessageView, ...]:
    """Messages of one conversation, by rising seq, as readers see them."""
    if not messages:
        return ()
    marks = await ctx.store.read_marks(
        messages[0].conversation_id, after=messages[0].seq - 1, up_to=messages[-1].seq
    )
    people = await ctx.people.find({message.sender_id for message in messages})
    return viewed(messages, marks, people)


async def scattered_views(ctx: Context, messages: Sequence[Message]) -> tuple[MessageView, ...]:
    """Messages of any conversations, as readers see them, in their order."""
    runs = _runs(messages)
    pages = [
        view
        for start in range(0, len(runs), _AT_ONCE)
        for page in await asyncio.gather(*(message_views(ctx, run) for run in runs[start : start + _AT_ONCE]))
        for view in page
    ]
    views = {view.message.id: view for view in pages}
    return tuple(views[message.id] for message in messages)


def _runs(messages: Iterable[Message]) -> list[list[Message]]:
    """The messages by conversation and seq, in runs that stand near each other."""
    runs: list[list[Message]] = []
    for message in sorted(messages, key=lambda each: (each.conversation_id, each.seq)):
        last = runs[-1][-1] if runs else None
        near = last is not None and last.conversation_id == message.conversation_id
        if last is not None and near and message.seq - last.seq <= _NEAR:
            runs[-1].append(message)
        else:
            runs.append([message])
    return runs


async def conversation_view(
    ctx: Context, conversation: Conversation, mine: Membership | None = None
) -> ConversationView:
    """A conversation with its last message and, where they are not too many, its members."""
    last, members = await asyncio.gather(
        ctx.store.history(conversation.id, limit=1), _member_views(ctx, conversation)
    )
    views = await message_views(ctx, last)
    return ConversationView(
        conversation=conversation,
        last_seq=last[-1].seq if last else 0,
        last_message=views[-1] if views else None,
        members=members,
        mine=mine,
    )


async def _member_views(ctx: Context, conversation: Conversation) -> tuple[MemberView, ...] | None:
    if conversation.kind is Kind.ROOM or conversation.member_count > MAX_SHOWN_MEMBERS:
        return None
    members: Sequence[Member] = await ctx.store.members(conversation.id, limit=MAX_SHOWN_MEMBERS)
    people = await ctx.people.find({member.user_id for member in members})
    return tuple(MemberView(profile=people[m.user_id], role=m.role) for m in members)
