"""Sending messages, and the signal that somebody is about to."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from messaging.domain import ids
from messaging.domain.commands import Actor, SendMessage, SetTyping
from messaging.domain.errors import (
    ClientError,
    InvalidFormat,
    MessageNotFound,
    MessageTooLong,
    PermissionDenied,
    RateLimited,
    UserNotFound,
)
from messaging.domain.events import Event, MemberAdded, MessageSent
from messaging.domain.models import (
    SYSTEM,
    Appended,
    Author,
    Conversation,
    ConversationView,
    Draft,
    Kind,
    Member,
    MemberView,
    MessageView,
    Profile,
    Role,
)
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import Done, Sent
from messaging.service.changing import newcomers, next_version
from messaging.service.context import Context, Outcome, Seat
from messaging.service.limits import count_send, drops_signal, uncount_send
from messaging.service.uploads import attach, move_attached, uploads_in

Then = Callable[[Outcome | Exception], None]
"""Hears what a command led to, or why it was not carried out."""


async def send_message(ctx: Context, actor: Actor, command: SendMessage) -> Outcome | Future[Outcome]:
    """Store a message and tell everybody who listens. The future is done when it is durable.

    Sent again under the same client message id by the same user, it answers with the first message and
    tells nobody.
    """
    conversation_id = target_of(actor.user_id, command.conversation_id, command.to_user)
    sender = await _sender(ctx, actor, command)
    seat = await _seat(ctx, conversation_id, actor)
    conversation = permit(Action.WRITE, seat.conversation, seat.role, service=actor.service)
    _check(ctx, conversation, sender, command)
    await _check_original(ctx, conversation, command)
    first = await _blocked(ctx, conversation, sender, command)
    first = first or await _limited(ctx, actor, conversation, sender, command)
    if first is not None:
        return first
    message_id = ctx.ids.next(ctx.clock())
    has_uploads = bool(uploads_in(command.attachments))
    try:
        await _begin_direct(ctx, conversation)
        if has_uploads:
            files = await attach(ctx, actor, command.attachments, conversation.id, message_id)
            command = replace(command, attachments=files)
    except BaseException:
        uncount_send(ctx, actor)
        raise
    sent: Future[Outcome] = asyncio.get_running_loop().create_future()
    _queue(ctx, actor, conversation, sender, command, partial(_settle, sent), ctx.clock(), message_id)
    return asyncio.ensure_future(_with_uploads(ctx, sent, message_id)) if has_uploads else sent


def send_at_once(ctx: Context, actor: Actor, command: SendMessage, then: Then, now: datetime) -> bool:
    """Queue a message without waiting, where all that has to be known is at hand. False: nothing has
    happened; `send_message` is to do it, or to say why not. `then` hears of the outcome, or of the error."""
    if command.conversation_id is None or command.reply_to is not None or actor.service:
        return False
    if command.system or command.sender_id is not None:
        return False
    if command.attachments and uploads_in(command.attachments):
        return False
    sender = actor.identity.profile
    seat = ctx.seats.at_hand(command.conversation_id, sender.id)
    if seat is None:
        return False
    try:
        conversation = permit(Action.WRITE, seat.conversation, seat.role, service=False)
        _check(ctx, conversation, sender, command)
    except ClientError:
        return False
    pair = conversation.direct_members
    if pair is not None and (_is_left(conversation) or ctx.blocks.at_hand(*pair) is not False):
        return False
    if conversation.version == 0 or not ctx.limits.take_at_once(actor.budget, sender.id):
        return False
    _queue(ctx, actor, conversation, sender, command, then, now)
    return True


async def set_typing(ctx: Context, actor: Actor, command: SetTyping) -> Outcome:
    """Tell the others that the user types, or that they stopped."""
    conversation_id = target_of(actor.user_id, command.conversation_id, command.to_user)
    seat = await _seat(ctx, conversation_id, actor)
    conversation = permit(Action.WRITE, seat.conversation, seat.role, service=actor.service)
    if await drops_signal(ctx, actor):
        return Outcome(reply=Done())
    now = ctx.clock()
    if not command.active:
        return Outcome(reply=Done(), events=ctx.typists.stop(conversation_id, actor.user_id, now))
    event = ctx.typists.start(
        conversation, actor.identity.profile, actor.connection, now, seconds=command.seconds
    )
    return Outcome(reply=Done(), events=(event,))


def target_of(user_id: str, conversation_id: str | None, to_user: str | None) -> str:
    """The conversation that a command names, by its id or by the partner's; InvalidFormat for oneself."""
    if conversation_id is not None:
        return conversation_id
    if to_user is None:
        raise InvalidFormat("Name a conversation or a user.")
    if to_user == user_id:
        raise InvalidFormat("You cannot have a conversation with yourself.")
    return ids.direct_id(user_id, to_user)


