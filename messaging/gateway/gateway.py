"""Gateway: the one object through which transports reach the service, and its clients are kept.

Carries commands out within a deadline, turns whatever goes wrong into a refusal, publishes what happened,
and knows who is connected.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from messaging.backplanes.memory import LocalCapacity
from messaging.dialects.base import Request
from messaging.domain.commands import Actor, Command, JoinConversation, LoadHistory, SendMessage
from messaging.domain.errors import AuthFailed, ClientError, Internal, RateLimited, RoomNotFound, Unavailable
from messaging.domain.events import (
    Announcement,
    BlocksChanged,
    CensusAsked,
    CensusTold,
    DeviceChanged,
    MessageSent,
    UserSentAway,
)
from messaging.domain.models import Identity
from messaging.domain.replies import HistoryPage
from messaging.gateway.attendance import Attendance
from messaging.gateway.census import Census
from messaging.gateway.comeback import Comeback
from messaging.gateway.comparison import COMPARE_SECONDS
from messaging.gateway.deliveries import TICK_SECONDS, Deliveries
from messaging.gateway.draining import send_away
from messaging.gateway.farewell import FAULT, UNAVAILABLE
from messaging.gateway.hub import Hub
from messaging.gateway.metrics import UNSAID, Metrics
from messaging.gateway.pulse import watch_bus, watch_loop
from messaging.gateway.recoveries import EXTEND_SECONDS, Recoveries
from messaging.gateway.sending_away import SendingAway
from messaging.gateway.session import Session
from messaging.gateway.tasks import Tasks
from messaging.gateway.transport import Transport, Wire
from messaging.service import users
from messaging.service.context import Context, Outcome, Result
from messaging.service.handlers import HANDLERS
from messaging.service.limits import refuse_after
from messaging.service.policy import AUTH_FAILURES
from messaging.service.ports import Bus, Capacity
from messaging.service.reading import history_page

USER = "user"
COMMAND_SECONDS = 5.0
"""The longest that a command may take."""
_TYPING_TICK_SECONDS = 1.0

Around = Callable[[str, Callable[[], Awaitable[Result]]], Awaitable[Result]]
"""Takes a command's name and how it is carried out, and does that."""

logger = logging.getLogger("messaging.gateway")


