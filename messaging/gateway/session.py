"""Session: one client's conversation with the server.

Commands start and are answered in the order of their arrival. Sends (and marks) may be in flight together,
up to 64 of them, because the store writes them in groups; everything else waits for what came before it.
The answer to a command is written before the events that it causes.

A session outlives its token by 30 seconds: meanwhile it carries out nothing but `authenticate`, and what it
would have heard is held and delivered when it goes on.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from messaging.dialects.base import Answer, Dialect, Frame, Payload, Request
from messaging.domain.commands import (
    Actor,
    Authenticate,
    Command,
    JoinConversation,
    LoadHistory,
    MarkRead,
    SendMessage,
    SetTyping,
)
from messaging.domain.errors import AuthFailed, PermissionDenied, RoomNotFound
from messaging.domain.models import Conversation, Identity, Kind
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import Authenticated, Joined, Left, Reply
from messaging.gateway.farewell import SLOW, UNSIGNED, Farewell
from messaging.service.context import Outcome, Result
from messaging.service.policy import MISSED_PAGE

if TYPE_CHECKING:
    from messaging.gateway.channel import Joining
    from messaging.gateway.follower import Follower
    from messaging.gateway.gateway import Gateway

MAX_IN_FLIGHT = 64
"""How many commands of one kind may be in flight together."""
MAX_PENDING = 64
"""How many commands may wait to be started before the transport is told to stop reading."""
RENEWAL_SECONDS = 30.0
"""How long an expired session waits for a new token."""
MAX_HELD_CHARACTERS = 1 << 20
"""How much is held for an expired session before it is closed as too slow."""
_LONGEST_TIMER_SECONDS = 86_400.0

_TOGETHER: tuple[type[Command], ...] = (SendMessage, MarkRead)
"""Commands that may be in flight with others of their own kind."""


class Wire(Protocol):
    """How a dialect's frames become what a transport writes. One object per dialect, shared by all of
    its sessions, so that an event is encoded once for all of them."""

    dialect: Dialect

    def encode(self, frame: Frame) -> str:
        """A frame as text, ready to be written to any connection of this wire."""

    def encode_ack(self, ref: object, payload: Payload) -> str:
        """The ack of the command that came with `ref`, as text."""


class Transport(Protocol):
    """One client's connection, as its session sees it."""

    def write(self, data: str) -> None:
        """Send text, in order, without waiting. Live frames count against the connection's bounds;
        beyond them the transport closes itself as too slow. After close: does nothing."""

    def write_history(self, data: str) -> None:
        """Send text that does not count against the bounds (history, replays); see `drained`."""

    async def drained(self) -> None:
        """Return when the client has taken most of what was written, or is gone."""

    def close(self, farewell: Farewell) -> None:
        """End the connection; calls `Session.closed` once it has ended. Idempotent."""

    def entered(self, conversation_id: str) -> None:
        """The session watches a conversation from now on (Socket.IO: enter room `conversation:<id>`)."""

    def left(self, conversation_id: str) -> None:
        """… and no longer."""


@dataclass(slots=True)
class _InFlight:
    """A command that was started: what it was, when it came, and what will have become of it."""

    request: Request
    ref: object | None
    started: float
    result: Future[Outcome]


