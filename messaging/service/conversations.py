"""Making, listing, changing and deleting conversations."""

from __future__ import annotations

import base64
import binascii
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
from messaging.domain.events import ConversationDeleted
from messaging.domain.models import Conversation, Kind, Membership, Role
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ConversationList, Done
from messaging.service.blocking import refuse_blocked
from messaging.service.changing import (
    added,
    begun,
    changed,
    keep_changed,
    keep_new,
    newcomers,
    next_version,
    permitted,
    retried,
    shown,
)
from messaging.service.context import Context, Outcome
from messaging.service.hooks import CONVERSATION_DELETED, iso
from messaging.service.limits import count_query
from messaging.service.users import ensure_users
from messaging.service.views import conversation_view


async def list_conversations(ctx: Context, actor: Actor, command: ListConversations) -> Outcome:
    """The user's conversations, the most recently active first; direct ones once they have a message."""
    await count_query(ctx, actor)
    memberships = await ctx.store.memberships(actor.user_id)
    shown = [m for m in memberships if m.archived == command.archived and _has_begun(m)]
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
    return await shown(ctx, actor, conversation)


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

    async def change() -> Outcome | None:
        old = await ctx.store.conversation(command.conversation_id)
        return await (_put_new(ctx, actor, command) if old is None else _put_old(ctx, actor, command, old))

    return await retried(change)


async def change_conversation(ctx: Context, actor: Actor, command: ChangeConversation) -> Outcome:
    """Rename a conversation, or change whether it is private, or how long messages are kept."""

    async def change() -> Outcome | None:
        old = await permitted(ctx, actor, command.conversation_id, Action.RENAME)
        if old.kind is Kind.ROOM and command.private:
            raise InvalidFormat("A public room cannot be private; make a group instead.", field="private")
        if command.retention_days is not None:
            await permitted(ctx, actor, old.id, Action.DELETE)  # which it is, in the long run
        new = _updated(ctx, old, command)
        if _is_same(old, new):
            return await shown(ctx, actor, old)
        return await shown(ctx, actor, new, await changed(ctx, new)) if await keep_changed(ctx, new) else None

    return await retried(change)


async def delete_conversation(ctx: Context, actor: Actor, command: DeleteConversation) -> Outcome:
    """Delete a group or room with all that is in it."""
    conversation = await permitted(ctx, actor, command.conversation_id, Action.DELETE)
    now = ctx.clock()
    gone = {"id": conversation.id, "kind": conversation.kind.value, "deletedAt": iso(now)}
    hooks = ctx.hooks.made(CONVERSATION_DELETED, lane=conversation.id, data={"conversation": gone})
    await ctx.store.delete(conversation.id, hooks=hooks)
    ctx.hooks.kept()
    return Outcome(reply=Done(), events=(ConversationDeleted(conversation=conversation, at=now),))


async def make_room(ctx: Context, actor: Actor, name: str) -> Conversation | None:
    """The public room of this name, made if need be; None where no room may have it."""
    if not ids.is_room_name(name):
        return None
    await count_query(ctx, actor)
    return await ensure_room(ctx, name)


async def ensure_room(ctx: Context, name: str) -> Conversation | None:
    """The conversation of this name: a public room that is made now, or what is there already."""
    room, _ = begun(ctx, name, Kind.ROOM, name=name)
    return room if await keep_new(ctx, room) else await ctx.store.conversation(name)


async def _create_room(ctx: Context, actor: Actor, command: CreateConversation) -> Outcome:
    if command.name is None or not ids.is_room_name(command.name):
        raise InvalidFormat("A room needs a name of 1 to 64 of A-Z a-z 0-9 _ . -", field="name")
    if command.private or command.member_ids:
        raise InvalidFormat("A public room has no members; make a group instead.", field="kind")
    room, _ = begun(ctx, command.name, Kind.ROOM, name=command.name)
    if await keep_new(ctx, room):
        return await shown(ctx, actor, room, created=True)
    there = await ctx.store.conversation(command.name)
    if there is None or there.kind is not Kind.ROOM:
        raise Conflict("This name is taken.")
    return await shown(ctx, actor, there)


async def _create_group(ctx: Context, actor: Actor, command: CreateConversation) -> Outcome:
    await ensure_users(ctx, actor, command.member_ids)
    await refuse_blocked(ctx, actor, *command.member_ids)
    owner = {} if actor.service else {actor.user_id: Role.OWNER}
    roles = owner | {user_id: Role.MEMBER for user_id in command.member_ids if user_id not in owner}
    group, members = begun(
        ctx, str(ctx.ids.next()), Kind.GROUP, roles, name=command.name, private=command.private
    )
    if not await keep_new(ctx, group, members):
        raise Conflict("This id is taken.")
    events = await added(ctx, actor, group, list(roles))
    return await shown(ctx, actor, group, events, created=True)


def _check_put(command: PutConversation) -> None:
    if command.kind is Kind.DIRECT or ids.direct_members(command.conversation_id) is not None:
        raise InvalidFormat("A direct conversation begins with its first message.", field="kind")
    if command.kind is Kind.ROOM:
        if not ids.is_room_name(command.conversation_id):
            raise InvalidFormat("A room's id is its name: 1 to 64 of A-Z a-z 0-9 _ . -")
        if command.member_ids or command.private:
            raise InvalidFormat("A public room has no members; make a group instead.", field="kind")


async def _put_new(ctx: Context, actor: Actor, command: PutConversation) -> Outcome | None:
    new, members = begun(
        ctx,
        command.conversation_id,
        command.kind,
        dict.fromkeys(command.member_ids, Role.MEMBER),
        name=command.name or (command.conversation_id if command.kind is Kind.ROOM else None),
        private=bool(command.private),
    )
    new = replace(new, retention_days=command.retention_days or 0)
    if not await keep_new(ctx, new, members):
        return None
    return await shown(
        ctx, actor, new, await added(ctx, actor, new, [member.user_id for member in members]), created=True
    )


async def _put_old(ctx: Context, actor: Actor, command: PutConversation, old: Conversation) -> Outcome | None:
    if old.kind is not command.kind:
        raise Conflict("There is a conversation of another kind under this id.")
    joining = [
        user_id
        for user_id in dict.fromkeys(command.member_ids)
        if await ctx.store.member(old.id, user_id) is None
    ]
    new = _updated(ctx, old, command, joining=len(joining))
    if _is_same(old, new) and not joining:
        return await shown(ctx, actor, old)
    if not await keep_changed(ctx, new, put=await newcomers(ctx, old.id, joining, ctx.clock())):
        return None
    events = (*await added(ctx, actor, new, joining), *await changed(ctx, new))
    return await shown(ctx, actor, new, events)


def _updated(
    ctx: Context, old: Conversation, wanted: PutConversation | ChangeConversation, *, joining: int = 0
) -> Conversation:
    days = wanted.retention_days
    return replace(
        next_version(ctx, old, joining=joining),
        name=old.name if wanted.name is None else wanted.name,
        private=old.private if wanted.private is None else wanted.private,
        retention_days=old.retention_days if days is None else days,
    )


def _is_same(old: Conversation, new: Conversation) -> bool:
    before, after = [(each.name, each.private, each.retention_days) for each in (old, new)]
    return before == after


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
