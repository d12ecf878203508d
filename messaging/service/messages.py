"""What is done to messages that were sent before: editing, deleting, reacting.

Changes of one conversation are made one after the other in each process, since each of them is decided on
the message as the one before has left it. Another process may be faster all the same: then it is decided
anew.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from messaging.domain.commands import Actor, DeleteMessage, EditMessage, ListEdits, SetReaction
from messaging.domain.emoji import is_emoji
from messaging.domain.errors import (
    ClientError,
    Conflict,
    InvalidFormat,
    MessageNotFound,
    MessageTooLong,
    PermissionDenied,
    RoomNotFound,
    Unavailable,
)
from messaging.domain.models import Author, Change, Changed, ChangeKind, Conversation, Hook, Message, Reaction
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import ChangedMessage, EditList
from messaging.service.blocking import refuse_between_blocked
from messaging.service.changes import event_of
from messaging.service.context import Context, Outcome, Seat
from messaging.service.hooks import MESSAGE_DELETED, MESSAGE_EDITED
from messaging.service.limits import count_query, count_send, uncount_send
from messaging.service.policy import MAX_EDITS_SHOWN, MAX_REACTION_KINDS
from messaging.service.sending import target_of
from messaging.service.views import message_views

_ATTEMPTS = 20
"""How often a change is decided anew when another process was faster each time."""

_HOOKS = {ChangeKind.EDITED: MESSAGE_EDITED, ChangeKind.DELETED: MESSAGE_DELETED}

Decide = Callable[[Message], Message | None]
"""What becomes of a message; None: it is so already. Raises a ClientError to refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A change that is to be made."""

    actor: Actor
    message_id: int
    kind: ChangeKind
    emoji: str | None = None
    decide: Decide


async def edit_message(ctx: Context, actor: Actor, command: EditMessage) -> Future[Outcome]:
    """Replace what a message says. What it said before is kept; said again, nothing changes."""
    _check_content(ctx, command.content)
    message, seat = await found_message(ctx, actor, command.message_id)
    conversation = permit(Action.WRITE, seat.conversation, seat.role, service=actor.service)
    if not (actor.service or is_own(actor, message)):
        raise PermissionDenied("Only who wrote a message may edit it.")
    await refuse_between_blocked(ctx, actor, conversation)

    def decide(stored: Message) -> Message | None:
        _check_alive(stored)
        if not command.content.strip() and not stored.attachments:
            raise InvalidFormat("A message needs content or an attachment.", field="content")
        if stored.content == command.content:
            return None
        return replace(stored, content=command.content, edited_at=ctx.clock())

    wish = Wish(actor=actor, message_id=message.id, kind=ChangeKind.EDITED, decide=decide)
    return await _change(ctx, conversation, wish)


async def delete_message(ctx: Context, actor: Actor, command: DeleteMessage) -> Future[Outcome]:
    """Take back what a message says, and all that it said before; deleted again, nothing changes."""
    message, seat = await found_message(ctx, actor, command.message_id)
    own = actor.service or is_own(actor, message)
    action = Action.WRITE if own else Action.DELETE_ANY_MESSAGE
    conversation = permit(action, seat.conversation, seat.role, service=actor.service)

    def decide(stored: Message) -> Message | None:
        if stored.deleted_at is not None:
            return None
        return replace(stored, content="", attachments=(), reactions=(), deleted_at=ctx.clock())

    wish = Wish(actor=actor, message_id=message.id, kind=ChangeKind.DELETED, decide=decide)
    return await _change(ctx, conversation, wish)


async def set_reaction(ctx: Context, actor: Actor, command: SetReaction) -> Future[Outcome]:
    """Put an emoji on a message, or take it back: one of each kind for each user."""
    if not is_emoji(command.emoji):
        raise InvalidFormat("A reaction is one emoji.", field="emoji")
    message, seat = await found_message(ctx, actor, command.message_id)
    conversation = permit(Action.WRITE, seat.conversation, seat.role, service=actor.service)
    _check_place(actor, message, command)
    if command.present:
        await refuse_between_blocked(ctx, actor, conversation)

    def decide(stored: Message) -> Message | None:
        _check_alive(stored)
        reactions = _reacted(stored.reactions, command.emoji, actor.user_id, present=command.present)
        return None if reactions == stored.reactions else replace(stored, reactions=reactions)

    kind = ChangeKind.REACTED if command.present else ChangeKind.UNREACTED
    wish = Wish(actor=actor, message_id=message.id, kind=kind, emoji=command.emoji, decide=decide)
    return await _change(ctx, conversation, wish)


async def list_edits(ctx: Context, actor: Actor, command: ListEdits) -> Outcome:
    """What a message said before: for who wrote it, and for who may delete it."""
    await count_query(ctx, actor)
    message, seat = await found_message(ctx, actor, command.message_id)
    action = Action.READ if is_own(actor, message) else Action.DELETE_ANY_MESSAGE
    permit(action, seat.conversation, seat.role, service=actor.service)
    edits = await ctx.store.edits(message.id, limit=MAX_EDITS_SHOWN)
    return Outcome(reply=EditList(message_id=message.id, edits=tuple(edits)))


# --- may it be changed? ---


async def found_message(ctx: Context, actor: Actor, message_id: int) -> tuple[Message, Seat]:
    """The message and the actor's place where it is. To who may not read it, it does not exist."""
    message = await ctx.store.message(message_id)
    if message is None:
        raise MessageNotFound
    seat = await ctx.seats.find(message.conversation_id, actor.user_id)
    try:
        permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    except RoomNotFound:
        raise MessageNotFound from None
    return message, seat


