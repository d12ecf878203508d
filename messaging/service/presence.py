"""Presence: who is online, who is told, and what they may know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from messaging.domain.arrivals import Arrival
from messaging.domain.commands import Actor, GetStatus, ListContacts, ListOnlineUsers, SetStatus
from messaging.domain.errors import ClientError, UserNotFound
from messaging.domain.events import PresenceChanged
from messaging.domain.models import Conversation, Kind, Membership, Profile, Status, User
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ContactList, Done, OnlineUsers, UserStatus
from messaging.service.context import Context, Outcome
from messaging.service.hooks import USER_OFFLINE, USER_ONLINE, iso
from messaging.service.limits import drops_signal
from messaging.service.policy import MAX_ONLINE_USERS
from messaging.service.ports import ONLINE

logger = logging.getLogger(__name__)

_MEMBERS_ASKED = 10_000
"""How many members of a group are looked at for the list of those online."""


async def set_status(ctx: Context, actor: Actor, command: SetStatus) -> Outcome:
    """Choose what others see; told to contacts when it changes what they see."""
    if await drops_signal(ctx, actor):
        return Outcome(reply=Done())
    user = await _user(ctx, actor.user_id)
    if user.status is command.status:
        return Outcome(reply=Done())
    await ctx.store.set_status(actor.user_id, command.status)
    if not await ctx.presence.among(ONLINE, [actor.user_id]):
        return Outcome(reply=Done())
    now = ctx.clock()
    if command.status is Status.OFFLINE:
        await _keep_last_seen(ctx, actor.user_id, now)  # this is when they go, as far as others can see
    return Outcome(
        reply=Done(),
        events=await changed(ctx, user.profile, before=user.status, after=command.status, at=now),
    )


async def list_online_users(ctx: Context, actor: Actor, command: ListOnlineUsers) -> Outcome:
    """Who of a conversation is online; of a public room, who watches it. The caller included."""
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    conversation = permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    here = seat.role is not None or bool(await ctx.presence.among(conversation.id, [actor.user_id]))
    user_ids = await online_users(ctx, actor, conversation, here=here)
    return Outcome(reply=OnlineUsers(conversation_id=conversation.id, user_ids=user_ids))


async def online_users(
    ctx: Context, actor: Actor, conversation: Conversation, *, here: bool
) -> tuple[str, ...]:
    """Whom of a conversation the user may see to be online; with themselves when they are `here`."""
    own = {actor.user_id}
    there = await _there(ctx, conversation) - own if ctx.policy.presence else set()
    others = await _visible(ctx, actor, there)
    listed = own.union(sorted(others)[: MAX_ONLINE_USERS - 1]) if here else others
    return tuple(sorted(listed)[:MAX_ONLINE_USERS])


async def get_status(ctx: Context, actor: Actor, command: GetStatus) -> Outcome:
    """Whether a contact is online; others than contacts do not exist for the asker."""
    user = (await ctx.store.users([command.user_id])).get(command.user_id)
    if user is None or not (actor.service or await are_contacts(ctx, actor.user_id, command.user_id)):
        raise UserNotFound
    if not actor.service and await ctx.blocks.between(actor.user_id, command.user_id):
        seen = await seen_before_block(ctx, actor.user_id, command.user_id)
        return Outcome(reply=UserStatus(user_id=command.user_id, status=Status.OFFLINE, last_seen=seen))
    status = await status_of(ctx, user)
    return Outcome(reply=UserStatus(user_id=command.user_id, status=status, last_seen=user.last_seen))


async def status_of(ctx: Context, user: User) -> Status:
    """What others see of a user now."""
    online = ctx.policy.presence and bool(await ctx.presence.among(ONLINE, [user.profile.id]))
    return user.status if online else Status.OFFLINE


async def seen_by_others(ctx: Context, user_id: str, now: datetime) -> datetime | None:
    """When others saw a user last, who goes out of their sight now: now, unless they were offline already."""
    user = await _user(ctx, user_id)
    return user.last_seen if await status_of(ctx, user) is Status.OFFLINE else now


async def seen_before_block(ctx: Context, user_id: str, hidden_id: str) -> datetime | None:
    """When a user last saw one who has blocked them: the same, whatever that one has done since, as of
    somebody invisible. None for whom the user blocked; else they would learn that the other did, too."""
    if await ctx.store.find_block(user_id, hidden_id) is not None:
        return None
    block = await ctx.store.find_block(hidden_id, user_id)
    return None if block is None else block.seen


async def list_contacts(ctx: Context, actor: Actor, command: ListContacts) -> Outcome:
    """The status of each contact who is not offline."""
    del command
    if not ctx.policy.presence:
        return Outcome(reply=ContactList(statuses=()))
    memberships = await ctx.store.memberships(actor.user_id)
    shared = [m.conversation.id for m in memberships if shares_presence(ctx, m)]
    members = await asyncio.gather(
        *(ctx.store.members(conversation_id, limit=_MEMBERS_ASKED) for conversation_id in shared)
    )
    contacts = {member.user_id for group in members for member in group} - {actor.user_id}
    contacts -= await ctx.store.blocked_with(actor.user_id)
    online = await ctx.presence.among(ONLINE, contacts)
    users = await ctx.store.users(online) if online else {}
    statuses = tuple(
        UserStatus(user_id=user_id, status=user.status, last_seen=user.last_seen)
        for user_id, user in sorted(users.items())
        if user.status is not Status.OFFLINE
    )
    return Outcome(reply=ContactList(statuses=statuses))


async def is_visible(ctx: Context, user_id: str) -> bool:
    """Whether others may learn where a user is."""
    return ctx.policy.presence and (await _user(ctx, user_id)).status is not Status.OFFLINE


async def came_online(
    ctx: Context, user_id: str, arrival: Arrival | None = None
) -> tuple[PresenceChanged, ...]:
    """What is told when a user's first connection, over all processes, has come; `arrival` where that was
    read just now."""
    arrival = arrival or (await ctx.store.arrivals([user_id]))[user_id]
    user = arrival.user or User(profile=Profile(id=user_id))
    return await _crossed(
        ctx, user, arrival.memberships, before=Status.OFFLINE, after=user.status, at=ctx.clock()
    )


async def went_offline(ctx: Context, user_id: str) -> tuple[PresenceChanged, ...]:
    """What is told when a user's last connection has been gone for the grace period.

    Nobody saw an invisible one: nothing shows that they were here.
    """
    arrival = (await ctx.store.arrivals([user_id]))[user_id]
    user = arrival.user or User(profile=Profile(id=user_id))
    if user.status is Status.OFFLINE:
        return ()
    now = ctx.clock()
    await _keep_last_seen(ctx, user_id, now)
    return await _crossed(ctx, user, arrival.memberships, before=user.status, after=Status.OFFLINE, at=now)


async def changed(
    ctx: Context, profile: Profile, *, before: Status, after: Status, at: datetime
) -> tuple[PresenceChanged, ...]:
    """What contacts are told when the status that they see goes from one to another, at that time."""
    if before is after or not ctx.policy.presence:
        return ()
    memberships = await ctx.store.memberships(profile.id)
    return await _crossed(ctx, User(profile=profile), memberships, before=before, after=after, at=at)


async def _crossed(
    ctx: Context,
    user: User,
    memberships: Sequence[Membership],
    *,
    before: Status,
    after: Status,
    at: datetime,
) -> tuple[PresenceChanged, ...]:
    """The same where it is known what the user is a member of."""
    if before is after or not ctx.policy.presence:
        return ()
    if Status.OFFLINE in (before, after):
        await _keep_hook(ctx, user.profile.id, after, at)
    event = PresenceChanged(
        user=user.profile,
        status=after,
        crossed=Status.OFFLINE in (before, after),
        last_seen=at if after is Status.OFFLINE else None,
        conversations=tuple(m.conversation.id for m in memberships if shares_presence(ctx, m)),
        at=at,
    )
    return (event,)


async def _keep_hook(ctx: Context, user_id: str, status: Status, at: datetime) -> None:
    """A process that dies at this moment takes this with it: who was here says nothing of who was told."""
    online = status is not Status.OFFLINE
    data = {"userId": user_id, "status": status.value} | ({} if online else {"lastSeen": iso(at)})
    await ctx.hooks.keep(USER_ONLINE if online else USER_OFFLINE, lane=f"user:{user_id}", data=data)


def shares_presence(ctx: Context, membership: Membership) -> bool:
    """Whether the members of this conversation learn of one another's presence."""
    match membership.conversation.kind:
        case Kind.DIRECT:
            return membership.last_seq > 0
        case Kind.GROUP:
            return membership.conversation.member_count <= ctx.policy.presence_max_members
        case Kind.ROOM:
            return False


