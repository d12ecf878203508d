"""Devices: greeting them, and what came in all of a user's conversations while one of them was away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta

from messaging.domain import ids
from messaging.domain.commands import Actor, CatchUp, Greet, Ping
from messaging.domain.events import DeviceChanged, MessageChange
from messaging.domain.ids import INBOX
from messaging.domain.models import (
    Conversation,
    Kind,
    Membership,
    Message,
    MessageView,
    Notification,
    Position,
)
from messaging.domain.replies import Greeted, Missed, Pong
from messaging.service.changes import change_events, rev_at
from messaging.service.context import Context, Outcome
from messaging.service.views import message_views

ANY_DEVICE = ""
_AT_ONCE = 16
"""How many conversations are read at a time."""
_MOST_LOOKED_AT = 160
"""In how many conversations changes are looked for, where a device says only which message it had last."""
_CLOCK_SLACK = timedelta(hours=2)
"""How much older than a message a conversation must be to be left out: a device must lose nothing, even where
the clocks of two processes are an hour apart."""
_CLOCK_DIFFERENCE = timedelta(minutes=1)
"""Which of very many missed messages are the newest is as exact as this."""

_Missed = tuple[Conversation, Message]


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
    """What the device has not seen yet, the newest that are kept ready, oldest first; and what became of the
    messages that it has."""
    memberships = await ctx.store.memberships(actor.user_id)
    memberships = [m for m in memberships if m.conversation.kind is not Kind.ROOM]
    inbox_end = (await ctx.store.inbox_positions([actor.user_id]))[actor.user_id]
    starts = await _starts(ctx, actor, command, memberships)
    behind = [
        m for m in memberships if m.last_seq > starts[m.conversation.id].seq and _may_be_new(m, command)
    ]
    limit = ctx.policy.offline_queue_limit
    newest = await _newest(ctx, behind, starts, command.after or 0, limit + 1)
    notes = await _notes(ctx, actor, command, starts[INBOX].seq, limit + 1)
    count = len(newest) if command.after is not None else sum(_missing(m, starts) for m in behind)
    if command.after is not None:
        starts = await _starts_by_seq(ctx, memberships, newest)
    changes = await _changes(ctx, memberships, starts)
    return Outcome(
        reply=Missed(
            user_id=actor.user_id,
            messages=await _views(ctx, newest[-limit:] if limit else []),
            notifications=tuple(notes[-limit:]) if limit else (),
            changes=tuple(changes[-limit:] if limit else []),
            more=max(count, len(notes), len(changes)) > limit,
            positions=(
                *((m.conversation.id, Position(m.last_seq, m.last_rev)) for m in memberships),
                (INBOX, Position(inbox_end)),
            ),
        )
    )


async def _notes(
    ctx: Context, actor: Actor, command: CatchUp, start: int, count: int
) -> Sequence[Notification]:
    """The newest `count` notifications that the device has not seen, oldest first; what was marked read on
    another one is not news."""
    newest = await ctx.store.notifications(actor.user_id, limit=count, unread=True)
    since = ids.time_of(command.after) if command.after is not None else None
    return [
        note
        for note in reversed(newest)
        if note.position > start and (since is None or note.created_at >= since)
    ]


async def _starts(
    ctx: Context, actor: Actor, command: CatchUp, memberships: Sequence[Membership]
) -> Mapping[str, Position]:
    """Where to go on in each conversation, and in what concerns the user alone."""
    conversation_ids = [*(m.conversation.id for m in memberships), INBOX]
    if command.after is not None:
        return dict.fromkeys(conversation_ids, Position())  # ids rise with time: they say what is new
    known = await ctx.store.positions(actor.user_id, actor.device or ANY_DEVICE)
    if known is None:
        known = await _begin(ctx, actor)
    return {there: known.get(there, Position()) for there in conversation_ids}


async def _begin(ctx: Context, actor: Actor) -> Mapping[str, Position]:
    """Where a device begins that has no position yet. That is kept at once: other devices go on, and if this
    one is lost before it answers, it must not go on from where they are then."""
    known = await ctx.store.positions(actor.user_id, actor.resumes) if actor.resumes else None
    if known is None:
        known = await ctx.store.positions(actor.user_id, ANY_DEVICE) or {}
    if actor.device:
        await ctx.store.keep_positions(actor.user_id, actor.device, known, at=ctx.clock())
    return known


def _may_be_new(membership: Membership, command: CatchUp) -> bool:
    """Whether the conversation may have anything past the message that the device names."""
    return command.after is None or membership.active_at > ids.time_of(command.after) - _CLOCK_SLACK


def _missing(membership: Membership, starts: Mapping[str, Position]) -> int:
    start = max(starts[membership.conversation.id].seq, membership.conversation.removed_seq)
    return max(0, membership.last_seq - start)


async def _starts_by_seq(
    ctx: Context, memberships: Sequence[Membership], newest: Sequence[_Missed]
) -> Mapping[str, Position]:
    """Where a device stands that says only which message it had last. Of the conversations that have changes,
    the most recently active are looked at: a device that names a message was hardly away for long."""
    first: dict[str, int] = {}
    for conversation, message in newest:
        first.setdefault(conversation.id, message.seq)
    changed = sorted((m for m in memberships if m.last_rev), key=lambda m: m.active_at, reverse=True)
    starts = {m.conversation.id: Position(m.last_seq, m.last_rev) for m in memberships}
    for start in range(0, min(_MOST_LOOKED_AT, len(changed)), _AT_ONCE):
        chunk = changed[start : start + _AT_ONCE]
        seqs = [first.get(m.conversation.id, m.last_seq + 1) - 1 for m in chunk]
        revs = await asyncio.gather(
            *(rev_at(ctx, m.conversation.id, seq) for m, seq in zip(chunk, seqs, strict=True))
        )
        starts |= {m.conversation.id: Position(s, r) for m, s, r in zip(chunk, seqs, revs, strict=True)}
    return starts


async def _changes(
    ctx: Context, memberships: Sequence[Membership], starts: Mapping[str, Position]
) -> list[MessageChange]:
    """What became of the messages that the device has, in all of its conversations, by time."""
    behind = [m for m in memberships if starts[m.conversation.id].seq > 0]
    behind = [m for m in behind if m.last_rev > starts[m.conversation.id].rev]
    changes: list[MessageChange] = []
    for start in range(0, len(behind), _AT_ONCE):
        chunk = behind[start : start + _AT_ONCE]
        pages = await asyncio.gather(*(_changes_of(ctx, m, starts[m.conversation.id]) for m in chunk))
        changes += [event for page in pages for event in page]
    return sorted(changes, key=lambda event: (event.at, event.rev))


async def _changes_of(ctx: Context, membership: Membership, start: Position) -> list[MessageChange]:
    limit = min(membership.last_rev - start.rev, ctx.policy.offline_queue_limit + 1)
    after = membership.last_rev - limit  # the newest
    changes = await ctx.store.changes(membership.conversation.id, after=after, limit=limit)
    return await change_events(ctx, membership.conversation, changes, up_to_seq=start.seq)


async def _newest(
    ctx: Context, behind: Sequence[Membership], starts: Mapping[str, Position], after: int, count: int
) -> list[_Missed]:
    """The newest `count` messages past id `after` of all these conversations, oldest first.

    Few conversations are read at a time, the most recently active first, until the rest has nothing newer:
    so that it costs much the same, however many conversations a user has.
    """
    newest: list[_Missed] = []
    rest = deque(sorted(behind, key=lambda m: m.active_at, reverse=True))
    while rest and not (len(newest) >= count and _is_older(rest[0], newest[0])):
        chunk = [rest.popleft() for _ in range(min(_AT_ONCE, len(rest)))]
        pages = await asyncio.gather(*(_last(ctx, m, starts[m.conversation.id].seq, count) for m in chunk))
        newest += [missed for page in pages for missed in page if missed[1].id > after]
        newest = sorted(newest, key=lambda missed: missed[1].id)[-count:]
    return newest


def _is_older(membership: Membership, missed: _Missed) -> bool:
    """Whether all messages there are older than this one, as far as the processes' clocks agree."""
    return membership.active_at + _CLOCK_DIFFERENCE < ids.time_of(missed[1].id)


async def _last(ctx: Context, membership: Membership, after: int, count: int) -> list[_Missed]:
    """The last `count` messages of a conversation that come after seq `after`."""
    conversation = membership.conversation
    after = max(after, membership.last_seq - count)
    messages = await ctx.store.history(conversation.id, after=after, limit=membership.last_seq - after)
    return [(conversation, message) for message in messages]


async def _views(ctx: Context, newest: Sequence[_Missed]) -> tuple[tuple[Conversation, MessageView], ...]:
    """The messages as readers see them; again few conversations at a time."""
    found: dict[str, list[Message]] = {}
    for _, message in newest:
        found.setdefault(message.conversation_id, []).append(message)
    views: dict[int, MessageView] = {}
    groups = list(found.values())
    for start in range(0, len(groups), _AT_ONCE):
        chunk = groups[start : start + _AT_ONCE]
        for page in await asyncio.gather(*(message_views(ctx, _by_seq(each)) for each in chunk)):
            views |= {view.message.id: view for view in page}
    return tuple((conversation, views[message.id]) for conversation, message in newest)


def _by_seq(messages: Sequence[Message]) -> Sequence[Message]:
    return sorted(messages, key=lambda message: message.seq)
