"""Changes of messages as events: live ones, and those read from the store because they were missed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from messaging.domain.events import MessageChange, MessageDeleted, MessageEdited, ReactionChanged
from messaging.domain.models import Change, ChangeKind, Conversation, Message, MessageView
from messaging.service.context import Context
from messaging.service.views import message_views

_LATE = timedelta(seconds=60)
"""How long before a message changes were made that may have been told after it: a lost one is told late."""
_LATE_CHANGES = 500
"""How far back, in revs, these are looked for."""
_TOLD_REACTORS = 50
"""How many who reacted an event names: as many as clients are shown."""


async def event_of(
    ctx: Context, conversation: Conversation, change: Change, view: MessageView
) -> MessageChange:
    """The event that tells of a change, with the message as `view` has it; but where many reacted, not with
    all of them: events go to every process, and no dialect shows more."""
    shown = tuple(reaction.first(_TOLD_REACTORS) for reaction in view.message.reactions)
    message = replace(view.message, reactions=shown)
    match change.kind:
        case ChangeKind.EDITED:
            return MessageEdited(
                conversation=conversation,
                message=message,
                sender=view.sender,
                read_at=view.read_at,
                user_id=change.user_id,
                rev=change.rev,
                at=change.at,
            )
        case ChangeKind.DELETED:
            return MessageDeleted(
                conversation=conversation,
                message=message,
                user_id=change.user_id,
                rev=change.rev,
                at=change.at,
            )
        case ChangeKind.REACTED | ChangeKind.UNREACTED:
            people = await ctx.people.find([change.user_id])
            return ReactionChanged(
                conversation=conversation,
                message=message,
                user=people[change.user_id],
                emoji=change.emoji or "",
                added=change.kind is ChangeKind.REACTED,
                rev=change.rev,
                at=change.at,
            )
        case _:
            assert_never(change.kind)


async def change_events(
    ctx: Context, conversation: Conversation, changes: Sequence[Change], *, up_to_seq: int | None = None
) -> list[MessageChange]:
    """The events of stored changes, by rising rev, without those that later ones among them make void.

    `up_to_seq` leaves out the changes of messages past it.
    """
    messages = await ctx.store.messages({change.message_id for change in changes})
    told = [m for m in messages.values() if up_to_seq is None or m.seq <= up_to_seq]
    views = await message_views(ctx, sorted(told, key=lambda message: message.seq))
    by_id = {view.message.id: view for view in views}
    lasting = [each for each in _lasting(changes, messages) if each.message_id in by_id]
    return list(
        await asyncio.gather(*(event_of(ctx, conversation, each, by_id[each.message_id]) for each in lasting))
    )


def _lasting(changes: Sequence[Change], messages: Mapping[int, Message]) -> list[Change]:
    """The changes without those that were undone or done again."""
    last = {_aspect(change, messages): change.rev for change in changes}
    return [change for change in changes if last[_aspect(change, messages)] == change.rev]


def _aspect(change: Change, messages: Mapping[int, Message]) -> tuple[object, ...]:
    """What of a message a change is about: the last one about the same is all that counts."""
    message = messages.get(change.message_id)
    if message is not None and message.deleted_at is not None:
        return (change.message_id,)
    if change.kind in (ChangeKind.EDITED, ChangeKind.DELETED):
        return (change.message_id, "content")
    return (change.message_id, change.emoji, change.user_id)


async def rev_at(ctx: Context, conversation_id: str, seq: int) -> int:
    """Up to which rev somebody knows all changes who last heard message `seq`, to be on the safe side."""
    rev = await ctx.store.rev_before(conversation_id, seq)
    if rev == 0:
        return 0
    heard = await ctx.store.history(conversation_id, before=seq + 1, limit=1)
    since = max(0, rev - _LATE_CHANGES)
    for change in await ctx.store.changes(conversation_id, after=since, limit=rev - since):
        if not heard or change.at >= heard[0].created_at - _LATE:
            return change.rev - 1
    return rev
