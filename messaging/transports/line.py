"""Line: a WebSocket that was accepted; frames go straight into aiohttp's transport (RFC 6455, RFC 7692).

A frame is built once for all who get the same text. What is sent to one client in one turn of the loop goes
into one write at its end: a system call costs more than all that comes before it. aiohttp's parser reads; all
that is written, pongs and goodbyes included, is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
import struct
import sys
import termios
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast
from weakref import WeakKeyDictionary

from aiohttp import EofStream, WebSocketError, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from messaging.gateway.paced import AT_ONCE, look_at_new
from messaging.transports.upgrade import DONE, Upgraded, upgraded

log = logging.getLogger(__name__)

STUCK_SECONDS = 0.4
"""How long one may take who has not taken what was written before."""
LINGER_SECONDS = 0.8
"""How long a closed connection may take to send what is buffered and say goodbye; then it is cut."""

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
_DEFLATED = 0x40
_NO_STATUS, _ABNORMAL, _INVALID = 1005, 1006, 1007
_UNSAYABLE = {0, 1004, _NO_STATUS, _ABNORMAL, 1015}
"""Close codes that may not stand in a frame."""
_MAX_REASON_BYTES = 123
_BYTES_ACKED, _TCP_INFO_BYTES = 120, 128
"""Where Linux's `tcp_info` has `tcpi_bytes_acked`, and where that ends."""
_READ_BUFFER_BYTES = 65_536
_TURN_BYTES = 65_536
"""More than this does not wait for the end of a turn."""
_WINDOW_BITS, _MEMORY_LEVEL = 12, 5
"""Compressing takes 32 KiB a connection this way; zlib's defaults take 256."""
_DEFLATE_BYTES = 128
"""Shorter texts are not compressed."""
_DEFLATE_TAIL = b"\x00\x00\xff\xff"


class Ping(bytes):
    """A ping with this payload, to be written in its turn."""


def sever(tcp: asyncio.Transport) -> None:
    """Cut a connection at once, with a reset: what the peer has not taken is kept by nobody."""
    sock = tcp.get_extra_info("socket")
    if sock is not None and not tcp.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp.abort()


def untaken(tcp: asyncio.Transport) -> int:
    """How many written bytes the peer's system has not confirmed; 0 where that cannot be told."""
    sock = tcp.get_extra_info("socket")
    if sock is None or tcp.is_closing():
        return 0
    with contextlib.suppress(OSError):
        waiting: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
        return tcp.get_write_buffer_size() + waiting
    return 0


def taken(tcp: asyncio.Transport) -> int:
    """How many bytes the peer's system has ever confirmed; 0 where that cannot be told."""
    sock = tcp.get_extra_info("socket")
    if sock is None or tcp.is_closing() or not hasattr(socket, "TCP_INFO"):
        return 0
    with contextlib.suppress(OSError):
        known = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int.from_bytes(known[_BYTES_ACKED:_TCP_INFO_BYTES], sys.byteorder)
    return 0


class _LastFrame:
    """The frame that was built last: a fan-out writes the same text to one client after the other.

    An object: what is set on a class makes Python forget what it knew of that class.
    """

    __slots__ = ("frame", "text")

    def __init__(self) -> None:
        self.text = ""
        self.frame = b"\x81\x00"


_last = _LastFrame()
_short_head = struct.Struct("!BB").pack
_medium_head = struct.Struct("!BBH").pack
_long_head = struct.Struct("!BBQ").pack


def _framed(data: str | bytes) -> bytes:
    """What is sent as a frame, unmasked and uncompressed."""
    if data is _last.text:
        return _last.frame
    if not isinstance(data, str):
        return _frame(_PING if isinstance(data, Ping) else _BINARY, data)
    frame = _last.frame = _frame(_TEXT, data.encode())
    _last.text = data
    return frame


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return _short_head(first, size) + payload
    if size < 65536:
        return _medium_head(first, 126, size) + payload
    return _long_head(first, 127, size) + payload


class _Deflate:
    """permessage-deflate, outwards: what was agreed with one client."""

    __slots__ = ("_compressor", "_keeps_context", "_window_bits")

    def __init__(self, agreed: str, window_bits: int) -> None:
        self._window_bits = min(window_bits, _WINDOW_BITS)
        self._keeps_context = "server_no_context_takeover" not in agreed
        self._compressor = self._new() if self._keeps_context else None

    def framed(self, data: str | bytes) -> bytes:
        """What is sent as a frame: compressed, where it is a text that is long enough."""
        if not isinstance(data, str) or len(data) < _DEFLATE_BYTES:
            return _framed(data)
        compressor = self._compressor or self._new()
        deflated = compressor.compress(data.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_TEXT | _DEFLATED, deflated.removesuffix(_DEFLATE_TAIL))

    def _new(self) -> zlib._Compress:
        return zlib.compressobj(zlib.Z_BEST_SPEED, wbits=-self._window_bits, memLevel=_MEMORY_LEVEL)


