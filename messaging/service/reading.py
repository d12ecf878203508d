"""Reading: joining, history, and how far somebody has read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from messaging.domain.commands import (
    Actor,
    JoinConversation,
    LeaveConversation,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
)
from messaging.domain.errors import InvalidFormat, MessageNotFound, PermissionDenied, RoomNotFound
from messaging.domain.events import MessagesRead, Receipt
from messaging.domain.models import Conversation, Kind, Message, ReadMark
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import HistoryPage, Joined, Left, Marked
from messaging.service.context import Context, Outcome
from messaging.service.conversations import make_room
from messaging.service.limits import count_query
from messaging.service.policy import MAX_ONLINE_USERS, MAX_RECEIPTS, MISSED_PAGE
from messaging.service.sending import target_of
from messaging.service.views import message_views

_RECEIPT_WINDOW = 200
"""How far below a mark newly read messages of others are looked for."""


async def join_conversation(ctx: Context, actor: Actor, command: JoinConversation) -> Outcome:
    """Let the user watch a conversation, and give them what came before; the session does the watching."""
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    there = seat.conversation
    if there is None and command.create:
        there = await make_room(ctx, actor, command.conversation_id)
    try:
        conversation = permit(Action.READ, there, seat.role, service=actor.service)
    except RoomNotFound:
        if command.create:
            raise PermissionDenied from None
        raise
    return Outcome(reply=await _joined(ctx, conversation, command))


async def leave_conversation(ctx: Context, actor: Actor, command: LeaveConversation) -> Outcome:
    """Answer that the conversation is no longer watched; the session does it. Always succeeds."""
    stopped = ctx.typists.stop(command.conversation_id, actor.user_id, ctx.clock())
    return Outcome(reply=Left(conversation_id=command.conversation_id), events=stopped)


async def load_history(ctx: Context, actor: Actor, command: LoadHistory) -> Outcome:
    """A page of messages, oldest first."""
    if command.before is not None and command.after is not None:
        raise InvalidFormat("Give either before or after.")
    conversation_id = target_of(actor.user_id, command.conversation_id, command.with_user)
    await count_query(ctx, actor)
    seat = await ctx.seats.find(conversation_id, actor.user_id)
    if seat.conversation is None and command.with_user is not None:
        return Outcome(reply=HistoryPage(conversation=None, with_user=command.with_user))
    conversation = permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    return Outcome(reply=await history_page(ctx, conversation, command))


async def history_page(ctx: Context, conversation: Conversation, command: LoadHistory) -> HistoryPage:
    """The page that a command asks for, permission aside."""
    messages = await ctx.store.history(
        conversation.id,
        before=command.before,
        after=command.after,
        offset=command.offset,
        limit=command.limit,
    )
    last_seq = (await ctx.store.tails([conversation.id]))[conversation.id].last_seq
    return HistoryPage(
        conversation=conversation,
        with_user=command.with_user,
        messages=await message_views(ctx, messages),
        has_more=_has_more(messages, last_seq, forward=command.after is not None),
        last_seq=last_seq,
    )


async def mark_read(ctx: Context, actor: Actor, command: MarkRead) -> Outcome:
    """Move the user's cursors up to these messages, one move per conversation."""
    highest: dict[str, Message] = {}
    for message_id in command.message_ids:
        message = await _visible_message(ctx, actor, message_id)
        known = highest.get(message.conversation_id)
        if known is None or known.seq < message.seq:
            highest[message.conversation_id] = message
    results = [await _raise_cursor(ctx, actor, m.conversation_id, m.seq) for m in highest.values()]
    return await _marked(ctx, actor, results, count=command.count_unread)


async def mark_conversation_read(ctx: Context, actor: Actor, command: MarkConversationRead) -> Outcome:
    """Move the user's cursor to the conversation's end."""
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    last_seq = (await ctx.store.tails([command.conversation_id]))[command.conversation_id].last_seq
    results = []
    if last_seq > 0:
        results = [await _raise_cursor(ctx, actor, command.conversation_id, last_seq, explicit=False)]
    return await _marked(ctx, actor, results, count=command.count_unread)


