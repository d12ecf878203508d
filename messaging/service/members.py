"""Who belongs to a group: adding, removing, roles, and who inherits it."""

from __future__ import annotations

from dataclasses import replace

from messaging.domain.commands import Actor, PutMember, RemoveMember
from messaging.domain.errors import Conflict, InvalidFormat, PermissionDenied, UserNotFound
from messaging.domain.events import Event, MemberRemoved
from messaging.domain.models import Conversation, Kind, Member, Role
from messaging.domain.permissions import Action
from messaging.domain.replies import Done
from messaging.service.blocking import refuse_blocked
from messaging.service.changing import (
    added,
    changed,
    keep_changed,
    newcomers,
    next_version,
    permitted,
    retried,
    shown,
)
from messaging.service.context import Context, Outcome
from messaging.service.users import ensure_users


async def put_member(ctx: Context, actor: Actor, command: PutMember) -> Outcome:
    """Add a user to a group, or change a member's role."""

    async def change() -> Outcome | None:
        # The conversation first: whatever changes after that raises its version, and saving fails.
        group = await _group(ctx, actor, command.conversation_id, Action.ADD_MEMBER)
        member = await ctx.store.member(group.id, command.user_id)
        if member is None:
            return await _add(ctx, actor, command, group)
        return await _change(ctx, actor, command, group, member)

    return await retried(change)


async def remove_member(ctx: Context, actor: Actor, command: RemoveMember) -> Outcome:
    """Take a user out of a group, or leave it oneself. An owner who goes is followed by the oldest admin,
    else by the oldest member, unless there is another owner. Of who is only invited, the invitation is
    revoked."""
    leaving = command.user_id == actor.user_id

    async def change() -> Outcome | None:
        group = await _group(
            ctx, actor, command.conversation_id, Action.LEAVE if leaving else Action.REMOVE_MEMBER
        )
        member = await ctx.store.member(group.id, command.user_id)
        if member is None:
            if await ctx.store.uninvite(group.id, command.user_id):
                return Outcome(reply=Done())
            raise UserNotFound
        if member.role is Role.OWNER and not leaving and not actor.service:
            raise PermissionDenied("An owner cannot be removed.")
        return await _remove(ctx, group, member)

    return await retried(change)


async def _remove(ctx: Context, group: Conversation, member: Member) -> Outcome | None:
    new = next_version(ctx, group, joining=-1)
    if not await keep_changed(ctx, new, put=await _heirs(ctx, member), remove=[member.user_id]):
        return None
    gone = MemberRemoved(user_id=member.user_id, conversation=new, at=ctx.clock())
    return Outcome(reply=Done(), events=(gone, *await changed(ctx, new)))


async def _add(ctx: Context, actor: Actor, command: PutMember, group: Conversation) -> Outcome | None:
    role = command.role or Role.MEMBER
    if role is not Role.MEMBER:
        await permitted(ctx, actor, group.id, Action.GIVE_ROLE)
    await ensure_users(ctx, actor, [command.user_id])
    await refuse_blocked(ctx, actor, command.user_id)
    new = next_version(ctx, group, joining=1)
    [newcomer] = await newcomers(ctx, group.id, [command.user_id], new.updated_at)
    if not await keep_changed(ctx, new, put=[_with_role(newcomer, role)]):
        return None
    events = (*await added(ctx, actor, new, [command.user_id]), *await changed(ctx, new))
    return await shown(ctx, actor, new, events, created=True)


async def _change(
    ctx: Context, actor: Actor, command: PutMember, group: Conversation, member: Member
) -> Outcome | None:
    events: tuple[Event, ...] = ()
    if command.role is not None and command.role is not member.role:
        await permitted(ctx, actor, group.id, Action.GIVE_ROLE)
        heirs = await _heirs(ctx, member)
        if member.role is Role.OWNER and group.member_count == 1:
            raise Conflict("Who is alone in a group stays its owner.")
        group = next_version(ctx, group)
        if not await keep_changed(ctx, group, put=[_with_role(member, command.role), *heirs]):
            return None
        events = await changed(ctx, group)
    return await shown(ctx, actor, group, events)


async def _group(ctx: Context, actor: Actor, conversation_id: str, action: Action) -> Conversation:
    conversation = await permitted(ctx, actor, conversation_id, action)
    if conversation.kind is not Kind.GROUP:
        raise InvalidFormat("Only a group has members that come and go.")
    return conversation


async def _heirs(ctx: Context, member: Member) -> list[Member]:
    """Who becomes owner when `member` no longer is: nobody while there is another owner."""
    if member.role is not Role.OWNER:
        return []
    owners = await ctx.store.members(member.conversation_id, limit=2, role=Role.OWNER)
    if any(owner.user_id != member.user_id for owner in owners):
        return []
    for role in (Role.ADMIN, Role.MEMBER):
        oldest = await ctx.store.members(member.conversation_id, limit=1, role=role)
        if oldest:
            return [_with_role(oldest[0], Role.OWNER)]
    return []


def _with_role(member: Member, role: Role) -> Member:
    return replace(member, role=role)
