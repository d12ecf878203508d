"""What all changes to conversations share: who may, trying again, what is kept, what is told and answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from messaging.domain.commands import Actor
from messaging.domain.errors import ClientError, Conflict
from messaging.domain.events import ConversationChanged, Event, MemberAdded
from messaging.domain.models import Conversation, Kind, Member, Role
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ConversationReply
from messaging.service.context import Context, Outcome
from messaging.service.hooks import CONVERSATION_CREATED, CONVERSATION_UPDATED
from messaging.service.notifications import GROUP_ADDED, notify_all, of_group
from messaging.service.views import conversation_view

logger = logging.getLogger(__name__)

_ATTEMPTS = 8
"""How often a change is tried again when another process was faster each time."""


async def retried(change: Callable[[], Awaitable[Outcome | None]]) -> Outcome:
    """What a change leads to. It gives None where another one was saved first, and is begun anew, from what
    is stored then; Conflict when that does not end."""
    for _ in range(_ATTEMPTS):
        if (outcome := await change()) is not None:
            return outcome
    raise Conflict("This conversation is being changed by others.")


async def permitted(ctx: Context, actor: Actor, conversation_id: str, action: Action) -> Conversation:
    """The conversation as it is in the store this moment, if the actor may do this with it."""
    conversation = await ctx.store.conversation(conversation_id)
    member = await ctx.store.member(conversation_id, actor.user_id)
    return permit(action, conversation, member.role if member else None, service=actor.service)


# --- what is kept ---


def begun(
    ctx: Context,
    conversation_id: str,
    kind: Kind,
    roles: Mapping[str, Role] | None = None,
    *,
    name: str | None = None,
    private: bool = False,
) -> tuple[Conversation, list[Member]]:
    """A new group or room, and its first members."""
    now, roles = ctx.clock(), roles or {}
    conversation = Conversation(
        id=conversation_id,
        kind=kind,
        name=name,
        private=private,
        created_at=now,
        updated_at=now,
        member_count=len(roles),
    )
    members = [
        Member(conversation_id=conversation_id, user_id=user_id, role=role, joined_at=now)
        for user_id, role in roles.items()
    ]
    return conversation, members


async def keep_new(ctx: Context, conversation: Conversation, members: Sequence[Member] = ()) -> bool:
    """Keep a new group or room; False where there is one of this id already."""
    hooks = ctx.hooks.made(CONVERSATION_CREATED, lane=conversation.id)
    if not await ctx.store.save(conversation, put=members, hooks=hooks):
        return False
    ctx.hooks.kept()
    return True


async def keep_changed(
    ctx: Context, conversation: Conversation, *, put: Sequence[Member] = (), remove: Collection[str] = ()
) -> bool:
    """Keep a changed conversation with changes of its members; False where another change was first."""
    hooks = ctx.hooks.made(CONVERSATION_UPDATED, lane=conversation.id)
    if not await ctx.store.save(conversation, put=put, remove=remove, hooks=hooks):
        return False
    ctx.hooks.kept()
    return True


def next_version(ctx: Context, old: Conversation, *, joining: int = 0) -> Conversation:
    """The conversation after one more change, with `joining` more members (or fewer)."""
    return replace(
        old, version=old.version + 1, member_count=old.member_count + joining, updated_at=ctx.clock()
    )


async def newcomers(
    ctx: Context, conversation_id: str, user_ids: Sequence[str], at: datetime
) -> list[Member]:
    """New members: they see what came before, and have nothing unread."""
    last_seq = (await ctx.store.tails([conversation_id]))[conversation_id].last_seq
    return [
        Member(
            conversation_id=conversation_id,
            user_id=user_id,
            joined_at=at,
            cursor=last_seq,
            own_read=await ctx.store.own_sent(conversation_id, user_id) if last_seq else 0,
        )
        for user_id in user_ids
    ]


# --- what is told and answered ---


async def changed(ctx: Context, conversation: Conversation) -> tuple[Event, ...]:
    """What is told when a conversation was changed."""
    view = await conversation_view(ctx, conversation)
    return (ConversationChanged(view=view, at=ctx.clock()),)


async def added(
    ctx: Context, actor: Actor, conversation: Conversation, user_ids: Sequence[str]
) -> tuple[Event, ...]:
    """What is told to those who were added; those who did not do it themselves are notified, too."""
    rev = (await ctx.store.tails([conversation.id]))[conversation.id].last_rev
    view = await conversation_view(ctx, conversation)
    now = ctx.clock()
    told = [
        MemberAdded(user_id=user_id, view=view, since=view.last_seq, since_rev=rev, at=now)
        for user_id in user_ids
    ]
    others = [user_id for user_id in user_ids if user_id != actor.user_id]
    try:
        notified = await notify_all(ctx, others, of_group(ctx, GROUP_ADDED, conversation, actor))
    except ClientError as error:  # they are members all the same
        logger.warning("those who were added are not notified: %s", error.message)
        notified = ()
    return (*told, *notified)


async def shown(
    ctx: Context,
    actor: Actor,
    conversation: Conversation,
    events: tuple[Event, ...] = (),
    *,
    created: bool = False,
) -> Outcome:
    """The conversation as the asker sees it, their own place in it included."""
    mine = await ctx.store.membership(conversation.id, actor.user_id)
    view = await conversation_view(ctx, conversation, mine)
    return Outcome(reply=ConversationReply(view=view, created=created), events=events)