class Session:
    """One signed-in connection. The transport feeds it frames; it writes answers, the hub writes events."""

    def __init__(
        self,
        gateway: Gateway,
        identity: Identity,
        wire: Wire,
        transport: Transport,
        *,
        connection: str,
        peer: str,
        device: str | None = None,
    ) -> None:
        self.wire = wire
        self.user_id = identity.profile.id
        self.push: Callable[[str], None] = transport.write
        """Writes the text of an event; bound to whatever takes it at the moment."""
        self.watched: dict[str, Conversation] = {}
        self.follower: Follower | None = None
        self.farewell: Farewell | None = None
        """Why the connection ended, once it has."""
        self.peer = peer
        self.device = device
        self.opened_at = time.monotonic()
        self._gateway = gateway
        self._transport = transport
        self._identity = identity
        self._connection = connection
        self._actor = self._make_actor()
        self._pending: deque[tuple[Request, object | None, float]] = deque()
        self._in_flight: deque[_InFlight] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._change: Future[None] | None = None
        """Done when something that was in flight or pending no longer is."""
        self._held: list[str] | None = None
        """What an expired session will be told when it goes on; None while it is signed in."""
        self._held_characters = 0
        self._expiry: asyncio.TimerHandle | None = None

    # --- what the transport calls ---

    async def start(self) -> None:
        """The client knows that it is connected: follow its user's conversations, tell it what is unread."""
        self._arm_expiry()
        await self._gateway.started(self)

    async def receive(self, frame: Frame, ref: object | None = None) -> None:
        """Take one frame; `ref` is the ack id if an ack was asked for. Waits only while too many commands
        are pending. Never raises."""
        now = time.monotonic()
        for request in self.wire.dialect.requests(frame):
            self._pending.append((request, ref, now))
        if self._worker is None and self._pending:
            self._worker = self._gateway.tasks.start(self._work())
        while len(self._pending) >= MAX_PENDING and self.farewell is None:
            await self._changed()

    def alive(self) -> None:
        """The client answered something."""

    def closed(self, farewell: Farewell) -> None:
        """The connection has ended, whoever ended it. Commands that were started are carried through."""
        if self.farewell is not None:
            return
        self.farewell = farewell
        self.push = _discard
        self._pending.clear()
        if self._expiry is not None:
            self._expiry.cancel()
        for conversation_id in list(self.watched):
            self.unwatch(conversation_id)
        self._gateway.ended(self)
        self._notify()

    # --- what the gateway and the hub call ---

    def write(self, answer: Answer, ref: object | None = None) -> None:
        """Write an answer: its ack, if one was asked for, then its frames."""
        if self.farewell is not None:
            return
        if answer.ack is not None and ref is not None:
            self._transport.write(self.wire.encode_ack(ref, answer.ack))
        for frame in answer.frames:
            self._transport.write(self.wire.encode(frame))

    def close(self, farewell: Farewell) -> None:
        """End the connection."""
        self._transport.close(farewell)

    def unwatch(self, conversation_id: str) -> None:
        """No longer hear a conversation."""
        conversation = self.watched.pop(conversation_id, None)
        self._gateway.hub.leave(self, conversation_id)
        if conversation is None:
            return
        self._transport.left(conversation_id)
        if conversation.kind is Kind.ROOM:
            self._gateway.left_room(self, conversation_id)

    # --- commands, one after the other ---

    async def _work(self) -> None:
        try:
            while self._pending:
                request, ref, started = self._pending.popleft()
                self._notify()
                await self._take(request, ref, started)
        finally:
            self._worker = None

    async def _take(self, request: Request, ref: object | None, started: float) -> None:
        """Start a command as soon as it may start; wait for its end unless others may join it in flight."""
        while self._in_flight and not self._may_join(request.command):
            await self._changed()
        result = await self._gateway.attempt(self._carry_out(request, ref))
        self._in_flight.append(_InFlight(request, ref, started, result))
        if result.done():
            self._answer_finished()
        else:
            result.add_done_callback(lambda _: self._answer_finished())

    def _may_join(self, command: Command | None) -> bool:
        if not isinstance(command, _TOGETHER) or len(self._in_flight) >= MAX_IN_FLIGHT:
            return False
        return type(command) is type(self._in_flight[-1].request.command)

    def _answer_finished(self) -> None:
        """Answer, in the order of arrival, the commands whose end has come."""
        while self._in_flight and self._in_flight[0].result.done():
            self._answer(self._in_flight.popleft())
        self._notify()

    def _answer(self, entry: _InFlight) -> None:
        error = entry.result.exception()
        if error is not None:
            self._write_refusal(entry, error)
            return
        outcome = entry.result.result()
        self._write_reply(entry, outcome.reply)
        if isinstance(outcome.reply, Authenticated):
            self._renew(outcome.reply.identity)
        self._gateway.publish(outcome.events)
        self._gateway.finished(self, entry.request, entry.started)

    def _write_reply(self, entry: _InFlight, reply: Reply) -> None:
        if isinstance(reply, Joined):
            return  # a join is answered before its history is written
        try:
            answer = self.wire.dialect.reply(entry.request, reply, self._gateway.ctx.clock())
        except Exception as error:  # noqa: BLE001  a bug in one answer must not hold up the others
            self._write_refusal(entry, error)
        else:
            self.write(answer, entry.ref)

    def _write_refusal(self, entry: _InFlight, error: BaseException) -> None:
        dialect, refusal = self.wire.dialect, self._gateway.refusal_of(error)
        self._gateway.metrics.failed(dialect.name, refusal.code)
        self.write(dialect.refusal(entry.request, refusal, self._gateway.ctx.clock()), entry.ref)

    async def _carry_out(self, request: Request, ref: object | None) -> Result:
        command = request.command
        if command is None:
            raise request.error or RuntimeError("a request is a command or an error")
        self._check_sign_in(command)
        if isinstance(command, JoinConversation):
            return await self._join(request, command, ref)
        if isinstance(command, SendMessage | SetTyping) and command.conversation_id is not None:
            await self._check_joined(command.conversation_id)
        result = await self._gateway.execute(self._actor, command)
        if isinstance(result, Outcome) and isinstance(result.reply, Left):
            self.unwatch(result.reply.conversation_id)
        return result

    async def _check_joined(self, conversation_id: str) -> None:
        if not self.wire.dialect.writes_need_join or conversation_id in self.watched:
            return
        seat = await self._gateway.ctx.seats.find(conversation_id, self.user_id)
        permit(Action.WRITE, seat.conversation, seat.role, service=False)
        raise PermissionDenied("Join first.")

    # --- joining ---

    async def _join(self, request: Request, command: JoinConversation, ref: object | None) -> Result:
        """Watch first, read second: what happens meanwhile is held until the history has been written."""
        hub = self._gateway.hub
        joining = await hub.begin_join(self, command.conversation_id)
        try:
            outcome = await self._gateway.execute(self._actor, command)
            if not isinstance(outcome, Outcome) or not isinstance(outcome.reply, Joined):
                raise TypeError("joining gives a Joined")
            await self._write_joined(request, outcome.reply, ref, joining)
        except BaseException as error:
            self._give_up(joining, command.conversation_id, error)
            raise
        return outcome

    def _give_up(self, joining: Joining, conversation_id: str, error: BaseException) -> None:
        """A join failed. What was joined before still is, unless the user may not be there any more."""
        if conversation_id not in self.watched:
            self._gateway.hub.leave(self, conversation_id)
        elif isinstance(error, RoomNotFound | PermissionDenied):
            self.unwatch(conversation_id)
        elif not self._gateway.hub.finish_join(joining, conversation_id, joining.since):
            self.close(SLOW)  # more happened than is held; it catches up when it comes back

    async def _write_joined(
        self, request: Request, joined: Joined, ref: object | None, joining: Joining
    ) -> None:
        if self.farewell is not None:
            self._gateway.hub.leave(self, joined.conversation.id)
            return
        if not self._gateway.hub.is_joining(joining, joined.conversation.id):
            raise RoomNotFound  # the user was removed, or the conversation deleted, meanwhile
        self._watch(joined.conversation)
        self._write_history(request, joined, ref)
        position = joined.last_seq
        if joined.missing:
            after = joined.messages[-1].message.seq
            position = max(position, await self._write_missed(request, after, position))
        while not self._gateway.hub.finish_join(joining, joined.conversation.id, position):
            position = await self._write_missed(request, position, None)

    def _watch(self, conversation: Conversation) -> None:
        new = conversation.id not in self.watched
        self.watched[conversation.id] = conversation
        if new:
            self._transport.entered(conversation.id)
            if conversation.kind is Kind.ROOM:
                self._gateway.entered_room(self, conversation.id)

    def _write_history(self, request: Request, reply: Reply, ref: object | None = None) -> None:
        answer = self.wire.dialect.reply(request, reply, self._gateway.ctx.clock())
        if answer.ack is not None and ref is not None:
            self._transport.write_history(self.wire.encode_ack(ref, answer.ack))
        for frame in answer.frames:
            self._transport.write_history(self.wire.encode(frame))

    async def _write_missed(self, request: Request, after: int, up_to: int | None) -> int:
        """Write what was missed past `after`, page by page, as the client takes it; how far it went."""
        command = request.command
        while isinstance(command, JoinConversation) and self.farewell is None:
            await self._transport.drained()
            missed = LoadHistory(conversation_id=command.conversation_id, after=after, limit=MISSED_PAGE)
            page = await self._gateway.history(missed)
            if not page.messages:
                break
            self._write_history(request, page)
            after = page.messages[-1].message.seq
            if after >= (page.last_seq if up_to is None else up_to):
                break
        return after

    # --- signing in again ---

    def _check_sign_in(self, command: Command) -> None:
        if isinstance(command, Authenticate):
            return
        if self._held is None and self._seconds_left() <= 0:
            self._expire()
        if self._held is not None:
            raise AuthFailed("Your token has expired; authenticate with a new one.")

    def _seconds_left(self) -> float:
        if self._identity.expires_at is None:
            return _LONGEST_TIMER_SECONDS
        return (self._identity.expires_at - self._gateway.ctx.clock()) / timedelta(seconds=1)

    def _arm_expiry(self) -> None:
        if self.farewell is not None or self._identity.expires_at is None:
            return
        wait = min(max(0.0, self._seconds_left()), _LONGEST_TIMER_SECONDS)
        self._expiry = asyncio.get_running_loop().call_later(wait, self._expiry_due)

    def _expiry_due(self) -> None:
        if self._seconds_left() > 0:
            self._arm_expiry()
        elif self._held is None:
            self._expire()

    def _expire(self) -> None:
        """The token has ended: carry out and deliver nothing until there is a new one."""
        self._held, self._held_characters = [], 0
        self.push = self._hold
        error = AuthFailed("Your token has expired; authenticate with a new one.")
        self.write(self.wire.dialect.refusal(None, error, self._gateway.ctx.clock()))
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(RENEWAL_SECONDS, self.close, UNSIGNED)

    def _hold(self, text: str) -> None:
        if self._held is None:
            return
        self._held.append(text)
        self._held_characters += len(text)
        if self._held_characters > MAX_HELD_CHARACTERS:
            self.close(SLOW)

    def _renew(self, identity: Identity) -> None:
        """Go on with a new token, where the session had stopped."""
        self._identity = identity
        self._actor = self._make_actor()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._held is not None and self.farewell is None:
            held, self._held = self._held, None
            self.push = self._transport.write
            for text in held:
                self._transport.write_history(text)
        self._arm_expiry()

    # --- small things ---

    def _make_actor(self) -> Actor:
        return Actor(
            identity=self._identity,
            device=self.device,
            budget=self.wire.dialect.budget,
            connection=self._connection,
        )

    @property
    def connection(self) -> str:
        """This connection's name in this process."""
        return self._connection

    @property
    def busy(self) -> bool:
        """Whether commands are pending or in flight."""
        return bool(self._pending or self._in_flight or self._worker)

    def _changed(self) -> Future[None]:
        """Done with the next change of what is pending or in flight."""
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._change)

    def _notify(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)


def _discard(_text: str) -> None:
    """Where events for a closed connection go."""
