"""Line: a WebSocket that was accepted; frames go straight into aiohttp's transport (RFC 6455, RFC 7692).

A frame is built once for all who get the same text. What is sent to one client in one turn of the loop goes
into one write at its end: a system call costs more than all that comes before it. aiohttp reads; all that is
written, pongs and goodbyes included, is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from aiohttp import WebSocketError, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from messaging.gateway.paced import Paced

STUCK_SECONDS = 0.4
"""How long one may take who has not taken what was written before."""
LINGER_SECONDS = 0.8
"""How long a closed connection may take to send what is buffered and say goodbye; then it is cut."""

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
_DEFLATED = 0x40
_NO_STATUS, _ABNORMAL = 1005, 1006
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


class _Flow(Protocol):
    """What we use of aiohttp's protocol object: pause_writing and resume_writing are its business."""

    @property
    def writing_paused(self) -> bool: ...

    async def _drain_helper(self) -> None: ...


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
    """The frame that was built last: a fan-out writes the same text to one client after the other."""

    text = ""
    frame = b"\x81\x00"


def text_frame(text: str) -> bytes:
    """A text frame, unmasked and uncompressed."""
    if text is not _LastFrame.text:
        _LastFrame.frame = _frame(_TEXT, text.encode())
        _LastFrame.text = text
    return _LastFrame.frame


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


class _Deflate:
    """permessage-deflate, outwards: what was agreed with one client."""

    __slots__ = ("_compressor", "_keeps_context", "_window_bits")

    def __init__(self, agreed: str, window_bits: int) -> None:
        self._window_bits = min(window_bits, _WINDOW_BITS)
        self._keeps_context = "server_no_context_takeover" not in agreed
        self._compressor = self._new() if self._keeps_context else None

    def frame(self, payload: bytes) -> bytes:
        """A compressed text frame."""
        compressor = self._compressor or self._new()
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_TEXT | _DEFLATED, data.removesuffix(_DEFLATE_TAIL))

    def _new(self) -> zlib._Compress:
        return zlib.compressobj(zlib.Z_BEST_SPEED, wbits=-self._window_bits, memLevel=_MEMORY_LEVEL)


class _Queue(WebSocketDataQueue):
    """What aiohttp reads is put into this. A text that can be taken at once need not wait in it; and where
    many connections break at once, only some are found at their end in one turn of the loop."""

    taken: Callable[[str], bool] | None = None
    """Takes a text, or says that it has to wait; must not raise. Only asked while nothing waits."""

    def feed_data(self, data: Any, size: int) -> None:
        taken = self.taken
        if taken is None or data.type is not WSMsgType.TEXT or self._buffer or not taken(data.data):
            super().feed_data(data, size)

    def feed_eof(self) -> None:
        _here().departures.add(super().feed_eof)


class _Response(web.WebSocketResponse):
    """aiohttp's WebSocket, which leaves goodbyes to the line, and reads into a queue of ours."""

    queue: _Queue

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """As aiohttp's own, without heartbeats."""
        self._ws_protocol, self._writer = protocol, writer
        loop = asyncio.get_running_loop()
        self._reader = self.queue = _Queue(request.protocol, _READ_BUFFER_BYTES, loop=loop)
        self._parser = WebSocketReader(
            self.queue, self._max_msg_size, compress=bool(self._compress), decode_text=True
        )
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:  # noqa: ARG002, an override keeps the signature of its base
        return False


def _nothing() -> None:
    """What is done about a full buffer before somebody minds."""


def _nobody_asked(_payload: bytes) -> None:
    """Where pongs go that nobody waits for."""


class _Turn:
    """The lines of one loop that were sent something in this turn, and those whose connections broke."""

    __slots__ = ("__weakref__", "departures", "lines")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.departures = Paced(0.0)

    def end(self) -> None:
        """Write out what was sent."""
        lines, self.lines = self.lines, []
        for line in lines:
            line.flush()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


def _here() -> _Turn:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = _Turn()
    return turn