async def _sender(ctx: Context, actor: Actor, command: SendMessage) -> Profile:
    """As whom the message goes out: the user; or, for a service, whom it names, or the system."""
    if command.system or command.sender_id is not None:
        if not actor.service:
            raise PermissionDenied("Only a service may speak for others.")
        if command.system:
            return SYSTEM
    if command.sender_id is None or command.sender_id == actor.user_id:
        return actor.identity.profile
    profile = await ctx.people.known(command.sender_id)
    if profile is None:
        raise UserNotFound
    return profile


async def _seat(ctx: Context, conversation_id: str, actor: Actor) -> Seat:
    """The conversation and the role of who writes; a direct one that has not begun yet included."""
    seat = await ctx.seats.find(conversation_id, actor.user_id)
    pair = ids.direct_members(conversation_id)
    if pair is None or not (actor.service or actor.user_id in pair):
        return seat
    if seat.conversation is not None and not _is_left(seat.conversation):
        return seat
    for user_id in pair:
        if user_id != actor.user_id and await ctx.people.known(user_id) is None:
            raise UserNotFound
    if seat.conversation is not None:
        return Seat(seat.conversation, Role.MEMBER)
    now = ctx.clock()
    new = Conversation(
        id=conversation_id, kind=Kind.DIRECT, created_at=now, updated_at=now, version=0, member_count=2
    )
    return Seat(new, Role.MEMBER)


def _is_left(conversation: Conversation) -> bool:
    """Whether one of the two users of a direct conversation was erased; they may have come back since."""
    pair = conversation.direct_members
    return pair is not None and conversation.version > 0 and conversation.member_count < len(pair)


async def _begin_direct(ctx: Context, conversation: Conversation) -> None:
    """Make a direct conversation that is about to get its first message; another process may be faster."""
    pair = conversation.direct_members
    if pair is None or (conversation.version > 0 and not _is_left(conversation)):
        return
    if conversation.version > 0:
        back = replace(next_version(ctx, conversation), member_count=len(pair))
        await ctx.store.save(back, put=await newcomers(ctx, back.id, pair, back.updated_at))
        return
    members = [
        Member(conversation_id=conversation.id, user_id=user_id, joined_at=conversation.created_at)
        for user_id in pair
    ]
    await ctx.store.save(replace(conversation, version=1), put=members)


def _check(ctx: Context, conversation: Conversation, sender: Profile, command: SendMessage) -> None:
    length = len(command.content.strip())
    if length == 0 and not command.attachments:
        raise InvalidFormat("A message needs content or an attachment.", field="content")
    if length > ctx.policy.max_message_length:
        raise MessageTooLong(limit=ctx.policy.max_message_length)
    pair = conversation.direct_members
    if pair is not None and sender is not SYSTEM and sender.id not in pair:
        raise PermissionDenied("Only its two users can speak in a direct conversation.")


async def _check_original(ctx: Context, conversation: Conversation, command: SendMessage) -> None:
    if command.reply_to is not None:
        original = await ctx.store.message(command.reply_to)
        if original is None or original.conversation_id != conversation.id:
            raise MessageNotFound("There is no such message to reply to in this conversation.")


async def _limited(
    ctx: Context, actor: Actor, conversation: Conversation, sender: Profile, command: SendMessage
) -> Outcome | None:
    """Count the send. One over the limit is refused, unless it only repeats a message that was stored."""
    try:
        await count_send(ctx, actor)
    except RateLimited:
        first = await _first(ctx, conversation, sender, command)
        if first is None:
            raise
        return first
    return None


async def _blocked(
    ctx: Context, conversation: Conversation, sender: Profile, command: SendMessage
) -> Outcome | None:
    """Refuse to carry words between two of whom one has blocked the other, unless it only repeats."""
    pair = conversation.direct_members
    if pair is None or sender is SYSTEM or not await ctx.blocks.between(*pair):
        return None
    first = await _first(ctx, conversation, sender, command)
    if first is None:
        raise PermissionDenied("You cannot write to this user.")
    return first


