"""Devices: greeting them, and what came in all of a user's conversations while one of them was away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from messaging.domain.commands import Actor, CatchUp, Greet, Ping
from messaging.domain.events import DeviceChanged
from messaging.domain.models import Conversation, Kind, Membership, MessageView
from messaging.domain.replies import Greeted, Missed, Pong
from messaging.service.context import Context, Outcome
from messaging.service.views import message_views

ANY_DEVICE = ""


async def greet(ctx: Context, actor: Actor, command: Greet) -> Outcome:
    """Tell the device its name, and the user's other devices that it is here."""
    del command
    device = actor.device or ""
    event = DeviceChanged(user_id=actor.user_id, device=device, connected=True, at=ctx.clock())
    return Outcome(reply=Greeted(user_id=actor.user_id, device=device), events=(event,))


async def ping(ctx: Context, actor: Actor, command: Ping) -> Outcome:
    """Answer."""
    del ctx, actor, command
    return Outcome(reply=Pong())


async def catch_up(ctx: Context, actor: Actor, command: CatchUp) -> Outcome:
    """What the device has not seen yet, the newest that are kept ready, oldest first."""
    memberships = await ctx.store.memberships(actor.user_id)
    memberships = [m for m in memberships if m.conversation.kind is not Kind.ROOM]
    starts = await _starts(ctx, actor, command, memberships)
    limit = ctx.policy.offline_queue_limit
    behind = [m for m in memberships if m.last_seq > starts[m.conversation.id]]
    pages = await asyncio.gather(*(_newest(ctx, m, starts[m.conversation.id], limit) for m in behind))
    missed = [item for page in pages for item in page if _is_new(item[1], command.after)]
    missed.sort(key=lambda item: item[1].message.id)
    count = sum(m.last_seq - starts[m.conversation.id] for m in behind)
    more = len(missed) > limit or (command.after is None and count > len(missed))
    return Outcome(
        reply=Missed(
            messages=tuple(missed[-limit:] if limit else ()),
            more=more,
            positions=tuple((m.conversation.id, m.last_seq) for m in memberships),
        )
    )


async def _starts(
    ctx: Context, actor: Actor, command: CatchUp, memberships: Sequence[Membership]
) -> Mapping[str, int]:
    """Where to go on in each conversation."""
    if command.after is not None:
        return {m.conversation.id: 0 for m in memberships}  # ids rise with time: they say what is new
    known = await ctx.store.positions(actor.user_id, actor.device or ANY_DEVICE)
    if known is None:
        known = await _begin(ctx, actor)
    return {m.conversation.id: known.get(m.conversation.id, 0) for m in memberships}


async def _begin(ctx: Context, actor: Actor) -> Mapping[str, int]:
    """Where a device begins that has no position yet. That is kept at once: other devices go on, and if this
    one is lost before it answers, it must not go on from where they are then."""
    known = await ctx.store.positions(actor.user_id, actor.resumes) if actor.resumes else None
    if known is None:
        known = await ctx.store.positions(actor.user_id, ANY_DEVICE) or {}
    if actor.device:
        await ctx.store.keep_positions(actor.user_id, actor.device, known, at=ctx.clock())
    return known


def _is_new(view: MessageView, after: int | None) -> bool:
    return after is None or view.message.id > after


async def _newest(
    ctx: Context, membership: Membership, after: int, limit: int
) -> Sequence[tuple[Conversation, MessageView]]:
    conversation = membership.conversation
    after = max(after, membership.last_seq - limit - 1)
    messages = await ctx.store.history(conversation.id, after=after, limit=limit + 1)
    views = await message_views(ctx, [m for m in messages if m.seq <= membership.last_seq])
    return [(conversation, view) for view in views]