class Line:
    """A WebSocket that was accepted. Writing never waits; `when_full` is called when it should."""

    __slots__ = (
        "_cut",
        "_deflate",
        "_flow",
        "_frames",
        "_loop",
        "_pong",
        "_said_goodbye",
        "_size",
        "_tcp",
        "_turn",
        "_ws",
        "close_code",
        "fault",
        "heard_at",
        "when_full",
    )

    def __init__(self, ws: _Response, request: web.Request, pong: Callable[[bytes], None]) -> None:
        if request.transport is None:
            raise ConnectionResetError
        self._ws = ws
        self._tcp: asyncio.Transport = request.transport
        self._flow = cast(_Flow, request.protocol)
        self._pong = pong
        self._said_goodbye = False
        self._cut: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._turn = _here()
        self._frames: list[bytes] = []  # of this turn
        self._size = 0
        agreed = ws.headers.get("Sec-WebSocket-Extensions", "")
        self._deflate = _Deflate(agreed, int(ws.compress)) if agreed else None
        self.when_full: Callable[[], None] = _nothing
        """Called when the socket's buffer is over its limit, because the peer is slower than we are."""
        self.heard_at = self._loop.time()
        """When the last frame was read."""
        self.close_code: int | None = None
        """What the peer said goodbye with, 1005 for nothing; None where it went without a goodbye."""
        self.fault: int | None = None
        """What is wrong with what the peer sent, as the close code that says so."""

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
        ws = _Response(
            compress=compress,
            autoclose=False,
            autoping=False,
            max_msg_size=max_frame_bytes + 1,  # aiohttp refuses what has exactly this size
            protocols=protocols,
        )
        await ws.prepare(request)
        return cls(ws, request, pong)

    def send(self, data: str | bytes) -> None:
        """One message, text or binary, or a Ping; it is written at the end of this turn of the loop."""
        frame = self._framed(data) if self._deflate or type(data) is not str else text_frame(data)
        if not self._frames:
            self._turn_begins()
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > _TURN_BYTES:
            self.flush()

    def send_all(self, messages: Iterable[str | bytes]) -> None:
        """Many messages, at once."""
        for data in messages:
            self.send(data)
        self.flush()

    def flush(self) -> None:
        """Write out now what was sent in this turn."""
        frames, self._frames, self._size = self._frames, [], 0
        if not frames or self._tcp.is_closing():
            return
        self._tcp.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self._flow.writing_paused:
            self.when_full()

    def _turn_begins(self) -> None:
        lines = self._turn.lines
        if not lines:
            self._loop.call_soon(self._turn.end)
        lines.append(self)

    def _framed(self, data: str | bytes) -> bytes:
        if isinstance(data, str):
            if self._deflate is None or len(data) < _DEFLATE_BYTES:
                return text_frame(data)
            return self._deflate.frame(data.encode())
        return _frame(_PING if isinstance(data, Ping) else _BINARY, data)

    async def drained(self) -> None:
        """Return when the buffer has room again. Raises ConnectionError when the peer is gone."""
        self.flush()
        await self._flow._drain_helper()  # noqa: SLF001, aiohttp's own writer waits in no other way

    def take_at_once(self, taken: Callable[[str], bool]) -> None:
        """Offer every text to `taken` as soon as it is read, unless one waits for `receive`. What it takes is
        done with; what it does not take, `receive` gives. It must not raise."""
        self._ws.queue.taken = taken

    async def receive(self) -> str | bytes | None:
        """The next message; None when there will be no more, and then `close_code` or `fault` says why.

        Pings are answered on the way, with their payload, as the peer takes the answers.
        """
        while True:
            message = cast(Any, await self._ws.receive())
            self.heard_at = self._loop.time()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    return cast("str | bytes", message.data)
                case WSMsgType.PING:
                    if not await self._answer(bytes(message.data)):
                        return None
                case WSMsgType.PONG:
                    self._pong(bytes(message.data))
                case WSMsgType.CLOSE:
                    self.close_code = message.data or _NO_STATUS
                    return None
                case _:
                    self.fault = message.data.code if isinstance(message.data, WebSocketError) else None
                    return None

    async def _answer(self, payload: bytes) -> bool:
        try:
            await self.drained()
        except ConnectionError:
            return False
        if not self._said_goodbye and not self._tcp.is_closing():
            self._tcp.write(_frame(_PONG, payload))
        return True

    def end(self, code: int, reason: str = "") -> None:
        """Say goodbye, and cut the connection when the peer does not answer soon, reading or not."""
        if self._said_goodbye:
            return
        self._said_goodbye = True
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

    async def finish(self) -> web.WebSocketResponse:
        """The end of the handler: nothing more is read. Gives what aiohttp wants to have."""
        self.end(1000)
        if self.fault is not None:
            # Closing before all was read resets the connection, and the goodbye may be lost.
            await asyncio.sleep(LINGER_SECONDS)
        if self._cut is not None and (self._tcp.is_closing() or not self._tcp.get_write_buffer_size()):
            self._cut.cancel()
        self._tcp.close()
        # Rings of references would wait for the garbage collector, which stops everything to look at all.
        self.when_full, self._pong, self._ws.queue.taken = _nothing, _nobody_asked, None
        return self._ws