async def _first(
    ctx: Context, conversation: Conversation, sender: Profile, command: SendMessage
) -> Outcome | None:
    """The answer with the message that this one repeats, if it does."""
    if command.client_message_id is None:
        return None
    first = await ctx.store.message_by_client_id(conversation.id, sender.id, command.client_message_id)
    if first is None:
        return None
    view = MessageView(message=first, sender=sender)
    return Outcome(reply=Sent(conversation=conversation, view=view, repeated=True))


async def _with_uploads(ctx: Context, sent: Future[Outcome], message_id: int) -> Outcome:
    """A message that was stored, and has its uploads also where that is another one than was to get
    `message_id`, under which they were attached."""
    outcome = await sent
    if isinstance(outcome.reply, Sent) and outcome.reply.view.message.id != message_id:
        await move_attached(ctx, outcome.reply.view.message, message_id)
    return outcome


def _settle(sent: Future[Outcome], outcome: Outcome | Exception) -> None:
    if sent.done():  # cancelled; it is stored all the same
        return
    if isinstance(outcome, Exception):
        sent.set_exception(outcome)
    else:
        sent.set_result(outcome)


def _queue(
    ctx: Context,
    actor: Actor,
    conversation: Conversation,
    sender: Profile,
    command: SendMessage,
    then: Then,
    now: datetime,
    message_id: int | None = None,
) -> None:
    draft = Draft(
        id=ctx.ids.next(now) if message_id is None else message_id,
        conversation_id=conversation.id,
        sender_id=sender.id,
        author=Author.SYSTEM if sender is SYSTEM else Author.USER,
        content_type=command.content_type,
        content=command.content,
        attachments=command.attachments,
        reply_to=command.reply_to,
        client_message_id=command.client_message_id,
        device=actor.device,
        created_at=now,
        hook=ctx.hooks.for_messages,
    )
    ctx.committer.append(draft, _Sending(ctx, actor, conversation, sender, then))


class _Sending:
    """A message on its way into the store, and what is said once it is there."""

    __slots__ = ("actor", "conversation", "ctx", "sender", "then")

    def __init__(
        self, ctx: Context, actor: Actor, conversation: Conversation, sender: Profile, then: Then
    ) -> None:
        self.ctx, self.actor, self.then = ctx, actor, then
        self.conversation, self.sender = conversation, sender

    def __call__(self, result: Appended | Exception) -> None:
        if isinstance(result, Exception):
            uncount_send(self.ctx, self.actor)
            self.then(result)
            return
        try:
            outcome = self._outcome(result)
        except Exception as error:  # noqa: BLE001  the one who waits is told
            self.then(error)
        else:
            self.then(outcome)

    def _outcome(self, appended: Appended) -> Outcome:
        ctx, conversation, sender, message = self.ctx, self.conversation, self.sender, appended.message
        view = MessageView(message=message, sender=sender)
        reply = Sent(conversation=conversation, view=view, repeated=appended.repeated)
        if appended.repeated:
            uncount_send(ctx, self.actor)
            return Outcome(reply=reply)
        ctx.hooks.kept()
        sent = MessageSent(conversation=conversation, message=message, sender=sender)
        stopped = ctx.typists.stop(conversation.id, sender.id, message.created_at)
        begins = message.seq == 1 or _is_left(conversation)
        began = self._began(view) if begins else ()
        return Outcome(reply=reply, events=(*began, sent, *stopped))

    def _began(self, first: MessageView) -> tuple[Event, ...]:
        """Both users of a direct conversation learn of it with its first message, and with the first after
        one of them came back."""
        pair = self.conversation.direct_members
        if pair is None:
            return ()
        seq, left = first.message.seq, _is_left(self.conversation)
        version = self.conversation.version + 1 if left else max(1, self.conversation.version)
        conversation = replace(self.conversation, version=version, member_count=len(pair))
        partners = self._partners(pair)
        view = ConversationView(conversation=conversation, last_seq=seq, last_message=first, members=partners)
        now = self.ctx.clock()
        return tuple(MemberAdded(user_id=user_id, view=view, since=seq - 1, at=now) for user_id in pair)

    def _partners(self, pair: tuple[str, str]) -> tuple[MemberView, ...]:
        return tuple(
            MemberView(profile=self.ctx.people.recent(user_id) or Profile(id=user_id), role=Role.MEMBER)
            for user_id in pair
        )
