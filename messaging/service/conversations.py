"""Making, listing, changing and deleting conversations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from messaging.domain import ids
from messaging.domain.commands import (
    Actor,
    ChangeConversation,
    CreateConversation,
    DeleteConversation,
    GetConversation,
    ListConversations,
    PutConversation,
)
from messaging.domain.errors import Conflict, InvalidFormat, PermissionDenied
from messaging.domain.events import ConversationChanged, ConversationDeleted, Event, MemberAdded
from messaging.domain.models import Conversation, Kind, Member, Membership, Role
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ConversationList, ConversationReply, Done
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.users import ensure_users
from messaging.service.views import conversation_view

_ATTEMPTS = 8
"""How often a change is tried again when another process was faster each time."""


async def list_conversations(ctx: Context, actor: Actor, command: ListConversations) -> Outcome:
    """The user's conversations, the most recently active first; direct ones once they have a message."""
    await count_query(ctx, actor)
    memberships = await ctx.store.memberships(actor.user_id)
    shown = [m for m in memberships if m.member.archived == command.archived and _has_begun(m)]
    shown.sort(key=_activity, reverse=True)
    if command.next is not None:
        position = _decode_position(command.next)
        shown = [m for m in shown if _activity(m) < position]
    page = shown[: command.limit]
    views = [await conversation_view(ctx, m.conversation, m) for m in page]
    return Outcome(
        reply=ConversationList(
            conversations=tuple(views),
            total_unread=sum(m.unread for m in memberships if not m.member.muted),
            next=_encode_position(page[-1]) if len(shown) > len(page) else None,
        )
    )


async def get_conversation(ctx: Context, actor: Actor, command: GetConversation) -> Outcome:
    """One conversation."""
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    conversation = permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    return await _reply(ctx, actor, conversation)


async def create_conversation(ctx: Context, actor: Actor, command: CreateConversation) -> Outcome:
    """Make a group that the user owns, or the public room of that name."""
    await count_query(ctx, actor)
    match command.kind:
        case Kind.DIRECT:
            raise InvalidFormat("A direct conversation begins with its first message.", field="kind")
        case Kind.ROOM:
            return await _create_room(ctx, actor, command)
        case Kind.GROUP:
            return await _create_group(ctx, actor, command)


async def put_conversation(ctx: Context, actor: Actor, command: PutConversation) -> Outcome:
    """Make or update a conversation under the host application's id."""
    if not actor.service:
        raise PermissionDenied("Only a service may choose a conversation's id.")
    _check_put(command)
    await ensure_users(ctx, actor, command.member_ids)
    for _ in range(_ATTEMPTS):
        old = await ctx.store.conversation(command.conversation_id)
        outcome = await (_put_new(ctx, actor, command) if old is None else _put_old(ctx, actor, command, old))
        if outcome is not None:
            return outcome
    raise Conflict("This conversation is being changed by others.")


async def change_conversation(ctx: Context, actor: Actor, command: ChangeConversation) -> Outcome:
    """Rename a conversation, or change whether it is private."""
    for _ in range(_ATTEMPTS):
        old = await permitted(ctx, actor, command.conversation_id, Action.RENAME)
        if old.kind is Kind.ROOM and command.private:
            raise InvalidFormat("A public room cannot be private; make a group instead.", field="private")
        new = _updated(ctx, old, name=command.name, private=command.private)
        if (new.name, new.private) == (old.name, old.private):
            return await _reply(ctx, actor, old)
        if await ctx.store.save(new):
            return await _reply(ctx, actor, new, await changed(ctx, new))
    raise Conflict("This conversation is being changed by others.")


async def delete_conversation(ctx: Context, actor: Actor, command: DeleteConversation) -> Outcome:
    """Delete a group or room with all that is in it."""
    conversation = await permitted(ctx, actor, command.conversation_id, Action.DELETE)
    await ctx.store.delete(conversation.id)
    return Outcome(reply=Done(), events=(ConversationDeleted(conversation=conversation, at=ctx.clock()),))


async def make_room(ctx: Context, actor: Actor, name: str) -> Conversation | None:
    """The public room of this name, made if need be; None where no room may have it."""
    if not ids.is_room_name(name):
        return None
    await count_query(ctx, actor)
    return await ensure_room(ctx, name)


async def ensure_room(ctx: Context, name: str) -> Conversation | None:
    """The conversation of this name: a public room that is made now, or what is there already."""
    now = ctx.clock()
    room = Conversation(id=name, kind=Kind.ROOM, name=name, created_at=now, updated_at=now)
    return room if await ctx.store.save(room) else await ctx.store.conversation(name)


async def permitted(ctx: Context, actor: Actor, conversation_id: str, action: Action) -> Conversation:
    """The conversation as it is in the store this moment, if the actor may do this with it."""
    conversation = await ctx.store.conversation(conversation_id)
    member = await ctx.store.member(conversation_id, actor.user_id)
    return permit(action, conversation, member.role if member else None, service=actor.service)


async def changed(ctx: Context, conversation: Conversation) -> tuple[Event, ...]:
    """What is told when a conversation was changed."""
    view = await conversation_view(ctx, conversation)
    return (ConversationChanged(view=view, at=ctx.clock()),)


async def added(ctx: Context, conversation: Conversation, user_ids: Sequence[str]) -> tuple[Event, ...]:
    """What is told to those who were added."""
    view = await conversation_view(ctx, conversation)
    now = ctx.clock()
    return tuple(MemberAdded(user_id=user_id, view=view, at=now) for user_id in user_ids)


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