async def _keep_last_seen(ctx: Context, user_id: str, at: datetime) -> None:
    """Keep when others last saw a user. That they are gone now is told even if this cannot be kept."""
    try:
        await ctx.store.set_last_seen(user_id, at)
    except ClientError as error:
        logger.warning("when a user was last seen was not kept: %s", error.message)


async def _user(ctx: Context, user_id: str) -> User:
    users = await ctx.store.users([user_id])
    return users.get(user_id) or User(profile=Profile(id=user_id))


async def _there(ctx: Context, conversation: Conversation) -> set[str]:
    if conversation.kind is Kind.ROOM:
        return set(await ctx.presence.everybody(conversation.id, limit=MAX_ONLINE_USERS))
    members = await ctx.store.members(conversation.id, limit=_MEMBERS_ASKED)
    return set(await ctx.presence.among(ONLINE, [member.user_id for member in members]))


async def _visible(ctx: Context, actor: Actor, user_ids: set[str]) -> set[str]:
    if user_ids and not actor.service:
        user_ids = user_ids - await ctx.store.blocked_with(actor.user_id)
    users = await ctx.store.users(user_ids) if user_ids else {}
    return {user_id for user_id, user in users.items() if user.status is not Status.OFFLINE}


async def are_contacts(ctx: Context, one: str, other: str) -> bool:
    """Whether two users learn of one another's presence, if neither has blocked the other."""
    if one == other:
        return True
    shared = [
        {m.conversation.id for m in await ctx.store.memberships(u) if shares_presence(ctx, m)}
        for u in (one, other)
    ]
    return not shared[0].isdisjoint(shared[1])
