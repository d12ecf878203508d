"""One Engine.IO connection: in order, bounded, and closed at once when it ends.

While the client keeps up, a WebSocket is written to directly. Otherwise packets wait in the outbox: for the
next poll, for the end of an upgrade, or for the peer to read. A client that is idle has no task.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from engineio.async_socket import AsyncSocket

from messaging.gateway import farewell as farewells
from messaging.gateway.farewell import Farewell
from messaging.gateway.outbox import Outbox
from messaging.gateway.wheel import NOWHERE
from messaging.service import tracing
from messaging.transports.handshake import Handshake, Limits
from messaging.transports.line import Line
from messaging.transports.socketio.handshake import Refused, Sink
from messaging.transports.socketio.packets import SEPARATOR, Engine, read_engine, write_polling
from messaging.transports.socketio.polling import NOOP, BodyTooLarge, Poll
from messaging.transports.socketio.websocket import probed
from messaging.transports.upgrade import DONE

log = logging.getLogger(__name__)

PING = f"{Engine.PING:d}"
PONG = f"{Engine.PONG:d}"
CLOSE = f"{Engine.CLOSE:d}"
UPGRADE_POLL_SECONDS = 0.1
APART_SECONDS = 0.005
"""How long after the answer to its CONNECT packet a client is told more."""
LAST_MOMENT_SECONDS = 0.025
"""A poll that comes so shortly before its client counts as silent does so without a pong: too late."""
GOODBYE_SECONDS = 3.0
"""How long a polling client may take to fetch what was left for it."""

_LAST_WORDS = {farewells.UNSIGNED, farewells.REMOVED, farewells.SHUTDOWN, farewells.UNAVAILABLE}
"""Ends whose last packets are kept for a polling client that is between two polls."""

_UNREADABLE = {1002: farewells.UNREADABLE, 1007: farewells.UNREADABLE, 1009: farewells.TOO_LARGE}
"""What was wrong with the frames of a client, by the close code that says so."""


class EngineSocket(AsyncSocket):
    """A connection of one client. `write` never waits; `end` is idempotent."""

    server: Any
    sid: str
    connected: bool
    upgrading: bool
    upgraded: bool
    closing: bool
    closed: bool

    def __init__(self, server: Any, sid: str, handshake: Handshake, sink: Sink, limits: Limits) -> None:
        super().__init__(server, sid)
        self.handshake = handshake
        self.farewell: Farewell | None = None
        self._sink = sink
        self._limits = limits
        self._trace = ""  # to which what comes over a WebSocket belongs: that of its request
        self._outbox: Outbox[str | bytes] = Outbox(
            max_frames=limits.max_queued_frames, max_bytes=limits.max_queued_bytes
        )
        self._line: Line | None = None
        self._clear_line: Line | None = None  # the line, while it is open and nothing waits before it
        self._poll: Poll | None = None
        self._delivered_to: Poll | None = None  # the last that something was written to
        self._answering = asyncio.Lock()
        self._incoming = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None  # handles what could not be taken at once
        self._goodbye = False  # a CLOSE is to follow what waits
        self._held = False  # not read until it has taken the answers to what it asked before
        self.slot = NOWHERE
        self._silent_at = math.inf  # when it counts as silent that has not answered the last ping
        self._flushing: asyncio.Task[None] | None = None
        self._drained: list[asyncio.Future[None]] = []
        self._schedule_ping()

    @property
    def polling(self) -> bool:
        """A poll of the client waits for an answer."""
        return self._poll is not None and self._poll.alive

    @property
    def behind(self) -> bool:
        """Whether something that was written still waits here."""
        return bool(self._outbox)

    def ask(self) -> None:
        """Have the client answer, behind all that was written before; the sink is told when it does."""
        if self._clear_line is not None:
            self._clear_line.send(PING)
        elif not self.closed:
            self._outbox.append(PING, live=False)
            self._wake()

    @property
    def crowded(self) -> bool:
        """Half of what may wait for the client does."""
        return self._outbox.half_full

    @property
    def busy(self) -> bool:
        """Something that the client sent is being handled."""
        return self._incoming.locked()

    # Out

    def write(self, data: str | bytes) -> None:
        """Send one engine packet. Over the bounds, the connection ends as too slow."""
        line = self._clear_line
        if line is not None:
            line.send(data)
        else:
            self._wait_with(data, live=True)

    def write_history(self, data: str | bytes) -> None:
        """Send one engine packet that does not count; the caller waits for `drained` between many."""
        if self._clear_line is not None:
            self._clear_line.send(data)
        else:
            self._wait_with(data, live=False)

    async def flushed(self) -> None:
        """Have what was written on its way, and what follows come in another read of the client's, as far as
        that is in our hands. Some clients, the suites of the protocol documents among them, listen for one
        packet at a time, and miss what comes in the same read."""
        if self._clear_line is not None:
            self._clear_line.flush()
            await asyncio.sleep(APART_SECONDS)

    async def drained(self) -> None:
        """Return when what was written is taken, or the connection has ended."""
        if self.closed or self._clear_line is not None or not self._outbox:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._drained.append(waiter)
        await waiter

    async def send(self, pkt: Any) -> None:
        """What python-engineio calls; ours call `write`."""
        self.write(pkt.encode())

    def _wait_with(self, data: str | bytes, *, live: bool) -> None:
        if self.closed:
            return
        if not self._outbox.append(data, live=live):
            self.end(farewells.SLOW)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._poll is not None:
            self._poll.wake()

    def _flush_later(self) -> None:
        self._clear_line = None
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Write what waits whenever the peer has taken what came before; then clear the way."""
        line = self._line
        try:
            while line is not None and not self.closed:
                await line.drained()
                if not self._outbox:
                    self._clear_line = line
                    self._tell_drained()
                    return
                line.send_all([data for data, _ in self._outbox.take_all(self._limits.write_bytes)])
        except ConnectionError:
            self.end(farewells.LOST)
        finally:
            self._flushing = None

    def _tell_drained(self) -> None:
        waiters, self._drained = self._drained, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # In

    async def post(self, read: Callable[[int], Awaitable[str]]) -> None:
        """A polling POST: read whole, handled in order, and answered when this returns.

        `read` gives the body, of at most so many bytes. Raises BodyTooLarge, and Refused for what is no
        payload; both end the connection.
        """
        async with self._incoming:
            try:
                raws = (await read(self._limits.max_body_bytes)).split(SEPARATOR)
                if any(len(raw) > self._limits.max_frame_bytes for raw in raws):
                    raise BodyTooLarge
                await self._take_all([read_engine(raw, polling=True) for raw in raws])
            except BodyTooLarge:
                self.end(farewells.TOO_LARGE)
                raise
            except ValueError:
                self.end(farewells.UNREADABLE)
        if self.farewell is farewells.UNREADABLE:
            raise Refused.bad_request()

    async def _take_all(self, taken: list[tuple[Engine, str | bytes]]) -> None:
        for kind, data in taken:
            if self.closed:
                return
            await self._take(kind, data)

    async def _take(self, kind: Engine, data: str | bytes) -> None:
        """One packet of the client. Raises ValueError for what may not come."""
        match kind:
            case Engine.MESSAGE:
                await self._hand_over(data)
            case Engine.PONG:
                self._answered()
            case Engine.CLOSE:
                self.end(farewells.LOST)
            case Engine.NOOP:
                return
            case _:
                raise ValueError("a packet that only servers send")

    async def _hand_over(self, data: str | bytes) -> None:
        if self._outbox.half_full:
            self._held = True
            await self.drained()
            self._held = False
        if self.closed:
            return
        try:
            await self._sink.message(self, data)
        except ValueError:
            raise
        except Exception:  # a bug must not leave half a connection behind
            log.exception("a Socket.IO packet failed")
            self.end(farewells.FAULT)

    # Long polling

    async def poll(self, poll: Poll) -> None:
        """A polling GET: delivered as soon as there is something to say. Raises Refused."""
        if asyncio.get_running_loop().time() > self._silent_at - LAST_MOMENT_SECONDS and not self.busy:
            self.end(farewells.SILENT)
            raise Refused.unknown_session()
        if self._poll is not None and not (self._limits.keeps_polls and await self._given_up(self._poll)):
            self.end(farewells.UNREADABLE)
            raise Refused.bad_request()
        if self.upgraded:
            raise Refused.bad_request()
        self._wake()  # a poll whose client has gone away
        self._poll, upgrading = poll, self.upgrading
        async with self._answering:  # what the poll before could not deliver comes first
            if not self._outbox and not self.closed:
                await poll.wait(UPGRADE_POLL_SECONDS if upgrading else None)
            if self._poll is poll:
                self._poll = None
            if upgrading and self.upgraded:  # only who does not wait for its polls is overtaken
                raise Refused.bad_request()
            await self._answer(poll)

    async def _given_up(self, poll: Poll) -> bool:
        return not await poll.still_waits()

    async def _answer(self, poll: Poll) -> None:
        if self.upgraded:
            await poll.deliver(NOOP)
            return
        if self._goodbye and not self._outbox:
            self._goodbye = not await self._delivered(poll, CLOSE)
            self._forget_if_all_is_said()
            return
        taken = self._outbox.take_all(poll.max_bytes, self.handshake.max_poll_packets) if poll.alive else []
        if not await self._delivered(poll, SEPARATOR.join(write_polling(data) for data, _ in taken) or NOOP):
            self._outbox.put_back(taken)
            if not self._limits.keeps_polls:
                self.end(farewells.LOST)
        if not self._outbox:
            self._tell_drained()
            self._forget_if_all_is_said()
        else:
            self._wake()  # not all was written

    def _forget_if_all_is_said(self) -> None:
        if self.closed and not self._goodbye and not self._outbox:
            self.server.forget(self)

    async def _delivered(self, poll: Poll, body: str) -> bool:
        if not poll.alive:
            return False
        self._delivered_to = poll
        try:
            return await poll.deliver(body)
        except ConnectionError:  # nobody knows: the client has to come back, and says what it missed
            self.end(farewells.LOST)
            return True

    # WebSocket

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Speak WebSocket from the start, or go over to it from polling."""
        if self.closed:
            raise Refused.bad_request()
        if self.upgraded or self.upgrading:
            # Not refused: the reference implementation closes it, and its suite knows no error here.
            return (await self._accepted(request)).finish()
        upgrade = self.upgrading = self.connected
        try:
            line = await self._accepted(request)
        except BaseException:
            self.upgrading = False
            raise
        if upgrade and not (await probed(line, self._wake) and not self.closed):
            self.upgrading = False
            return line.finish()
        self._go_over(line)
        line.listen(self._take_at_once, self._noticed)
        return DONE

    async def _accepted(self, request: web.Request) -> Line:
        limit, protocols = self._limits.max_frame_bytes, self.handshake.subprotocols
        return await Line.accept(request, max_frame_bytes=limit, protocols=protocols)

    def _go_over(self, line: Line) -> None:
        self._line = line
        self._trace = tracing.current()
        self.connected = self.upgraded = True
        self.upgrading = False
        self._wake()
        self._clear_line = line
        line.when_full = self._flush_later
        line.send_all([data for data, _ in self._outbox.take_all(self._limits.write_bytes)])
        if self._outbox:
            self._flush_later()
        elif self._clear_line is not None:
            self._tell_drained()

    def _take_at_once(self, raw: str) -> bool:
        """Handle a packet in the turn in which it was read, where it need not wait for anything."""
        if self.closed:
            return True
        if self._reading is not None or self._incoming.locked():
            return False
        if self._clear_line is None and self._outbox.half_full:
            return False
        try:
            if raw == PONG:
                self._answered()
                return True
            return self._sink.take(self, raw)
        except Exception:  # a bug must not leave half a connection behind
            log.exception("a Socket.IO packet failed")
            self.end(farewells.FAULT)
            return True

    def _noticed(self) -> None:
        """Something came that could not be taken at once, or the end."""
        line = self._line
        if line is None or self._reading is not None:
            return
        if line.lost:
            self._end_with(line)
        else:
            self._reading = asyncio.create_task(self._read(line))

    async def _read(self, line: Line) -> None:
        """Take what waits, until nothing does."""
        try:
            with tracing.tracing(self._trace):
                while line.waits:
                    raw = await line.next_frame()
                    if raw is not None and not self.closed:
                        await self._take_raw(raw)
        finally:
            self._reading = None
        if line.over:
            self._end_with(line)

    async def _take_raw(self, raw: str | bytes) -> None:
        try:
            kind, data = read_engine(raw)
            async with self._incoming:
                await self._take(kind, data)
        except ValueError:
            self.end(farewells.UNREADABLE)
        except Exception:  # a bug must not leave half a connection behind
            log.exception("a Socket.IO packet failed")
            self.end(farewells.FAULT)

    def _end_with(self, line: Line) -> None:
        """Nothing more comes, whoever ended it."""
        line.answer_goodbye()
        self.end(_UNREADABLE.get(line.fault or 0, farewells.LOST))
        line.finish()

    # Pings

    def _answered(self) -> None:
        self._schedule_ping()
        self._sink.answered(self)

    def _schedule_ping(self) -> None:
        self._silent_at = math.inf
        if not self.closed:
            self.server.heartbeats.put(self, self._limits.ping_seconds)

    def due(self) -> None:
        """What the heartbeats' wheel calls: time for a ping, or for the answer to it to have come."""
        if self._silent_at == math.inf:
            self._ping()
        else:
            self._silent()

    def _ping(self) -> None:
        """Before all that waits: a client that is busy reading must have time to answer."""
        if self._clear_line is not None:
            self._clear_line.send(PING)
        else:
            self._outbox.put_back([(PING, False)])
            self._wake()
            if self._line is not None:
                self._flush_later()
        self._expect_a_pong()

    def _expect_a_pong(self) -> None:
        if self.closed:
            return
        self._silent_at = asyncio.get_running_loop().time() + self._limits.pong_seconds
        self.server.heartbeats.put(self, self._limits.pong_seconds)

    def _silent(self) -> None:
        if self.busy and not self._held:
            self._expect_a_pong()  # it may be waiting behind a command that we have not finished
        else:
            self.end(farewells.SILENT)

    # The end

    def end(self, farewell: Farewell) -> None:
        """End the connection for this reason: sessions are told at once, the network follows."""
        if self.closed:
            return
        self.closed = self.closing = True
        self.farewell = farewell
        self._clear_line = None
        self.server.heartbeats.drop(self)
        self._leave(farewell)
        self._tell_drained()
        self._sink.closed(self, farewell)

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """What python-engineio calls; ours call `end`."""
        self.end(farewells.REMOVED)

    def _leave(self, farewell: Farewell) -> None:
        if self._line is not None:
            self._outbox.clear()
            self._line.end(farewell.code)
            if self._flushing is not None:
                self._flushing.cancel()
            self.server.forget(self)
        else:
            self._leave_polling(farewell)

    def _leave_polling(self, farewell: Farewell) -> None:
        """The waiting poll says goodbye; where none waits, the next ones may fetch last words for a moment.

        A CLOSE comes alone, and not after a DISCONNECT. Official clients heed a payload's CLOSE first: they
        would come back in spite of the DISCONNECT beside it, with an offset from before the messages beside
        it, and so hear these twice. After a DISCONNECT they close by themselves.
        """
        self._goodbye = farewell is not farewells.LOST and farewell.comes_back
        waits_for_more = not self.polling or bool(self._outbox)
        self._wake()
        if self._delivered_to is not None:
            self._delivered_to.cut()
        if waits_for_more and farewell in _LAST_WORDS:
            asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self.server.forget, self)
            return
        self.server.forget(self)
