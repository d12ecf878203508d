"""Blocking: users who want nothing to do with one another.

Neither can write to the other, invite or add them, or see them come, go or type. What was said before stays,
and in groups both go on speaking: a group is its members'.
"""

from __future__ import annotations

from messaging.domain.commands import Actor, BlockUser, ListBlocks, UnblockUser
from messaging.domain.errors import Conflict, InvalidFormat, PermissionDenied, UserNotFound
from messaging.domain.events import BlocksChanged
from messaging.domain.models import Conversation
from messaging.domain.moderation import Block, BlockView
from messaging.domain.replies import BlockList, BlockReply, Done
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.ports_moderation import Positions
from messaging.service.presence import seen_by_others

MAX_BLOCKS = 1_000
"""How many others a user may block."""


async def block_user(ctx: Context, actor: Actor, command: BlockUser) -> Outcome:
    """Want nothing to do with a user any more. Blocking again changes nothing."""
    await count_query(ctx, actor)
    if command.user_id == actor.user_id:
        raise InvalidFormat("You cannot block yourself.")
    profile = await ctx.people.known(command.user_id)
    if profile is None:
        raise UserNotFound
    if await ctx.store.count_blocks(actor.user_id) >= MAX_BLOCKS:
        raise Conflict("You have blocked too many users.", limit=MAX_BLOCKS)
    now = ctx.clock()
    seen = await seen_by_others(ctx, actor.user_id, now)
    positions = await ctx.store.block(actor.user_id, command.user_id, at=now, seen=seen)
    block = Block(user_id=actor.user_id, blocked_id=command.user_id, at=now, seen=seen)
    if positions is None:
        block = await ctx.store.find_block(actor.user_id, command.user_id) or block
    reply = BlockReply(view=BlockView(block=block, profile=profile), created=positions is not None)
    return Outcome(reply=reply, events=_told(ctx, actor, command.user_id, positions, blocked=True))


async def unblock_user(ctx: Context, actor: Actor, command: UnblockUser) -> Outcome:
    """Have to do with a user again, unless they blocked, too."""
    await count_query(ctx, actor)
    positions = await ctx.store.unblock(actor.user_id, command.user_id)
    still = positions is not None and await ctx.store.blocked_between(actor.user_id, command.user_id)
    return Outcome(reply=Done(), events=_told(ctx, actor, command.user_id, positions, blocked=still))


async def list_blocks(ctx: Context, actor: Actor, command: ListBlocks) -> Outcome:
    """A page of those whom the user has blocked, by id."""
    await count_query(ctx, actor)
    found = await ctx.store.blocks(actor.user_id, limit=command.limit + 1, after=command.next)
    page = found[: command.limit]
    people = await ctx.people.find({block.blocked_id for block in page})
    views = tuple(BlockView(block=block, profile=people[block.blocked_id]) for block in page)
    more = len(found) > len(page)
    return Outcome(reply=BlockList(blocks=views, next=page[-1].blocked_id if more else None))


async def refuse_blocked(ctx: Context, actor: Actor, *user_ids: str) -> None:
    """PermissionDenied where the actor may not bring one of these users into a group. A service may."""
    others = set(user_ids) - {actor.user_id}
    if actor.service or not others:
        return
    if len(others) == 1:
        blocked = others if await ctx.blocks.between(actor.user_id, *others) else set()
    else:
        blocked = others & await ctx.store.blocked_with(actor.user_id)
    if blocked:
        raise PermissionDenied("You cannot bring this user into a group.", userId=min(blocked))


async def refuse_between_blocked(ctx: Context, actor: Actor, conversation: Conversation) -> None:
    """PermissionDenied where the actor may not say anything more to the other one of two. A service may."""
    pair = conversation.direct_members
    if pair is not None and not actor.service and await ctx.blocks.between(*pair):
        raise PermissionDenied("You cannot write to this user.")


def _told(
    ctx: Context, actor: Actor, other_id: str, positions: Positions | None, *, blocked: bool
) -> tuple[BlocksChanged, ...]:
    if positions is None:
        return ()
    pairs = ((actor.user_id, other_id, positions.user), (other_id, actor.user_id, positions.other))
    return tuple(
        BlocksChanged(user_id=one, other_id=other, blocked=blocked, position=position, at=ctx.clock())
        for one, other, position in pairs
    )
