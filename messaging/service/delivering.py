"""Delivery: how far messages have reached users, and whom one message has reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from messaging.domain.commands import Actor, ListReceipts
from messaging.domain.errors import PermissionDenied
from messaging.domain.events import Delivery, MessagesDelivered
from messaging.domain.models import Conversation, Kind, Message
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ReceiptList
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.messages import found_message, is_own

_WINDOW = 200
"""How far below the furthest delivery messages are looked for, whose authors are told."""


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
    ctx: Context, conversation_id: str, cursors: Mapping[str, int]
) -> tuple[MessagesDelivered, ...]:
    """Keep up to which seq users have received there; what their authors are told of it.

    Two calls to the store, however many users there are. Nobody is told in conversations with too many
    members for receipts.
    """
    conversation = await ctx.seats.conversation(conversation_id)
    if conversation is None:
        return ()
    before = await ctx.store.mark_delivered(conversation_id, cursors, at=ctx.clock())
    if not before or not pushes_deliveries(ctx, conversation):
        return ()
    last = max(cursors[user_id] for user_id in before)
    first = max(min(before.values()), last - _WINDOW)
    messages = await ctx.store.history(conversation_id, after=first, limit=last - first)
    by_author: dict[str, list[Delivery]] = {}
    for author, delivery in _deliveries(messages, before, cursors):
        by_author.setdefault(author, []).append(delivery)
    told = MessagesDelivered(user_id="", conversation=conversation, deliveries=(), at=ctx.clock())
    return tuple(replace(told, user_id=author, deliveries=tuple(each)) for author, each in by_author.items())


def pushes_deliveries(ctx: Context, conversation: Conversation) -> bool:
    """Whether authors are told there; a public room has no members whom a message could reach."""
    return conversation.kind is not Kind.ROOM and conversation.member_count <= ctx.policy.receipts_max_members


def _deliveries(
    messages: Sequence[Message], before: Mapping[str, int], cursors: Mapping[str, int]
) -> Iterator[tuple[str, Delivery]]:
    """For each user, the last newly received message of each other author."""
    for user_id, seq in before.items():
        last: dict[str, Message] = {}
        for message in messages:
            if seq < message.seq <= cursors[user_id] and message.sender_id != user_id:
                last[message.sender_id] = message
        for author, message in last.items():
            yield author, Delivery(user_id=user_id, message_id=message.id, seq=message.seq)