def next_version(ctx: Context, old: Conversation, *, joining: int = 0) -> Conversation:
    """The conversation after one more change, with `joining` more members (or fewer)."""
    return replace(
        old, version=old.version + 1, member_count=old.member_count + joining, updated_at=ctx.clock()
    )


async def _create_room(ctx: Context, actor: Actor, command: CreateConversation) -> Outcome:
    if command.name is None or not ids.is_room_name(command.name):
        raise InvalidFormat("A room needs a name of 1 to 64 of A-Z a-z 0-9 _ . -", field="name")
    if command.private or command.member_ids:
        raise InvalidFormat("A public room has no members; make a group instead.", field="kind")
    now = ctx.clock()
    room = Conversation(id=command.name, kind=Kind.ROOM, name=command.name, created_at=now, updated_at=now)
    if await ctx.store.save(room):
        return await _reply(ctx, actor, room, created=True)
    there = await ctx.store.conversation(command.name)
    if there is None or there.kind is not Kind.ROOM:
        raise Conflict("This name is taken.")
    return await _reply(ctx, actor, there)


async def _create_group(ctx: Context, actor: Actor, command: CreateConversation) -> Outcome:
    await ensure_users(ctx, actor, command.member_ids)
    now = ctx.clock()
    group_id = str(ctx.ids.next())
    owners = () if actor.service else (actor.user_id,)
    others = [user_id for user_id in dict.fromkeys(command.member_ids) if user_id not in owners]
    members = [
        Member(conversation_id=group_id, user_id=user_id, role=role, joined_at=now)
        for role, user_ids in ((Role.OWNER, owners), (Role.MEMBER, others))
        for user_id in user_ids
    ]
    group = Conversation(
        id=group_id,
        kind=Kind.GROUP,
        name=command.name,
        private=command.private,
        created_at=now,
        updated_at=now,
        member_count=len(members),
    )
    if not await ctx.store.save(group, put=members):
        raise Conflict("This id is taken.")
    events = await added(ctx, group, [member.user_id for member in members])
    return await _reply(ctx, actor, group, events, created=True)


def _check_put(command: PutConversation) -> None:
    if command.kind is Kind.DIRECT or ids.direct_members(command.conversation_id) is not None:
        raise InvalidFormat("A direct conversation begins with its first message.", field="kind")
    if command.kind is Kind.ROOM:
        if not ids.is_room_name(command.conversation_id):
            raise InvalidFormat("A room's id is its name: 1 to 64 of A-Z a-z 0-9 _ . -")
        if command.member_ids or command.private:
            raise InvalidFormat("A public room has no members; make a group instead.", field="kind")


async def _put_new(ctx: Context, actor: Actor, command: PutConversation) -> Outcome | None:
    now = ctx.clock()
    joining = list(dict.fromkeys(command.member_ids))
    new = Conversation(
        id=command.conversation_id,
        kind=command.kind,
        name=command.name or (command.conversation_id if command.kind is Kind.ROOM else None),
        private=bool(command.private),
        created_at=now,
        updated_at=now,
        member_count=len(joining),
    )
    members = [Member(conversation_id=new.id, user_id=user_id, joined_at=now) for user_id in joining]
    if not await ctx.store.save(new, put=members):
        return None
    return await _reply(ctx, actor, new, await added(ctx, new, joining), created=True)


async def _put_old(ctx: Context, actor: Actor, command: PutConversation, old: Conversation) -> Outcome | None:
    if old.kind is not command.kind:
        raise Conflict("There is a conversation of another kind under this id.")
    joining = [
        user_id
        for user_id in dict.fromkeys(command.member_ids)
        if await ctx.store.member(old.id, user_id) is None
    ]
    new = _updated(ctx, old, name=command.name, private=command.private, joining=len(joining))
    if (new.name, new.private) == (old.name, old.private) and not joining:
        return await _reply(ctx, actor, old)
    if not await ctx.store.save(new, put=await newcomers(ctx, old.id, joining, ctx.clock())):
        return None
    events = (*await added(ctx, new, joining), *await changed(ctx, new))
    return await _reply(ctx, actor, new, events)


def _updated(
    ctx: Context, old: Conversation, *, name: str | None, private: bool | None, joining: int = 0
) -> Conversation:
    return replace(
        next_version(ctx, old, joining=joining),
        name=old.name if name is None else name,
        private=old.private if private is None else private,
    )


async def _reply(
    ctx: Context,
    actor: Actor,
    conversation: Conversation,
    events: tuple[Event, ...] = (),
    *,
    created: bool = False,
) -> Outcome:
    mine = await ctx.store.membership(conversation.id, actor.user_id)
    view = await conversation_view(ctx, conversation, mine)
    return Outcome(reply=ConversationReply(view=view, created=created), events=events)


def _has_begun(membership: Membership) -> bool:
    return membership.conversation.kind is not Kind.DIRECT or membership.last_seq > 0


def _activity(membership: Membership) -> tuple[datetime, str]:
    return membership.active_at, membership.conversation.id


def _encode_position(membership: Membership) -> str:
    at, conversation_id = _activity(membership)
    text = f"{round(at.timestamp() * 1000)} {conversation_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_position(text: str) -> tuple[datetime, str]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        milliseconds, space, conversation_id = (
            base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
        )
        if not space:
            raise ValueError
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC), conversation_id
    except (ValueError, binascii.Error, OverflowError, OSError):
        raise InvalidFormat("This is not where a list went on.", field="next") from None