class _Inbox(WebSocketDataQueue):
    """What aiohttp's parser has read and nobody has taken yet. Over its limit, the line pauses reading."""

    __slots__ = ()

    def feed_data(self, data: Any, size: int) -> None:
        """A text that can be taken at once need not wait, unless another one does, or is just being given
        on: a parser that had stopped goes on while that is popped, before anybody has it."""
        line: Line = self._protocol  # type: ignore[assignment]
        taken = line.taken
        if taken is None or line.queued or data.type is not WSMsgType.TEXT or not taken(data.data):
            line.queued = True
            super().feed_data(data, size)
            line.noticed()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """What was sent cannot be read."""
        super().set_exception(exc, *cause)
        line: Line = self._protocol  # type: ignore[assignment]
        line.noticed()


def _nothing() -> None:
    """What is done about a full buffer before somebody minds."""


def _nobody_asked(_payload: bytes) -> None:
    """Where pongs go that nobody waits for."""


class _Turn:
    """The lines of one loop that were sent something in this turn, those whose connections broke, and those
    whose end has begun and that are still there."""

    __slots__ = ("__weakref__", "broken", "leaving", "lines", "nobody_leaves")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.broken: deque[Line] = deque()
        self.leaving: set[Line] = set()
        self.nobody_leaves = asyncio.Event()
        self.nobody_leaves.set()

    def end(self) -> None:
        """Write out what was sent."""
        lines, self.lines = self.lines, []
        for line in lines:
            line.flush()

    def breaks(self, line: Line) -> None:
        """Nothing more comes over it: it is told so in its turn, with few others. Thousands may break in one
        turn of the loop, so this has to be quick."""
        if not self.broken:
            asyncio.get_running_loop().call_soon(self._tell_broken)
        self.broken.append(line)

    def _tell_broken(self) -> None:
        told = [self.broken.popleft() for _ in range(min(AT_ONCE, len(self.broken)))]
        if self.broken:
            look_at_new()
            asyncio.get_running_loop().call_soon(self._tell_broken)
        for line in told:
            try:
                line.broken()
            except Exception:  # the others have to be told all the same
                log.exception("the end of a connection failed")

    def leaves(self, line: Line) -> None:
        """Its end has begun."""
        self.leaving.add(line)
        self.nobody_leaves.clear()

    def left(self, line: Line) -> None:
        """Its connection is gone."""
        self.leaving.discard(line)
        if not self.leaving:
            self.nobody_leaves.set()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


def _here() -> _Turn:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = _Turn()
    return turn


