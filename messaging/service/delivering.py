"""Delivery: how far messages have reached users, and whom one message has reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from messaging.domain.commands import Actor, ListReceipts
from messaging.domain.errors import PermissionDenied
from messaging.domain.events import Delivery, MessagesDelivered
from messaging.domain.models import Conversation, Kind, Message, Written
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ReceiptList
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.messages import found_message, is_own

_WINDOW = 200
"""How far below the furthest delivery messages are looked for, whose authors are told."""

AtHand = Callable[[str, int, int], Sequence[Message] | None]
"""The messages of a conversation past one seq and up to another; None where not all of them are known."""


async def list_receipts(ctx: Context, actor: Actor, command: ListReceipts) -> Outcome:
    """Whom a message has reached, and who has read it; for who wrote it, and for services."""
    await count_query(ctx, actor)
    message, seat = await found_message(ctx, actor, command.message_id)
    permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    if not (actor.service or is_own(actor, message)):
        raise PermissionDenied("Only who wrote a message may see whom it has reached.")
    page = await ctx.store.receipts(message.conversation_id, after=command.next, limit=command.limit + 1)
    shown = page[: command.limit]
    return Outcome(
        reply=ReceiptList(
            seq=message.seq,
            receipts=tuple(each for each in shown if each.user_id != message.sender_id),
            next=shown[-1].user_id if len(page) > len(shown) else None,
        )
    )


async def delivered(
    ctx: Context, reached: Mapping[str, Mapping[str, int]], at_hand: AtHand
) -> list[MessagesDelivered]:
    """Keep up to which seq of which conversations users have received; what authors are told of it.

    Three calls to the store at the most, however many conversations and users there are; what `at_hand`
    knows is not looked up. Nobody is told in conversations with too many members for receipts.
    """
    raised = await ctx.store.mark_delivered(reached, at=ctx.clock())
    conversations = await ctx.seats.conversations(raised)
    pushed = [
        each for each in raised if each in conversations and pushes_deliveries(ctx, conversations[each])
    ]
    stretches = {each: _stretch(raised[each], reached[each]) for each in pushed}
    written = await _written(ctx, stretches, at_hand)
    told: list[MessagesDelivered] = []
    for conversation_id, messages in written.items():
        by_author: dict[str, list[Delivery]] = {}
        for author, delivery in _deliveries(messages, raised[conversation_id], reached[conversation_id]):
            by_author.setdefault(author, []).append(delivery)
        conversation, now = conversations[conversation_id], ctx.clock()
        told += [
            MessagesDelivered(user_id=author, conversation=conversation, deliveries=tuple(each), at=now)
            for author, each in by_author.items()
        ]
    return told


async def _written(
    ctx: Context, stretches: Mapping[str, tuple[int, int]], at_hand: AtHand
) -> Mapping[str, Sequence[Written | Message]]:
    """Whose messages are in these stretches, by conversation and in their order."""
    written: dict[str, Sequence[Written | Message]] = {}
    unknown: dict[str, tuple[int, int]] = {}
    for conversation_id, (after, up_to) in stretches.items():
        messages = at_hand(conversation_id, after, up_to)
        if messages is None:
            unknown[conversation_id] = after, up_to
        else:
            written[conversation_id] = messages
    if unknown:
        written.update(await ctx.store.authors(unknown))
    return written


def _stretch(before: Mapping[str, int], cursors: Mapping[str, int]) -> tuple[int, int]:
    """Past which seq and up to which one messages are newly received there."""
    last = max(cursors[user_id] for user_id in before)
    return max(min(before.values()), last - _WINDOW), last


def pushes_deliveries(ctx: Context, conversation: Conversation) -> bool:
    """Whether authors are told there; a public room has no members whom a message could reach."""
    return conversation.kind is not Kind.ROOM and conversation.member_count <= ctx.policy.receipts_max_members


def _deliveries(
    messages: Sequence[Written | Message], before: Mapping[str, int], cursors: Mapping[str, int]
) -> Iterator[tuple[str, Delivery]]:
    """For each user, the last newly received message of each other author."""
    for user_id, seq in before.items():
        last: dict[str, Written | Message] = {}
        for message in messages:
            if seq < message.seq <= cursors[user_id] and message.sender_id != user_id:
                last[message.sender_id] = message
        for author, message in last.items():
            yield author, Delivery(user_id=user_id, message_id=message.id, seq=message.seq)
