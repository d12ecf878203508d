"""The WebSocket under an Engine.IO connection: frames straight into aiohttp's transport.

An uncompressed frame is one synchronous write, so ours mix safely with aiohttp's own (pongs). A frame is
built once for all who get the same text.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiohttp import WebSocketError, WSMsgType, web

LINGER_SECONDS = 0.8
"""How long a closed connection may take to send what is buffered and say goodbye; then it is cut."""

PROBE_SECONDS = 10.0
"""How long an upgrade may take."""

_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88
_ABNORMAL = 1006
_PIECE_BYTES = 256 * 1024


class _Flow(Protocol):
    """What we use of aiohttp's protocol object: pause_writing and resume_writing are its business."""

    @property
    def writing_paused(self) -> bool: ...

    async def _drain_helper(self) -> None: ...


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


class Line:
    """A WebSocket that was accepted. Writing never waits; `full` says when it should."""

    __slots__ = ("_flow", "_said_goodbye", "_tcp", "_ws", "close_code")

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        if request.transport is None:
            raise ConnectionResetError
        self._ws = ws
        self._tcp: asyncio.Transport = request.transport
        self._flow = cast(_Flow, request.protocol)
        self._said_goodbye = False
        self.close_code: int | None = None

    @classmethod
    async def accept(cls, request: web.Request, *, max_frame_bytes: int, protocols: tuple[str, ...]) -> Line:
        """Answer the upgrade; without compression, which costs 90 KiB a connection."""
        ws = web.WebSocketResponse(
            compress=False,
            autoclose=False,
            timeout=LINGER_SECONDS,
            max_msg_size=max_frame_bytes,
            protocols=protocols,
        )
        await ws.prepare(request)
        return cls(ws, request)

    def send(self, data: str | bytes) -> None:
        """One message, text or binary."""
        if not self._tcp.is_closing():
            self._tcp.write(text_frame(data) if isinstance(data, str) else _frame(_BINARY, data))

    def send_all(self, messages: list[str | bytes]) -> None:
        """Many messages in few writes."""
        if self._tcp.is_closing():
            return
        frames = [text_frame(data) if isinstance(data, str) else _frame(_BINARY, data) for data in messages]
        self._tcp.write(b"".join(frames))

    @property
    def full(self) -> bool:
        """The socket's buffer is over its limit: the peer is slower than we are."""
        return self._flow.writing_paused

    async def drained(self) -> None:
        """Return when the buffer has room again. Raises ConnectionError when the peer is gone."""
        await self._flow._drain_helper()

    async def receive(self) -> str | bytes | None:
        """The next message; None when there will be no more, and then `close_code` is set."""
        message = cast(Any, await self._ws.receive())
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            return cast("str | bytes", message.data)
        error = message.data
        self.close_code = error.code if isinstance(error, WebSocketError) else self._ws.close_code
        return None

    async def probed(self, answered: Callable[[], None]) -> bool:
        """Whether a polling client comes over: its probe, our answer, and then its UPGRADE packet."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                if await self.receive() != "2probe":
                    return False
                self.send("3probe")
                answered()
                return await self.receive() == "5"
        except TimeoutError:
            return False

    def end(self, code: int) -> None:
        """Say goodbye, and cut the connection when the peer does not answer soon, reading or not."""
        if self._said_goodbye:
            return
        self._said_goodbye = True
        if code == _ABNORMAL:
            self._tcp.abort()
        elif not self._tcp.is_closing():
            self._tcp.write(_frame(_CLOSE, struct.pack("!H", code)))
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._tcp.abort)

    def answer_goodbye(self) -> None:
        """The peer said goodbye first: so do we."""
        if self.close_code not in (None, _ABNORMAL):
            self.end(1000)

    def finish(self) -> web.WebSocketResponse:
        """The end of the handler: nothing more is read. Gives what aiohttp wants to have."""
        self.end(1000)
        self._tcp.close()
        return self._ws
