"""Connection: one client of a plain WebSocket, in order, bounded, and closed at once when it ends.

While the client keeps up, frames are written directly. Otherwise they wait in the outbox until it has read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from messaging.dialects.base import Frame
from messaging.gateway import farewell as farewells
from messaging.gateway.farewell import Farewell
from messaging.gateway.outbox import Outbox
from messaging.transports import strict_json
from messaging.transports.handshake import Limits
from messaging.transports.line import Line, Ping

MAX_TOGETHER = 100
"""How many frames are joined into one."""
_LEFT_CODES = {1000, 1001, 1005}
"""Close codes of clients that mean to go; a browser's `close()` gives none, which is 1005."""
_FAULTS = {1002: farewells.UNREADABLE, 1007: farewells.UNREADABLE, 1009: farewells.TOO_LARGE}

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who listens to a connection: a session, and the dialect that is spoken."""

    def take(self, frame: Frame) -> bool:
        """Take one frame, if that need not wait; else nothing has happened, and `receive` is to have it."""

    async def receive(self, frame: Frame) -> None:
        """Take one frame. The next is read when this returns."""

    def unreadable(self, why: str) -> None:
        """The client sent something else than a frame."""

    def confirmed(self, token: int) -> None:
        """The client answered a probe."""

    def closed(self, farewell: Farewell) -> None:
        """The connection has ended; called once."""


class Connection:
    """A Transport. It may be written to before there is a line: what is written waits."""

    def __init__(self, limits: Limits, join: Callable[[Sequence[str]], str] | None = None) -> None:
        self.sink: Sink | None = None
        self.farewell: Farewell | None = None
        self._limits = limits
        self._join = join
        self._outbox: Outbox[str | bytes] = Outbox(
            max_frames=limits.max_queued_frames, max_bytes=limits.max_queued_bytes
        )
        self._line: Line | None = None
        self._clear_line: Line | None = None  # the line, while it is open and nothing waits before it
        self._turn: list[tuple[str, bool]] = []  # frames of this turn of the loop, to be joined
        self._turn_bytes = 0
        self._turn_end: asyncio.Handle | None = None
        self._drained: list[asyncio.Future[None]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._taking = False  # a frame is being handled, and none is read meanwhile
        self._taken_at = 0.0  # when the client last took something that had waited
        self._asked = self._written = self._confirmed = 0  # tokens of probes

    def open(self, line: Line) -> None:
        """The upgrade was answered: write what has waited, and begin to look for signs of life."""
        self._line = line
        if self.farewell is not None:
            line.end(self.farewell.code, self.farewell.reason)
            return
        line.when_full = self._flush_later
        if self._outbox:
            self._flush_later()
        else:
            self._clear_line = line
        self._timer = asyncio.get_running_loop().call_later(self._limits.ping_seconds, self._beat)

    # Out

    def write(self, data: str) -> None:
        """Send a frame. Over the bounds, the connection ends as too slow."""
        if self._join is not None:
            self._join_later(data, live=True)
        elif self._clear_line is not None:
            self._clear_line.send(data)
        else:
            self._wait_with(data, live=True)

    @property
    def behind(self) -> bool:
        """Whether something that was written still waits here."""
        return bool(self._outbox)

    @property
    def crowded(self) -> bool:
        """Whether so much waits that what can be left out is."""
        return self._outbox.half_full

    def write_history(self, data: str) -> None:
        """Send a frame that does not count; the caller waits for `drained` between many."""
        if self._join is not None:
            self._join_later(data, live=False)
        else:
            self._write_now(data, live=False)

    async def drained(self) -> None:
        """Return when what was written is taken, or the connection has ended."""
        if self.farewell is not None or self._clear_line is not None or not self._outbox:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._drained.append(waiter)
        await waiter

    def probe(self, token: int) -> None:
        """Ask the client with a ping, behind all that was written before; tokens rise."""
        self._end_turn()
        self._asked = token
        self._write_now(Ping(b"%d" % token), live=False)

    def entered(self, conversation_id: str) -> None:
        """There are no rooms here."""

    def left(self, conversation_id: str) -> None:
        """There are no rooms here."""

    def _write_now(self, data: str | bytes, *, live: bool) -> None:
        if self._clear_line is not None:
            self._clear_line.send(data)
            self._note(data)
        else:
            self._wait_with(data, live=live)

    def _wait_with(self, data: str | bytes, *, live: bool) -> None:
        if self.farewell is None and not self._outbox.append(data, live=live):
            self.close(farewells.SLOW)

    def _send(self, line: Line, entries: Sequence[str | bytes]) -> None:
        line.send_all(entries)
        for entry in entries:
            self._note(entry)

    def _note(self, written: str | bytes) -> None:
        if isinstance(written, Ping):
            self._written = int(written)

    def _flush_later(self) -> None:
        self._clear_line = None
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Write what waits whenever the peer has taken what came before; then clear the way."""
        line = self._line
        try:
            while line is not None and self.farewell is None:
                await line.drained()
                self._taken_at = asyncio.get_running_loop().time()
                if not self._outbox:
                    self._clear_line = line
                    self._tell_drained()
                    return
                self._send(line, [data for data, _ in self._outbox.take_all(self._limits.write_bytes)])
        except ConnectionError:
            self.close(farewells.LOST)
        finally:
            self._flushing = None

    def _tell_drained(self) -> None:
        waiters, self._drained = self._drained, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Several frames in one

    def _join_later(self, data: str, *, live: bool) -> None:
        if self.farewell is not None:
            return
        if len(self._turn) >= MAX_TOGETHER or self._turn_bytes + len(data) > self._limits.write_bytes:
            self._end_turn()
        self._turn.append((data, live))
        self._turn_bytes += len(data)
        if self._turn_end is None:
            self._turn_end = asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        if self._turn_end is not None:
            self._turn_end.cancel()
            self._turn_end = None
        turn, self._turn, self._turn_bytes = self._turn, [], 0
        if turn and self._join is not None:
            texts = [data for data, _ in turn]
            joined = texts[0] if len(texts) == 1 else self._join(texts)
            self._write_now(joined, live=any(live for _, live in turn))

    # In

    async def read(self) -> None:
        """Take what comes until the end, whoever ends it."""
        line, sink = self._line, self.sink
        if line is None or sink is None:
            return
        line.taken = self._take_at_once
        while (data := await line.receive()) is not None:
            self._taking = True
            if self.crowded:
                await self.drained()  # it takes no answers: ask for nothing more
            if self.farewell is None:
                await self._take(sink, data)
            self._taking = False
        line.answer_goodbye()
        if line.close_code is not None:
            self.close(farewells.LEFT if line.close_code in _LEFT_CODES else farewells.LOST)
        else:
            self.close(_FAULTS.get(line.fault or 0, farewells.LOST))

    async def _take(self, sink: Sink, data: str | bytes) -> None:
        try:
            frame = read_frame(data)
        except ValueError as error:
            sink.unreadable(str(error))
            return
        await sink.receive(frame)

    def _take_at_once(self, data: str) -> bool:
        """Handle a frame before it is given to `read`, where it need not wait for anything."""
        line, sink = self._line, self.sink
        if self._taking or self.farewell is not None or self.crowded or line is None or sink is None:
            return False
        try:
            taken = sink.take(read_frame(data))
        except ValueError:
            return False
        except Exception:  # a bug must not leave half a connection behind
            log.exception("a WebSocket failed")
            self.close(farewells.FAULT)
            return True
        if taken:
            line.heard_at = asyncio.get_running_loop().time()
        return taken

    # Signs of life

    def pong(self, payload: bytes) -> None:
        """The client answered a ping. One answer is enough for all that it was asked before."""
        if not payload.isdigit() or len(payload) > len(str(self._written)):
            return
        token = int(payload)
        if self._confirmed < token <= self._written and self.sink is not None:
            self._confirmed = token
            self.sink.confirmed(token)

    def _beat(self) -> None:
        """Before all that waits: a client that is busy reading must have time to answer.

        It repeats the last question, since a client may answer the last of several pings only.
        """
        if self._line is not None:
            self._line.send(Ping(b"%d" % self._written))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.pong_seconds, self._look, loop.time())

    def _look(self, since: float) -> None:
        loop = asyncio.get_running_loop()
        if self._line is not None and max(self._line.heard_at, self._taken_at) >= since:
            wait = max(0.0, self._limits.ping_seconds - self._limits.pong_seconds)
            self._timer = loop.call_later(wait, self._beat)
        elif self._taking and not self._outbox:
            # Its answer may be waiting behind a command that we have not finished.
            self._timer = loop.call_later(self._limits.pong_seconds, self._look, since)
        else:
            self.close(farewells.SILENT)

    # The end

    def close(self, farewell: Farewell) -> None:
        """End the connection for this reason: the session is told at once, the network follows."""
        self._end_turn()  # the last frames may be too much, and end it first
        if self.farewell is not None:
            return
        self.farewell = farewell
        self._clear_line = None
        self._stop()
        if self._line is not None:
            self._line.end(farewell.code, farewell.reason)
        self._tell_drained()
        sink, self.sink = self.sink, None  # a ring of references would wait for the garbage collector
        if sink is not None:
            sink.closed(farewell)

    def _stop(self) -> None:
        self._outbox.clear()
        for running in (self._timer, self._flushing):
            if running is not None:
                running.cancel()


def read_frame(data: str | bytes) -> Frame:
    """What a client sent, as a frame. ValueError, with words for the client, for what is none."""
    if isinstance(data, bytes):
        raise ValueError("Frames are text, not binary.")
    try:
        value = strict_json.loads(data)
    except ValueError:
        raise ValueError("A frame must be JSON.") from None
    if not isinstance(value, dict):
        raise ValueError("A frame must be a JSON object.")
    name = value.get("type")
    return Frame(name if isinstance(name, str) else "", value)