async def goodbyes() -> None:
    """Return when all lines whose end has begun are gone, as far as they go in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS + STUCK_SECONDS):
            turn = _here()
            while turn.broken or turn.leaving:
                await asyncio.sleep(0) if turn.broken else await turn.nobody_leaves.wait()


class Line(asyncio.Protocol):
    """A WebSocket that was accepted. Writing never waits; `when_full` is called when it should."""

    __slots__ = (
        "_cut",
        "_framed",
        "_frames",
        "_gone",
        "_inbox",
        "_loop",
        "_lost",
        "_parser",
        "_pong",
        "_reading_paused",
        "_room",
        "_said_goodbye",
        "_size",
        "_tcp",
        "_turn",
        "_writing_paused",
        "close_code",
        "fault",
        "heard_at",
        "noticed",
        "over",
        "queued",
        "taken",
        "when_full",
    )

    def __init__(self, upgraded: Upgraded, max_frame_bytes: int, pong: Callable[[bytes], None]) -> None:
        self._tcp = upgraded.tcp
        self._pong = pong
        self._said_goodbye = False
        self._gone = False  # nothing more comes: the connection is lost, or its peer's half closed
        self._lost = False  # the connection is
        self._cut: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._turn = _here()
        self._frames: list[bytes] = []  # of this turn
        self._size = 0
        self._writing_paused = upgraded.writing_paused
        self._room: asyncio.Future[None] | None = None  # done when the socket's buffer has room again
        self._reading_paused = False
        agreed = upgraded.extensions
        self._framed = _Deflate(agreed, upgraded.window_bits).framed if agreed else _framed
        self.when_full: Callable[[], None] = _nothing
        """Called when the socket's buffer is over its limit, because the peer is slower than we are."""
        self.taken: Callable[[str], bool] | None = None
        """See `listen`."""
        self.noticed: Callable[[], None] = _nothing
        """See `listen`."""
        self.queued = False
        """Whether something waits for `next_frame`, or is just given by it."""
        self.over = False
        """Whether there will be no more messages."""
        self.heard_at = self._loop.time()
        """When the last frame was read."""
        self.close_code: int | None = None
        """What the peer said goodbye with, 1005 for nothing; None where it went without a goodbye."""
        self.fault: int | None = None
        """What is wrong with what the peer sent, as the close code that says so."""
        self._inbox = _Inbox(self, _READ_BUFFER_BYTES, loop=self._loop)  # type: ignore[arg-type]
        self._parser: WebSocketReader | None = WebSocketReader(
            self._inbox,
            max_frame_bytes + 1,  # aiohttp refuses what has exactly this size
            compress=bool(agreed),
            decode_text=True,
        )

    @classmethod
    async def accept(
        cls,
        request: web.Request,
        *,
        max_frame_bytes: int,
        protocols: tuple[str, ...],
        compress: bool = False,
        pong: Callable[[bytes], None] = _nobody_asked,
    ) -> Line:
        """Answer the upgrade. `compress`: where the client offers it; `pong` is given what pongs say."""
        connection = await upgraded(request, protocols=protocols, compress=compress)
        line = cls(connection, max_frame_bytes, pong)
        connection.tcp.set_protocol(line)
        if connection.read:
            line.data_received(connection.read)
        return line

    # What the loop calls

    def data_received(self, data: bytes) -> None:
        if self._parser is not None:
            self._parser.feed_data(data)

    def eof_received(self) -> bool:
        """Where many connections break at once, little is done in the turn in which that is found: not even
        closing them."""
        if not self._gone:
            self._gone = True
            self._turn.breaks(self)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost = True
        self._turn.left(self)
        self._writing_paused = False
        self._tell_room()
        if not self._gone:
            self._gone = True
            self._turn.breaks(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._tell_room()

    def _tell_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def broken(self) -> None:
        """Nothing more comes, and its turn has come to be told so."""
        if not self._lost:
            self._turn.leaves(self)
        self._tell_room()
        self._inbox.feed_eof()
        self.noticed()

    # What the parser's queue calls

    def pause_reading(self) -> None:
        """Too much waits."""
        self._reading_paused = True
        if not (self._gone or self._tcp.is_closing()):
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """No longer."""
        self._reading_paused = False
        if not (self._gone or self._tcp.is_closing()):
            self._tcp.resume_reading()

    # Out

    def send(self, data: str | bytes) -> None:
        """One message, text or binary, or a Ping; it is written at the end of this turn of the loop."""
        frame = self._framed(data)
        frames = self._frames
        if not frames:
            lines = self._turn.lines
            if not lines:
                self._loop.call_soon(self._turn.end)
            lines.append(self)
        frames.append(frame)
        self._size = size = self._size + len(frame)
        if size > _TURN_BYTES:
            self.flush()

    def send_all(self, messages: Iterable[str | bytes]) -> None:
        """Many messages, at once."""
        for data in messages:
            self.send(data)
        self.flush()

    def flush(self) -> None:
        """Write out now what was sent in this turn."""
        frames, tcp = self._frames, self._tcp
        self._frames, self._size = [], 0
        if not frames or self._gone or tcp.is_closing():
            return
        tcp.write(b"".join(frames))  # one frame is not copied
        if self._writing_paused:
            self.when_full()

    async def drained(self) -> None:
        """Return when the buffer has room again. Raises ConnectionError when the peer is gone."""
        self.flush()
        while self._writing_paused and not self._gone:
            if self._room is None:
                self._room = self._loop.create_future()
            await asyncio.shield(self._room)
        if self._gone:
            raise ConnectionResetError

    # In

    def listen(self, taken: Callable[[str], bool], noticed: Callable[[], None]) -> None:
        """Offer every text to `taken` as soon as it is read, unless one waits. What it takes is done with; of
        what it does not take, and of the end, `noticed` is told: `waits` and `lost` say what there is, and
        `next_frame` gives it. Neither may raise."""
        self.taken, self.noticed = taken, noticed
        if self.waits or self.lost:
            noticed()

    @property
    def waits(self) -> bool:
        """Whether `next_frame` need not wait."""
        inbox = self._inbox
        return not self.over and (bool(inbox._buffer) or inbox.is_eof())  # noqa: SLF001, nothing else tells

    @property
    def lost(self) -> bool:
        """Whether the connection went without a goodbye, and all that came over it was received."""
        inbox = self._inbox
        return inbox.is_eof() and not inbox._buffer and inbox.exception() is None  # noqa: SLF001

    async def receive(self) -> str | bytes | None:
        """The next message; None when there will be no more, and then `close_code` or `fault` says why.

        Pings are answered on the way, with their payload, as the peer takes the answers.
        """
        while not self.over:
            data = await self.next_frame()
            if data is not None:
                return data
        return None

    async def next_frame(self) -> str | bytes | None:
        """The message that ends with the next frame; None for another frame, or when `over`. Pings are
        answered."""
        message = await self._next()
        if message is None:
            self.over = True
            return None
        self.heard_at = self._loop.time()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                return cast("str | bytes", message.data)
            case WSMsgType.PING:
                await self._answer(bytes(message.data))
            case WSMsgType.PONG:
                self._pong(bytes(message.data))
            case WSMsgType.CLOSE:
                self.close_code = message.data or _NO_STATUS
                self.over = True
            case _:
                self.over = True
        return None

    async def _next(self) -> Any:
        """What the parser read next; None when it reads no more."""
        try:
            message = await self._inbox.read()
        except EofStream:
            return None
        except Exception as error:  # noqa: BLE001  what cannot be inflated has no error of its own
            self.fault = error.code if isinstance(error, WebSocketError) else _INVALID
            return None
        self.queued = bool(self._inbox._buffer)  # noqa: SLF001, nothing else tells
        return message

    async def _answer(self, payload: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # what came behind the ping is there all the same
            await self.drained()
            if not self._said_goodbye and not self._tcp.is_closing():
                self._tcp.write(_frame(_PONG, payload))

    # The end

    def end(self, code: int, reason: str = "") -> None:
        """Say goodbye, and cut the connection when the peer does not answer soon, reading or not."""
        if self._said_goodbye:
            return
        self._said_goodbye = True
        if self._gone:
            if self._tcp.get_write_buffer_size():
                self._cut = self._loop.call_later(LINGER_SECONDS, sever, self._tcp)
            return
        self._turn.leaves(self)
        if code == _ABNORMAL:
            sever(self._tcp)
        elif not self._tcp.is_closing():
            self.flush()
            behind = self._tcp.get_write_buffer_size()
            said = struct.pack("!H", code) + reason.encode()[:_MAX_REASON_BYTES]
            self._tcp.write(_frame(_CLOSE, said))
            if behind:
                self._cut = self._loop.call_later(STUCK_SECONDS, self._cut_if_stuck, taken(self._tcp))
            else:
                self._cut = self._loop.call_later(LINGER_SECONDS, sever, self._tcp)

    def _cut_if_stuck(self, before: int) -> None:
        """Who has begun to read again may come to the goodbye, which lies behind all that it had not read."""
        if taken(self._tcp) == before:
            sever(self._tcp)
        else:
            self._cut = self._loop.call_later(LINGER_SECONDS - STUCK_SECONDS, sever, self._tcp)

    def answer_goodbye(self) -> None:
        """The peer said goodbye first, or something that cannot be read: so do we."""
        if self.fault is not None:
            self.end(self.fault)
        elif self.close_code is not None:
            self.end(1000 if self.close_code in _UNSAYABLE else self.close_code)

    def finish(self) -> web.StreamResponse:
        """Nothing more is read. Gives what a handler has to return."""
        self.end(1000)
        self.over = True
        if self.fault is None:
            self._close()
        else:
            # Closing before all was read resets the connection, and the goodbye may be lost.
            self._loop.call_later(LINGER_SECONDS, self._close)
        # Rings of references would wait for the garbage collector, which stops everything to look at all.
        self.when_full = self.noticed = _nothing
        self._pong, self.taken, self._parser = _nobody_asked, None, None
        self._inbox._protocol = None  # type: ignore[assignment]  # noqa: SLF001
        return DONE

    def _close(self) -> None:
        if self._cut is not None and (self._tcp.is_closing() or not self._tcp.get_write_buffer_size()):
            self._cut.cancel()
        self._tcp.close()