def is_own(actor: Actor, message: Message) -> bool:
    """Whether the actor wrote a message."""
    return message.author is Author.USER and message.sender_id == actor.user_id


def _check_place(actor: Actor, message: Message, command: SetReaction) -> None:
    if command.conversation_id is None and command.to_user is None:
        return
    if message.conversation_id != target_of(actor.user_id, command.conversation_id, command.to_user):
        raise MessageNotFound("There is no such message in this conversation.")


def _check_content(ctx: Context, content: str) -> None:
    if len(content.strip()) > ctx.policy.max_message_length:
        raise MessageTooLong(limit=ctx.policy.max_message_length)


def _check_alive(message: Message) -> None:
    if message.deleted_at is not None:
        raise MessageNotFound("This message was deleted.")


def _reacted(
    reactions: Sequence[Reaction], emoji: str, user_id: str, *, present: bool
) -> tuple[Reaction, ...]:
    """The reactions with, or without, this one. Kinds and users stay in the order in which they came."""
    kinds = {reaction.emoji: reaction.user_ids for reaction in reactions}
    users = kinds.get(emoji, ())
    if present and user_id not in users:
        if emoji not in kinds and len(kinds) >= MAX_REACTION_KINDS:
            raise Conflict("This message has as many kinds of reactions as one can.", limit=len(kinds))
        kinds[emoji] = (*users, user_id)
    elif not present:
        kinds[emoji] = tuple(each for each in users if each != user_id)
    return tuple(Reaction(emoji=kind, user_ids=users) for kind, users in kinds.items() if users)


# --- changing it ---


async def _change(ctx: Context, conversation: Conversation, wish: Wish) -> Future[Outcome]:
    """Queue a change behind those that are being made there. The future is done when it is durable."""
    await count_send(ctx, wish.actor)

    async def write(wishes: Sequence[Wish]) -> Sequence[Changed | Message | ClientError]:
        made: list[Changed | Message | ClientError] = []
        for each in wishes:
            # While the storage is away nobody waits for more than one try.
            away = made[-1] if made and isinstance(made[-1], Unavailable) else None
            made.append(away or await _attempted(ctx, each))
        return made

    made = ctx.changes.submit(conversation.id, wish, write)
    return asyncio.ensure_future(_told(ctx, conversation, wish, made))


async def _attempted(ctx: Context, wish: Wish) -> Changed | Message | ClientError:
    try:
        return await _made(ctx, wish)
    except ClientError as error:
        return error


async def _made(ctx: Context, wish: Wish) -> Changed | Message:
    """The change as it was stored; the message alone where it was so already."""
    for _ in range(_ATTEMPTS):
        stored = await ctx.store.message(wish.message_id)
        if stored is None:
            raise MessageNotFound
        wanted = wish.decide(stored)
        if wanted is None:
            return stored
        change = _change_of(stored, wish, ctx.clock())
        before = stored.content if wish.kind is ChangeKind.EDITED else None
        hooks = _hooks_of(ctx, change)
        changed = await ctx.store.change(wanted, change, before=before, hooks=hooks)
        if changed is not None:
            ctx.hooks.kept()
            return changed
    raise Conflict("This message is being changed by others.")


def _hooks_of(ctx: Context, change: Change) -> Sequence[Hook]:
    if change.kind not in _HOOKS:
        return ()
    return ctx.hooks.made(_HOOKS[change.kind], lane=change.conversation_id, message_id=change.message_id)


def _change_of(message: Message, wish: Wish, at: datetime) -> Change:
    return Change(
        conversation_id=message.conversation_id,
        message_id=message.id,
        kind=wish.kind,
        user_id=wish.actor.user_id,
        emoji=wish.emoji,
        at=at,
    )


async def _told(
    ctx: Context, conversation: Conversation, wish: Wish, made: Future[Changed | Message | ClientError]
) -> Outcome:
    try:
        result = await made
        if isinstance(result, ClientError):
            raise result
    except ClientError:
        uncount_send(ctx, wish.actor)
        raise
    if isinstance(result, Message):
        uncount_send(ctx, wish.actor)
        return await _as_before(ctx, conversation, wish, result)
    (view,) = await message_views(ctx, [result.message])
    event = await event_of(ctx, conversation, result.change, view)
    return Outcome(reply=ChangedMessage(view=view, event=event), events=(event,))


async def _as_before(ctx: Context, conversation: Conversation, wish: Wish, message: Message) -> Outcome:
    """Nothing changed: only who asked is told how it is."""
    (view,) = await message_views(ctx, [message])
    since = message.deleted_at or message.edited_at or message.created_at
    change = replace(_change_of(message, wish, since), rev=message.rev)
    event = await event_of(ctx, conversation, change, view)
    return Outcome(reply=ChangedMessage(view=view, event=event, repeated=True))