class Gateway:
    """The clients of this process and what they ask for."""

    def __init__(
        self,
        ctx: Context,
        bus: Bus,
        *,
        grace_seconds: float = 5.0,
        max_connections_per_user: int = 50,
        capacity: Capacity | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.sessions: dict[Session, None] = {}
        self.census = Census(bus, self.sessions.keys(), ctx.clock)
        self.ctx = ctx = replace(ctx, census=self.census)
        self._capacity = capacity or LocalCapacity()
        self.metrics = metrics or Metrics()
        self.tasks = Tasks()
        self.hub = Hub(ctx, bus, self.metrics, self.tasks)
        self.recoveries = Recoveries(ctx, self.metrics)
        self.deliveries = Deliveries(ctx, self.hub, self.publish)
        self.attendance = Attendance(ctx, self.hub, self.tasks, self.publish, grace_seconds)
        self.sending_away = SendingAway(ctx, self._sessions_of)
        self.starting = False
        """Whether the storage is still being prepared; nobody is let in before."""
        self.draining = False
        self.around: Around | None = None
        """What every command is carried out within, if anything: a span of a trace."""
        self._bus = bus
        self._max_connections_per_user = max_connections_per_user
        self._names = iter(range(1, 1 << 62))
        self.observers: list[Callable[[Announcement], None]] = []
        """Who is told, beside the clients, what the commands of this process led to. None of them waits."""
        self._clockwork: list[asyncio.Task[None]] = []

    # --- lifetime ---

    async def start(self) -> None:
        """Begin to listen to the other processes."""
        await self._bus.start(self._heard)
        await self.ctx.presence.start(self.attendance.lost)
        self._clockwork = [
            asyncio.create_task(_every(COMPARE_SECONDS, self.hub.compare), name="compare positions"),
            asyncio.create_task(
                _every(COMPARE_SECONDS, self.sending_away.compare), name="compare disconnections"
            ),
            asyncio.create_task(_every(TICK_SECONDS, self.deliveries.tick), name="keep deliveries"),
            asyncio.create_task(watch_loop(self.metrics.lagged), name="watch the loop"),
            asyncio.create_task(watch_bus(self._bus, self.metrics.heard_back), name="watch the bus"),
            asyncio.create_task(_every(EXTEND_SECONDS, self.recoveries.extend), name="extend recoveries"),
            asyncio.create_task(_every(_TYPING_TICK_SECONDS, self._expire_typing), name="expire typing"),
        ]

    async def drain(self, seconds: float) -> None:
        """Take no new connections, and tell the clients to come back elsewhere, each when what they began is
        finished, or after so long."""
        self.draining = True
        await send_away(self.sessions, seconds)

    async def close(self) -> None:
        """Stop. All that was queued has been written when this returns."""
        for task in self._clockwork:
            task.cancel()
        await asyncio.gather(*self._clockwork, return_exceptions=True)
        await self.tasks.close(COMMAND_SECONDS)
        await self.ctx.reads.close()
        await self.ctx.changes.close()
        await self.ctx.committer.close()
        await self.recoveries.close()
        await self.ctx.presence.close()
        await self._bus.close()

    # --- connections ---

    async def sign_in(self, token: str | None, peer: str, dialect: str = UNSAID) -> Identity:
        """Who connects from `peer` with this token, to speak this dialect. AuthFailed for a bad one;
        RateLimited instead when there have been too many bad ones from there; Unavailable while the storage
        is away."""
        if self.starting:
            raise Unavailable("This server is starting.")
        if self.draining:
            raise Unavailable("This server is shutting down.")
        try:
            if not token:
                raise AuthFailed("Sign in with a token.")
            async with asyncio.timeout(COMMAND_SECONDS):
                return await users.sign_in(self.ctx, token)
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            refusal = self.refusal_of(error)
            self.metrics.refused(dialect, refusal.code)
            if token and isinstance(refusal, AuthFailed):  # to ask without a token is no guess at one
                refuse_after(await self.ctx.limits.take(AUTH_FAILURES, peer))
            raise refusal from None

    def sign_in_failed(self, peer: str) -> None:
        """Somebody who is connected from there tried a bad token."""
        self.tasks.start(self.ctx.limits.take(AUTH_FAILURES, peer))

    async def admit(
        self,
        identity: Identity,
        wire: Wire,
        transport: Transport,
        *,
        peer: str,
        device: str | None = None,
        resumes: str | None = None,
        after: int | None = None,
        comeback: Comeback | None = None,
    ) -> Session:
        """A session for a signed-in connection; RateLimited when the user has too many, AuthFailed when
        their token was taken back since.

        `device` is its name, unique among the user's connections; `resumes` the device whose positions it
        goes on from, when that name was not to be had; `after` the message that it wants to go
        on after; `comeback` what `recoveries` welcomed it with.
        """
        await self._make_room(identity)
        session = Session(
            self,
            identity,
            wire,
            transport,
            connection=str(next(self._names)),
            peer=peer,
            device=device,
            resumes=resumes,
            after=after,
            comeback=comeback,
        )
        if comeback is not None:
            self.recoveries.begun(comeback, session)
        self.sessions[session] = None
        self.metrics.opened(wire.dialect.name)
        logger.info("WS_CONNECT: UserID=%s, IP=%s, Dialect=%s", session.user_id, peer, wire.dialect.name)
        return session

    async def _make_room(self, identity: Identity) -> None:
        user = identity.profile.id
        if not await self._capacity.take(USER, user, self._max_connections_per_user):
            raise RateLimited("You have too many connections.", retryAfter=60)
        try:
            self.ctx.revocations.check(identity)  # last: from here on nothing waits until they are known
        except ClientError:
            self._capacity.give_back(USER, user)
            raise

    async def started(self, session: Session) -> None:
        """A session begins: follow its user's conversations, say what is unread, and that they are here."""
        try:
            follower = await self.hub.follow(session)
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            away = isinstance(self.refusal_of(error), Unavailable)
            session.close(UNAVAILABLE if away else FAULT)
            return
        if session.farewell is None:
            session.follower = follower
            self.hub.hearing.begin(session, follower)
            self.hub.tell((session,), follower.unread_changed())
            if follower.farewell is not None:
                self.metrics.returned(session.wire.dialect.name)
            self.attendance.arrived(follower)
        else:
            self._forget(session)

    def ended(self, session: Session) -> None:
        """A session's connection is gone."""
        self.sessions.pop(session, None)
        self._capacity.give_back(USER, session.user_id)
        self.hub.hearing.end(session)
        self._forget(session)
        now = self.ctx.clock()
        self.publish(self.ctx.typists.disconnected(session.connection, now))
        if session.catching_up is not None and session.device:
            gone = DeviceChanged(user_id=session.user_id, device=session.device, connected=False, at=now)
            self.publish([gone])
        dialect, farewell = session.wire.dialect.name, session.farewell
        reason = farewell.reason if farewell else "unknown"
        self.metrics.closed(dialect, reason)
        logger.info(
            "WS_DISCONNECT: UserID=%s, Duration=%.3fs, Dialect=%s, Reason=%s",
            session.user_id,
            time.monotonic() - session.opened_at,
            dialect,
            reason,
        )

    def _forget(self, session: Session) -> None:
        follower = self.hub.followers.get(session.user_id)
        if follower is not None:
            follower.sessions.pop(session, None)
            self.attendance.departed(follower)

    # --- commands ---

    async def execute(self, actor: Actor, command: Command) -> Result:
        """Carry a command out; Unavailable when it takes longer than its deadline."""
        if self.around is None:
            return await self._execute(actor, command)
        return await self.around(type(command).__name__, lambda: self._execute(actor, command))

    async def _execute(self, actor: Actor, command: Command) -> Result:
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await HANDLERS[type(command)](self.ctx, actor, command)
        except TimeoutError:
            raise Unavailable from None

    async def perform(self, actor: Actor, command: Command) -> Outcome:
        """Carry a command out and tell everybody what it led to, also when nobody waits for it any more."""
        result = await self.attempt(self.execute(actor, command))
        if result.done():
            outcome = result.result()
            self.publish(outcome.events)
            return outcome
        result.add_done_callback(self._publish_outcome)
        return await asyncio.shield(result)

    def _publish_outcome(self, result: Future[Outcome]) -> None:
        if not result.cancelled() and result.exception() is None:
            self.publish(result.result().events)

    async def attempt(self, work: Awaitable[Result]) -> Future[Outcome]:
        """Begin some work. The future holds its outcome, or whatever it raised, now or later."""
        future: Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            result = await work
        except Exception as error:  # noqa: BLE001  whoever reads the future deals with it
            future.set_exception(error)
            return future
        if not isinstance(result, Outcome):
            return result
        future.set_result(result)
        return future

    async def history(self, command: LoadHistory) -> HistoryPage:
        """A page of a conversation for somebody who has just been let in."""
        conversation = await self.ctx.seats.conversation(command.conversation_id or "")
        if conversation is None:
            raise RoomNotFound
        return await history_page(self.ctx, conversation, command)

    def publish(self, events: Iterable[Announcement]) -> None:
        """Tell everybody what happened: those connected here now, the other processes over the bus."""
        told = tuple(events)
        for event in told:
            try:
                self._announce(event)
                for observe in self.observers:
                    observe(event)
            except Exception:  # the others must hear of it all the same
                logger.exception("an event could not be told here")
        if told:
            self._bus.publish(told)

    def _announce(self, event: Announcement) -> None:
        if type(event) is MessageSent:  # the first of many, on the way of every message
            self.hub.message_sent(event)
            return
        match event:
            case UserSentAway():
                self.sending_away.heard(event)
            case BlocksChanged():
                self.hub.blocks_changed(event)
            case CensusAsked():
                self._bus.publish([self.census.answer(event)])
            case CensusTold():
                self.census.told(event)
            case _:
                self.hub.announce(event)

    def _sessions_of(self, user_id: str) -> list[Session]:
        return [session for session in self.sessions if session.user_id == user_id]

    def _heard(self, event: Announcement) -> None:
        """Another process says that something happened."""
        self._announce(event)
        if isinstance(event, MessageSent):  # who typed here and sent there has stopped typing
            now = self.ctx.clock()
            self.publish(self.ctx.typists.stop(event.conversation.id, event.message.sender_id, now))

    def finished(self, session: Session, request: Request, started: float) -> None:
        """A command was carried out and its events were written."""
        dialect = session.wire.dialect.name
        self.count(dialect, request, started)
        if logger.isEnabledFor(logging.INFO) and request.command is not None:
            logger.info(
                "WS_MESSAGE: Type=%s, UserID=%s, Room=%s, Dialect=%s",
                request.name,
                session.user_id,
                _room_of(request.command),
                dialect,
            )

    def count(self, dialect: str, request: Request, started: float) -> None:
        """A command that came at `started` (time.monotonic) was carried out and its events were written."""
        self.metrics.finished(dialect, request.name, time.monotonic() - started)
        if isinstance(request.command, SendMessage):
            self.metrics.sent(dialect)

    def refusal_of(self, error: BaseException) -> ClientError:
        """What the client is told of an error. A bug is logged with an id, which is all the client gets."""
        if isinstance(error, ClientError):
            return error
        if isinstance(error, TimeoutError):
            return Unavailable()
        number = secrets.token_hex(8)
        logger.error("internal error %s: %s", number, type(error).__name__, exc_info=error)
        return Internal(id=number)

    async def _expire_typing(self) -> None:
        self.publish(self.ctx.typists.expire(self.ctx.clock()))


def _room_of(command: Command) -> str:
    if isinstance(command, SendMessage | JoinConversation | LoadHistory):
        return command.conversation_id or "-"
    return getattr(command, "conversation_id", None) or "-"


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again, whatever goes wrong."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ClientError as error:
            logger.warning("%s: %s", error.code, error.message)
        except Exception:
            logger.exception("a periodic task failed")
