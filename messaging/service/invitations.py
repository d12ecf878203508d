"""Invitations: a member lets somebody join a group by themselves, until the invitation is used or revoked."""

from __future__ import annotations

from messaging.domain.commands import AcceptInvitation, Actor, InviteMember
from messaging.domain.errors import InvalidFormat, RoomNotFound, UserNotFound
from messaging.domain.models import Kind
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
from messaging.service.limits import count_query
from messaging.service.notifications import GROUP_INVITE, notify_all, of_group


async def invite_member(ctx: Context, actor: Actor, command: InviteMember) -> Outcome:
    """Invite a user into a group, and notify them. Inviting a member, or again, changes nothing."""
    await count_query(ctx, actor)
    group = await permitted(ctx, actor, command.conversation_id, Action.INVITE)
    if group.kind is not Kind.GROUP:
        raise InvalidFormat("Only into a group can people be invited.")
    if await ctx.people.known(command.user_id) is None:
        raise UserNotFound
    await refuse_blocked(ctx, actor, command.user_id)
    if await ctx.store.member(group.id, command.user_id) is not None:
        return Outcome(reply=Done())
    now = ctx.clock()
    if not await ctx.store.invite(group.id, command.user_id, by=actor.user_id, at=now):
        return Outcome(reply=Done())
    told = await notify_all(ctx, [command.user_id], of_group(ctx, GROUP_INVITE, group, actor))
    return Outcome(reply=Done(), events=told)


async def accept_invitation(ctx: Context, actor: Actor, command: AcceptInvitation) -> Outcome:
    """Join a group that one was invited to. To anybody else it does not exist."""
    await count_query(ctx, actor)

    async def change() -> Outcome | None:
        group = await ctx.store.conversation(command.conversation_id)
        if group is None:
            raise RoomNotFound
        if await ctx.store.member(group.id, actor.user_id) is not None:
            return await shown(ctx, actor, group)
        if not await ctx.store.invited(group.id, actor.user_id):
            raise RoomNotFound
        new = next_version(ctx, group, joining=1)
        members = await newcomers(ctx, group.id, [actor.user_id], new.updated_at)
        if not await keep_changed(ctx, new, put=members):
            return None
        events = (*await added(ctx, actor, new, [actor.user_id]), *await changed(ctx, new))
        return await shown(ctx, actor, new, events)

    return await retried(change)