async def _joined(ctx: Context, conversation: Conversation, command: JoinConversation) -> Joined:
    store, room = ctx.store, conversation.id
    if command.after is not None:
        messages = await store.history(room, after=command.after, limit=MISSED_PAGE)
    else:
        messages = await store.history(room, limit=command.limit) if command.limit else ()
    last_seq = (await store.tails([room]))[room].last_seq
    if command.after is None and messages:
        last_seq = messages[-1].seq  # what came since is live, and not in this page
    forward = command.after is not None
    more = _has_more(messages, last_seq, forward=forward)
    online: Sequence[str] = ()
    if conversation.kind is Kind.ROOM:
        online = await ctx.presence.everybody(room, limit=MAX_ONLINE_USERS)
    return Joined(
        conversation=conversation,
        messages=await message_views(ctx, messages),
        has_more=more,
        missing=forward and more,
        last_seq=last_seq,
        online=tuple(online),
    )


def _has_more(messages: Sequence[Message], last_seq: int, *, forward: bool) -> bool:
    if not messages:
        return False
    return messages[-1].seq < last_seq if forward else messages[0].seq > 1


async def _visible_message(ctx: Context, actor: Actor, message_id: int) -> Message:
    message = await ctx.store.message(message_id)
    if message is None:
        raise MessageNotFound
    seat = await ctx.seats.find(message.conversation_id, actor.user_id)
    try:
        permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    except RoomNotFound:
        raise MessageNotFound from None
    return message


async def _raise_cursor(
    ctx: Context, actor: Actor, conversation_id: str, seq: int, *, explicit: bool = True
) -> tuple[bool, MessagesRead]:
    """Move a cursor; whether it moved, and what was read.

    What had been read before is told to the caller again, where they named the message (`explicit`).
    """
    conversation = await ctx.seats.conversation(conversation_id)
    if conversation is None:
        raise RoomNotFound
    store, reader = ctx.store, actor.user_id
    previous = await store.cursor(conversation_id, reader)
    own_read = await store.own_sent(conversation_id, reader, up_to=seq)
    now = ctx.clock()
    moved = False
    if previous < seq:
        marks = await store.read_marks(conversation_id, after=previous, up_to=seq)
        after = covered_up_to(marks, previous, seq, reader)
        mark = ReadMark(
            conversation_id=conversation_id, reader_id=reader, after=min(after, seq - 1), seq=seq, at=now
        )
        moved = await store.mark_read(mark, own_read=own_read, keep=after < seq)
    lowest = previous if moved else seq - (1 if explicit else 0)
    return moved, MessagesRead(
        conversation=conversation,
        reader=actor.identity.profile,
        cursor=seq,
        own_read=own_read,
        receipts=await _receipts(ctx, conversation_id, reader, lowest, seq),
        pushed=await _pushes_receipts(ctx, conversation),
        at=now,
    )


def covered_up_to(marks: Iterable[ReadMark], after: int, up_to: int, reader_id: str) -> int:
    """How far past `after` every message has been read by two others at least.

    There a mark of `reader_id` cannot be anybody's first: whoever sent the message, one of the two did not.
    """
    ends: dict[str, int] = {}
    others = sorted((m for m in marks if m.reader_id != reader_id), key=lambda m: m.after)
    for mark in others:
        end = ends.get(mark.reader_id, after)
        if mark.after <= end:
            ends[mark.reader_id] = max(end, mark.seq)
    furthest = sorted(ends.values(), reverse=True)
    return min(up_to, furthest[1]) if len(furthest) > 1 else after


async def _receipts(
    ctx: Context, conversation_id: str, reader_id: str, after: int, seq: int
) -> tuple[Receipt, ...]:
    if after >= seq:
        return ()
    window = min(seq - after, _RECEIPT_WINDOW)
    messages = await ctx.store.history(conversation_id, before=seq + 1, limit=window)
    read = [m for m in messages if m.seq > after and m.sender_id != reader_id]
    return tuple(Receipt(message_id=m.id, seq=m.seq, sender_id=m.sender_id) for m in read[-MAX_RECEIPTS:])


async def _pushes_receipts(ctx: Context, conversation: Conversation) -> bool:
    limit = ctx.policy.receipts_max_members
    if conversation.kind is not Kind.ROOM:
        return conversation.member_count <= limit
    return len(await ctx.presence.everybody(conversation.id, limit=limit + 1)) <= limit


async def _marked(
    ctx: Context, actor: Actor, results: list[tuple[bool, MessagesRead]], *, count: bool
) -> Outcome:
    moved = tuple(event for new, event in results if new)
    again = tuple(event for new, event in results if not new and event.receipts)
    total = await total_unread(ctx, actor.user_id) if count else None
    return Outcome(reply=Marked(total_unread=total, again=again), events=moved)


async def total_unread(ctx: Context, user_id: str) -> int:
    """Unread messages of all conversations that the user has not muted."""
    memberships = await ctx.store.memberships(user_id)
    return sum(m.unread for m in memberships if not m.member.muted)
