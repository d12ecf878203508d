"""Reading: joining, history, and how far somebody has read."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Iterable, Sequence
from dataclasses import replace

from messaging.domain.commands import (
    Actor,
    JoinConversation,
    LeaveConversation,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
)
from messaging.domain.errors import (
    ClientError,
    InvalidFormat,
    MessageNotFound,
    PermissionDenied,
    RoomNotFound,
)
from messaging.domain.events import Event, MessagesRead, Receipt
from messaging.domain.models import Conversation, Kind, Message, ReadMark
from messaging.domain.pages import End, Views
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import HistoryPage, Joined, Left, Marked
from messaging.service.context import Context, Outcome, Read, Wish
from messaging.service.conversations import make_room
from messaging.service.limits import count_query
from messaging.service.places import unmark
from messaging.service.policy import MAX_RECEIPTS, MISSED_PAGE
from messaging.service.presence import online_users
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
    return Outcome(reply=await _joined(ctx, actor, conversation, command))


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
    if command.before is None and command.after is None and not command.offset:
        return await _last_page(ctx, conversation, command)
    messages, last_seq = await asyncio.gather(
        ctx.store.history(
            conversation.id,
            before=command.before,
            after=command.after,
            offset=command.offset,
            limit=command.limit,
        ),
        _last_seq(ctx, conversation.id),
    )
    if messages:
        last_seq = max(last_seq, messages[-1].seq)
    return HistoryPage(
        conversation=conversation,
        with_user=command.with_user,
        messages=await message_views(ctx, messages),
        has_more=_has_more(conversation, messages, last_seq, forward=command.after is not None),
        last_seq=last_seq,
    )


async def _last_page(ctx: Context, conversation: Conversation, command: LoadHistory) -> HistoryPage:
    end, views = await ctx.pages.last(conversation.id, command.limit)
    messages = [view.message for view in views]
    kept = end.conversation if end is not None else conversation
    last_seq = max(end.last_seq if end is not None else 0, messages[-1].seq if messages else 0)
    return HistoryPage(
        conversation=conversation,
        with_user=command.with_user,
        messages=views,
        has_more=_has_more(kept, messages, last_seq, forward=False),
        last_seq=last_seq,
    )


async def mark_read(ctx: Context, actor: Actor, command: MarkRead) -> Future[Outcome]:
    """Move the user's cursors up to these messages, one move per conversation.

    Marks of one user in one conversation that come while one is being written go together in the next.
    What moved cannot be taken back: so an error is one only where no cursor moved, and otherwise what moved
    is told, and the answer's total counts the rest as unread.
    """
    messages = await asyncio.gather(*(_visible_message(ctx, actor, number) for number in command.message_ids))
    highest: dict[str, int] = {}
    for message in messages:
        highest[message.conversation_id] = max(message.seq, highest.get(message.conversation_id, 0))
    reads = [_read_up_to(ctx, actor, there, Wish(seq)) for there, seq in highest.items()]
    return asyncio.ensure_future(_marked(ctx, actor, reads, count=command.count_unread))


async def mark_conversation_read(ctx: Context, actor: Actor, command: MarkConversationRead) -> Outcome:
    """Move the user's cursor to the conversation's end."""
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    last_seq = await _last_seq(ctx, command.conversation_id)
    wish = Wish(last_seq, explicit=False)
    reads = [_read_up_to(ctx, actor, command.conversation_id, wish)]
    return await _marked(ctx, actor, reads, count=command.count_unread)


async def _joined(
    ctx: Context, actor: Actor, conversation: Conversation, command: JoinConversation
) -> Joined:
    before, online = await asyncio.gather(
        _before_joining(ctx, command), _online(ctx, actor, conversation, command)
    )
    end, views = before
    messages, forward = [view.message for view in views], command.after is not None
    last_seq = _end_of_history(messages, end.last_seq, command)
    more = _has_more(end.conversation, messages, last_seq, forward=forward)
    return Joined(
        conversation=conversation,
        messages=views,
        has_more=more,
        missing=forward and more,
        last_seq=last_seq,
        last_rev=end.last_rev,
        online=online,
    )


async def _before_joining(ctx: Context, command: JoinConversation) -> tuple[End, Views]:
    """What came before, and where the conversation ended by then."""
    where, after = command.conversation_id, command.after
    if after is None:
        end, views = await ctx.pages.last(where, command.limit)
        if end is None:
            raise RoomNotFound  # it was deleted meanwhile
        return end, views
    end = await ctx.pages.end(where)
    if end is None:
        raise RoomNotFound
    if after >= end.last_seq:
        return end, Views()
    missed = await ctx.store.history(where, after=after, limit=MISSED_PAGE)
    return end, Views(await message_views(ctx, missed))


async def _last_seq(ctx: Context, conversation_id: str) -> int:
    return (await ctx.store.tails([conversation_id]))[conversation_id].last_seq


async def _online(
    ctx: Context, actor: Actor, conversation: Conversation, command: JoinConversation
) -> tuple[str, ...]:
    """Who is there, with the one who is joining; only for who asks, because it costs."""
    return await online_users(ctx, actor, conversation, here=True) if command.show_online else ()


def _end_of_history(messages: Sequence[Message], last_seq: int, command: JoinConversation) -> int:
    """The seq behind which live messages begin for who joins.

    `last_seq` was read first. What only that knows of is live, unless it is missing between full pages and
    then still to be read.
    """
    if command.after is None:
        return messages[-1].seq if messages else last_seq if command.limit == 0 else 0
    if not messages:
        return min(last_seq, command.after)
    return max(last_seq, messages[-1].seq)


def _has_more(
    conversation: Conversation, messages: Sequence[Message], last_seq: int, *, forward: bool
) -> bool:
    if not messages:
        return False
    return messages[-1].seq < last_seq if forward else messages[0].seq > conversation.removed_seq + 1


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


def _read_up_to(ctx: Context, actor: Actor, conversation_id: str, wish: Wish) -> Future[Read]:
    async def write(wishes: Sequence[Wish]) -> Sequence[Read]:
        return await _raise_cursor(ctx, actor, conversation_id, wishes)

    return ctx.reads.submit((conversation_id, actor.user_id), wish, write)


async def _raise_cursor(
    ctx: Context, actor: Actor, conversation_id: str, wishes: Sequence[Wish]
) -> Sequence[Read]:
    """Move a cursor to the highest seq that is wished for.

    The last of those who moved it tells of all that was read, so that all of them are answered before. What
    had been read before is told again to the caller alone, where they named the message (`explicit`).
    """
    conversation = await ctx.seats.conversation(conversation_id)
    if conversation is None:
        raise RoomNotFound
    seq = max(wish.seq for wish in wishes)
    previous, event = await _move_cursor(ctx, actor, conversation, seq)
    reads = [
        Read() if wish.seq > previous or not wish.explicit else Read(again=await _again(ctx, event, wish.seq))
        for wish in wishes
    ]
    movers = [number for number, wish in enumerate(wishes) if wish.seq > previous]
    if movers:
        reads[movers[-1]] = Read(new=event)
    else:
        reads[-1] = reads[-1]._replace(place=await unmark(ctx, actor.user_id, conversation))
    return reads


async def _move_cursor(
    ctx: Context, actor: Actor, conversation: Conversation, seq: int
) -> tuple[int, MessagesRead]:
    """Move a cursor up to `seq`, if it is not there; where it was before, and what was read."""
    store, reader, now = ctx.store, actor.user_id, ctx.clock()
    previous, own_read, pushed = await asyncio.gather(
        store.cursor(conversation.id, reader),
        store.own_sent(conversation.id, reader, up_to=seq),
        pushes_receipts(ctx, conversation),
    )
    if previous < seq:
        marks = await store.read_marks(conversation.id, after=previous, up_to=seq)
        after = covered_up_to(marks, previous, seq, reader)
        mark = ReadMark(
            conversation_id=conversation.id, reader_id=reader, after=min(after, seq - 1), seq=seq, at=now
        )
        moved_from = await store.mark_read(mark, own_read=own_read, keep=after < seq)
        # Another process may have been faster, for all of it or for a part, and tells of that.
        previous = seq if moved_from is None else moved_from
    return previous, MessagesRead(
        conversation=conversation,
        reader=actor.identity.profile,
        cursor=seq,
        own_read=own_read,
        receipts=await receipts_of(ctx, conversation.id, reader, previous, seq),
        pushed=pushed,
        at=now,
    )


async def _again(ctx: Context, event: MessagesRead, seq: int) -> MessagesRead:
    receipts = await receipts_of(ctx, event.conversation.id, event.reader.id, seq - 1, seq)
    return replace(event, receipts=receipts)


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


async def receipts_of(
    ctx: Context, conversation_id: str, reader_id: str, after: int, seq: int
) -> tuple[Receipt, ...]:
    """What a reader who moved from `after` to `seq` read of others: the newest, rising."""
    if after >= seq:
        return ()
    window = min(seq - after, _RECEIPT_WINDOW)
    messages = await ctx.store.history(conversation_id, before=seq + 1, limit=window)
    read = [m for m in messages if m.seq > after and m.sender_id != reader_id]
    return tuple(Receipt(message_id=m.id, seq=m.seq, sender_id=m.sender_id) for m in read[-MAX_RECEIPTS:])


async def pushes_receipts(ctx: Context, conversation: Conversation) -> bool:
    """Whether everybody there is told what others read."""
    limit = ctx.policy.receipts_max_members
    if conversation.kind is not Kind.ROOM:
        return conversation.member_count <= limit
    return len(await ctx.presence.everybody(conversation.id, limit=limit + 1)) <= limit


async def _marked(ctx: Context, actor: Actor, reads: Sequence[Future[Read]], *, count: bool) -> Outcome:
    results = await asyncio.gather(*reads, return_exceptions=True)
    done = [result for result in results if isinstance(result, Read)]
    failed = [result for result in results if isinstance(result, BaseException)]
    moved = tuple(read.new for read in done if read.new is not None)
    places = tuple(read.place for read in done if read.place is not None)
    again = tuple(read.again for read in done if read.again is not None and read.again.receipts)
    if failed and not (moved or places):
        raise failed[0]
    told: tuple[Event, ...] = (*moved, *places)
    total = await _total_if_known(ctx, actor.user_id, told) if count else None
    return Outcome(reply=Marked(total_unread=total, again=again), events=told)


async def _total_if_known(ctx: Context, user_id: str, moved: Sequence[Event]) -> int | None:
    try:
        return await total_unread(ctx, user_id)
    except ClientError:
        if moved:
            return None  # they are told all the same
        raise


async def total_unread(ctx: Context, user_id: str) -> int:
    """Unread messages of all conversations that the user has not muted."""
    memberships = await ctx.store.memberships(user_id)
    return sum(m.unread for m in memberships if not m.member.muted)
