"""Session: one client's conversation with the server.

Commands start and are answered in the order of their arrival. Sends (and marks) may be in flight together,
up to 64 of them, because the store writes them in groups, and a join begins while a leave before it is still
being kept; everything else waits for what came before it.
The answer to a command is written before the events that it causes.

A session outlives its token by 30 seconds: meanwhile it carries out nothing but `authenticate`, and what it
would have heard is held and delivered when it goes on.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from messaging.dialects.base import Answer, Frame, Hears, Request
from messaging.domain.commands import (
    Actor,
    Authenticate,
    CatchUp,
    Command,
    JoinConversation,
    LeaveConversation,
    MarkRead,
    SendMessage,
    SetReaction,
    SetTyping,
)
from messaging.domain.errors import AuthFailed, ClientError, PermissionDenied, Unavailable
from messaging.domain.events import Event
from messaging.domain.models import Conversation, Identity, Kind
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import Authenticated, Joined, Left, Missed, Reply, Sent
from messaging.gateway.catching_up import CatchingUp
from messaging.gateway.comeback import Comeback
from messaging.gateway.farewell import REMOVED, SLOW, UNAVAILABLE, UNSIGNED, Farewell
from messaging.gateway.joining import Join
from messaging.gateway.offset import Point
from messaging.gateway.rendering import Rendering, ended
from messaging.gateway.resuming import Resuming
from messaging.gateway.sign_in import EXPIRED, SignIn
from messaging.gateway.transport import Transport, Wire
from messaging.service import tracing
from messaging.service.context import Outcome, Result
from messaging.service.sending import send_at_once

if TYPE_CHECKING:
    from messaging.gateway.follower import Follower
    from messaging.gateway.gateway import Gateway

MAX_IN_FLIGHT = 64
"""How many commands of one kind may be in flight together."""
STALL_SECONDS = 1.0
"""Whoever waited so long for the storage in vain has waited for those who came behind it meanwhile, too:
else the nth of many commands would be told after n times the limit that the storage is away."""
MAX_PENDING = 64
"""How many commands may wait to be started before the transport is told to stop reading."""

SENT_AWAY = "An administrator has disconnected you."
ERASED = "This user has been removed."

_TOGETHER: tuple[type[Command], ...] = (SendMessage, MarkRead)
"""Commands that may be in flight with others of their own kind."""


class _InFlight:
    """A command that was started: what it was, when it came, and, in the end, what has become of it."""

    __slots__ = ("_answer", "outcome", "ref", "request", "started")

    def __init__(
        self, request: Request, ref: object | None, started: float, answer: Callable[[], None]
    ) -> None:
        self.request = request
        self.ref = ref
        self.started = started
        self.outcome: Outcome | BaseException | None = None
        self._answer = answer

    def end(self, outcome: Outcome | BaseException) -> None:
        """It was carried out, or failed."""
        self.outcome = outcome
        self._answer()

    def end_as(self, result: Future[Outcome]) -> None:
        """The same."""
        self.end(result.exception() or result.result())


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
        resumes: str | None = None,
        after: int | None = None,
        comeback: Comeback | None = None,
    ) -> None:
        self.wire = wire
        self.user_id = identity.profile.id
        self.push: Callable[[str], None] = transport.write
        """Writes the text of an event; bound to whatever takes it at the moment."""
        self.watched: dict[str, Conversation] = {}
        self.comeback = comeback
        """What the client can come back to, where its wire has that."""
        self.trail = comeback.trail if comeback else None
        """What the client has been told of what it joined, where it can come back to that."""
        self.follower: Follower | None = None
        self.farewell: Farewell | None = None
        """Why the connection ended, once it has."""
        self.peer = peer
        self.device = device
        self._resumes = resumes
        self.opened_at = time.monotonic()
        self.connected_at = gateway.ctx.clock()
        self._trace = tracing.current()
        """The trace in which the client connected: what it does belongs to it."""
        self.connection = connection
        """This connection's name in this process."""
        self._sent_away = ""
        self.catching_up = CatchingUp(gateway, self) if wire.dialect.hears is Hears.ALL else None
        self._gateway = gateway
        self._transport = transport
        self._after = after
        self._sign_in = SignIn(
            identity,
            gateway.ctx.clock,
            expired=self._expired,
            lapsed=lambda: self.close(UNSIGNED),
            overflowed=lambda: self.close(SLOW),
        )
        self.actor = self._make_actor()
        """As whom commands are carried out."""
        self._pending: deque[tuple[Request, object | None, float]] = deque()
        self._in_flight: deque[_InFlight] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._stalled_at = 0.0
        """When a command last waited in vain for the storage."""
        self.received: dict[str, int] = {}
        """What it is not known yet whether the client has received: up to which seq, by conversation."""
        self._questions = 0
        self._change: Future[None] | None = None
        """Done when something that was in flight or pending no longer is."""

    # --- what the transport calls ---

    async def start(self) -> None:
        """The client is signed in: follow its user's conversations, greet it, tell it what is unread."""
        self._sign_in.arm()
        await self._gateway.started(self)
        if self.farewell is None:
            if self.comeback is not None and self.comeback.missed is not None:
                self._worker = self._gateway.tasks.start(self._resume(self.comeback))
            self._take_all(self.wire.dialect.greeting(self.device or "", self._after))

    def take(self, frame: Frame, ref: object | None = None) -> bool:
        """Take one frame; `ref` is the ack id if an ack was asked for. False while too many commands are
        pending: then nothing has happened. Never raises."""
        if len(self._pending) >= MAX_PENDING:
            return False
        if self.received:
            self._gateway.deliveries.answered(self)
        if self.catching_up is not None:
            self.catching_up.ask()  # before the answer, so that who has that has confirmed
        requests = self.wire.dialect.requests(frame)
        if self._trace:
            with tracing.tracing(tracing.current() or self._trace):
                self._take_all(requests, ref)
        elif self._worker is not None or len(requests) != 1 or not self._begin_at_once(requests[0], ref):
            self._take_all(requests, ref)
        return True

    async def receive(self, frame: Frame, ref: object | None = None) -> None:
        """The same; waits while too many commands are pending, before and after."""
        await self._have_room()
        if self.farewell is None:
            self.take(frame, ref)
            await self._have_room()

    async def _have_room(self) -> None:
        while len(self._pending) >= MAX_PENDING and self.farewell is None:
            await self._changed()

    def refuse(self, error: ClientError) -> None:
        """Answer, in its turn, something that came in and is not even a frame."""
        self._take_all((Request(name="", error=error),))

    def confirmed(self, token: int) -> None:
        """The client answered `Transport.probe(token)`, or a ping."""
        if self.received:
            self._gateway.deliveries.answered(self)
        if self.catching_up is not None:
            self.catching_up.confirmed(token)

    def closed(self, farewell: Farewell) -> None:
        """The connection has ended, whoever ended it. Commands that were started are carried through."""
        if self.farewell is not None:
            return
        self.farewell = farewell
        self.push = _discard
        self._pending.clear()
        self._sign_in.end()
        if self.catching_up is not None:
            self.catching_up.close()
        if self.comeback is not None:
            self._gateway.recoveries.released(self.comeback, farewell)
            self.comeback.session = None
        for conversation_id in list(self.watched):
            self.unwatch(conversation_id, lost=True)
        self._gateway.ended(self)
        self.catching_up = None  # or the two would wait for the garbage collector
        self._notify()

    # --- what the gateway and the hub call ---

    def write(self, answer: Answer, ref: object | None = None) -> None:
        """Write an answer: its ack, if one was asked for, then its frames."""
        if self.farewell is not None or self._sent_away:
            return
        if answer.ack is not None and ref is not None:
            self._transport.write(self.wire.encode_ack(ref, answer.ack))
        for frame in answer.frames:
            self._transport.write(self.wire.encode(frame))

    def write_history(
        self, request: Request, reply: Reply, ref: object | None = None, *, here: Point | None = None
    ) -> None:
        """Write an answer that does not count against the connection's bounds; see `drained`. `here` is the
        point that the client has reached with it, where it tells of a conversation that it hears."""
        if self._sent_away:
            return
        answer = self.wire.dialect.reply(request, reply, self._gateway.ctx.clock())
        if answer.ack is not None and ref is not None:
            self._transport.write_history(self.wire.encode_ack(ref, answer.ack))
        texts = [self.wire.encode(frame) for frame in answer.frames]
        if self.trail is not None and here is not None:
            self.trail.raise_to(here)
            texts = ended(self.wire, texts, self.trail.offset)
        write = self._transport.write_history if self.signed_in else self.push  # which holds it then
        for text in texts:
            write(text)

    def write_missed(self, event: Event, here: Point | None) -> None:
        """Write an event that happened while the client was away; it does not count, like history."""
        if self._sent_away:
            return
        write = self._transport.write_history if self.signed_in else self.push
        for text in Rendering(event, here).texts(self):
            write(text)

    async def drained(self) -> None:
        """Return when the client has taken most of what was written, or is gone."""
        await self._transport.drained()

    def ask(self) -> None:
        """Have the client answer, behind all that was written before."""
        self.probe(self.question())

    def question(self) -> int:
        """The token of the next question."""
        self._questions += 1
        return self._questions

    @property
    def behind(self) -> bool:
        """Whether something still waits to be written to the client."""
        return self._transport.behind

    def probe(self, token: int) -> None:
        """Ask the client to confirm what was written; see `Transport.probe`."""
        self._transport.probe(token)

    def close(self, farewell: Farewell) -> None:
        """End the connection."""
        self._transport.close(farewell)

    def send_away(self, reason: str = SENT_AWAY) -> None:
        """The user was disconnected, or removed: say so, deliver and begin nothing more, and end."""
        if self._sent_away or self.farewell is not None:
            return
        self.write(self.wire.dialect.refusal(None, AuthFailed(reason), self._gateway.ctx.clock()))
        self._sent_away = reason
        self._sign_in.close()
        self.push = _discard
        self._pending.clear()
        self.close(REMOVED)

    @property
    def crowded(self) -> bool:
        """Whether typing and presence are left out for the client to keep up with the rest."""
        return self._transport.crowded

    def hides(self, user_id: str) -> bool:
        """Whether the client's user shall not see what this one is about."""
        return self.follower is not None and user_id in self.follower.hidden

    @property
    def signed_in(self) -> bool:
        """Whether what is pushed is written now, rather than held until there is a new token."""
        return not self._sign_in.ended

    def watch(self, conversation: Conversation) -> None:
        """Hear a conversation because the client joined it."""
        new = conversation.id not in self.watched
        self.watched[conversation.id] = conversation
        if new:
            self._transport.entered(conversation.id)
            if conversation.kind is not Kind.DIRECT:
                self._gateway.attendance.entered(conversation, self.actor.identity.profile)

    def unwatch(self, conversation_id: str, *, lost: bool = False) -> None:
        """No longer hear a conversation; `lost`: because the connection is gone."""
        conversation = self.watched.pop(conversation_id, None)
        self._gateway.hub.leave(self, conversation_id)
        if conversation is None:
            return
        self._transport.left(conversation_id)
        if self.trail is not None and not lost:
            self.trail.leave(conversation_id)
            self._gateway.recoveries.left(self, conversation_id)
        if conversation.kind is not Kind.DIRECT:
            self._gateway.attendance.left(conversation, self.actor.identity.profile, lost=lost)

    # --- commands, one after the other ---

    def _take_all(self, requests: Sequence[Request], ref: object | None = None) -> None:
        now = time.monotonic()
        self._pending.extend((request, ref, now) for request in requests)
        if self._worker is None and self._pending:
            self._worker = self._gateway.tasks.start(self._work())

    async def _resume(self, comeback: Comeback) -> None:
        """Tell what was missed, before anything that the client asks. Not in `start`: who polls only polls on
        once that has returned, and takes nothing of it before."""
        await Resuming(self._gateway, self, comeback.missed or (), comeback.readers).run()
        await self._work()

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
        result: Result | Exception
        try:
            result = await self._carry_out(request, ref, started)
        except Exception as error:  # noqa: BLE001  the client is told
            result = error
        entry = _InFlight(request, ref, started, self._answer_finished)
        self._in_flight.append(entry)
        if isinstance(result, Future):
            result.add_done_callback(entry.end_as)
        else:
            entry.end(result)

    def _begin_at_once(self, request: Request, ref: object | None) -> bool:
        """Begin a send in the turn in which it came, without a task of its own, where all that it needs is at
        hand; False: it has to be carried out like any other command."""
        command, gateway = request.command, self._gateway
        if type(command) is not SendMessage or gateway.around is not None:
            return False
        now = gateway.ctx.clock()
        if not self._is_good(now):
            return False
        in_flight = self._in_flight
        if in_flight and not self._may_join(command):
            return False
        if self.wire.dialect.writes_need_join and command.conversation_id not in self.watched:
            return False
        entry = _InFlight(request, ref, time.monotonic(), self._answer_finished)
        if not send_at_once(gateway.ctx, self.actor, command, entry.end, now):
            return False
        in_flight.append(entry)
        return True

    def _is_good(self, now: datetime) -> bool:
        """Whether the client may do anything; where this says no, carrying a command out says why."""
        if self._sent_away or self._gateway.ctx.revocations.revoked(self.actor.identity):
            return False
        return self._sign_in.is_good(now)

    def _may_join(self, command: Command | None) -> bool:
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return False
        before = type(self._in_flight[-1].request.command)
        if isinstance(command, JoinConversation):
            return before is LeaveConversation  # who goes from one to the next; it waits before it answers
        return isinstance(command, _TOGETHER) and type(command) is before

    def _answer_finished(self) -> None:
        """Answer, in the order of arrival, the commands whose end has come."""
        in_flight = self._in_flight
        while in_flight and (outcome := in_flight[0].outcome) is not None:
            self._answer(in_flight.popleft(), outcome)
        if self._change is not None:
            self._notify()

    def _answer(self, entry: _InFlight, outcome: Outcome | BaseException) -> None:
        if not isinstance(outcome, Outcome):
            self._write_refusal(entry, outcome)
            outcome.__traceback__ = None  # which leads to whatever raised it, and from there back to it
            if isinstance(entry.request.command, CatchUp):
                # Going live would leave out what was missed, for good. It comes back, and tries again.
                self.close(UNAVAILABLE)
            return
        reply = outcome.reply
        self._write_reply(entry, reply)
        if isinstance(reply, Sent):
            if reply.repeated:
                self._gateway.metrics.suppressed("sender")
        elif isinstance(reply, Authenticated):
            self._renew(reply.identity)
        self._gateway.publish(outcome.events)
        self._gateway.finished(self, entry.request, entry.started)

    def _write_reply(self, entry: _InFlight, reply: Reply) -> None:
        if isinstance(reply, Joined):
            return  # a join is answered before its history is written
        if isinstance(reply, Missed):
            if self.catching_up is not None and self.farewell is None:
                self.write_history(entry.request, reply)
                self.catching_up.finish(reply)
            return
        try:
            answer = self.wire.dialect.reply(entry.request, reply, self._gateway.ctx.clock())
        except Exception as error:  # noqa: BLE001  a bug in one answer must not hold up the others
            self._write_refusal(entry, error)
        else:
            self.write(answer, entry.ref)

    def _write_refusal(self, entry: _InFlight, error: BaseException) -> None:
        dialect, refusal = self.wire.dialect, self._gateway.refusal_of(error)
        now = time.monotonic()
        if isinstance(refusal, Unavailable) and now - entry.started >= STALL_SECONDS:
            self._stalled_at = now
        self._gateway.metrics.failed(dialect.name, refusal.code)
        if isinstance(entry.request.command, Authenticate) and isinstance(refusal, AuthFailed):
            self._gateway.sign_in_failed(self.peer)
        self.write(dialect.refusal(entry.request, refusal, self._gateway.ctx.clock()), entry.ref)

    async def _carry_out(self, request: Request, ref: object | None, came: float) -> Result:
        command = request.command
        if command is None:
            raise request.error or RuntimeError("a request is a command or an error")
        if self._sent_away:
            raise AuthFailed(self._sent_away)
        if came < self._stalled_at:
            raise Unavailable
        if not isinstance(command, Authenticate | CatchUp):  # what was missed is held, like what is live
            self._sign_in.check()
            self._gateway.ctx.revocations.check(self.actor.identity)
        if isinstance(command, JoinConversation):
            return await Join(self._gateway, self, request, command).run(ref)
        if isinstance(command, SendMessage | SetTyping | SetReaction) and command.conversation_id is not None:
            await self._check_joined(command.conversation_id)
        result = await self._gateway.execute(self.actor, command)
        if isinstance(result, Outcome) and isinstance(result.reply, Left):
            return self._leave(result, result.reply.conversation_id)
        return result

    def _leave(self, outcome: Outcome, conversation_id: str) -> Future[Outcome]:
        """No longer hear a conversation; done when the client would not come back to it, either."""
        kept = self._gateway.recoveries.left(self, conversation_id)
        self.unwatch(conversation_id)
        left: Future[Outcome] = asyncio.get_running_loop().create_future()
        # Leaving succeeds, whatever becomes of the record.
        kept.add_done_callback(lambda _: left.set_result(outcome))
        return left

    async def _check_joined(self, conversation_id: str) -> None:
        if not self.wire.dialect.writes_need_join or conversation_id in self.watched:
            return
        seat = await self._gateway.ctx.seats.find(conversation_id, self.user_id)
        permit(Action.WRITE, seat.conversation, seat.role, service=False)
        raise PermissionDenied("Join first.")

    # --- signing in again ---

    def _expired(self) -> None:
        """The token has ended: carry out and deliver nothing until there is a new one."""
        self.push = self._sign_in.hold
        error = AuthFailed(EXPIRED)
        self.write(self.wire.dialect.refusal(None, error, self._gateway.ctx.clock()))

    def _renew(self, identity: Identity) -> None:
        """Go on with a new token, where the session had stopped."""
        if self.farewell is not None or self._sent_away:
            return
        for text in self._sign_in.renew(identity):
            self._transport.write_history(text)
        self.actor = self._make_actor()
        self.push = self._transport.write

    # --- small things ---

    def _make_actor(self) -> Actor:
        return Actor(
            identity=self._sign_in.identity,
            device=self.device,
            resumes=self._resumes,
            budget=self.wire.dialect.budget,
            connection=self.connection,
        )

    async def answered(self) -> None:
        """Return when all that was started before has been answered."""
        while self._in_flight and self.farewell is None:
            await self._changed()

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
