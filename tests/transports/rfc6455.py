"""A WebSocket client made of a plain socket: it says exactly what a test wants said (RFC 6455)."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

SECONDS = 5.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_ESTABLISHED = 1
_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


async def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return when the condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  conditions of many kinds, none with an event
            await asyncio.sleep(0.001)


def established(connection: socket.socket) -> bool:
    """Whether a TCP connection is up, as the kernel knows it."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] == _ESTABLISHED


class Received(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes
    compressed: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int.from_bytes(self.payload[:2])


class RawClient:
    """Reads frames when asked to, and answers nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.head = head
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, url: str, path: str = "/", headers: str = "", *, slow: bool = False
    ) -> AsyncIterator[Self]:
        """A client that is connected. `slow`: with the smallest buffers that there are."""
        host, _, port = url.removeprefix("http://").partition(":")
        plain = socket.socket()
        plain.setblocking(False)
        if slow:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(plain, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=plain, limit=4096 if slow else 1 << 20)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n{headers}\r\n".encode()
        )
        try:
            async with asyncio.timeout(SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 101"), head
            yield cls(reader, writer, head)
        finally:
            writer.transport.abort()

    @property
    def socket(self) -> socket.socket:
        """Its socket, for what the kernel knows of the connection."""
        found: socket.socket = self._writer.get_extra_info("socket")
        return found

    @property
    def established(self) -> bool:
        """Whether the connection is, as the kernel knows it, whoever reads."""
        return established(self.socket)

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """One frame, masked with zeros."""
        self.send_bytes(self.frame(opcode, payload, fin=fin, rsv=rsv))

    def say(self, **frame: Any) -> None:
        """A JSON object in a text frame."""
        self.send(TEXT, json.dumps(frame).encode())

    def send_bytes(self, data: bytes) -> None:
        """Whatever a test likes."""
        self._writer.write(data)

    @staticmethod
    def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
        size, first = len(payload), (0x80 if fin else 0) | rsv | opcode
        if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, size)
        return head + b"\0\0\0\0" + payload

    def break_off(self) -> None:
        """Without a goodbye."""
        self._writer.transport.abort()

    async def next(self, seconds: float = SECONDS) -> Received | None:
        """The next frame; None where the connection has ended."""
        try:
            async with asyncio.timeout(seconds):
                first, size = await self._reader.readexactly(2)
                if size >= 126:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
                return Received(first & 15, await self._reader.readexactly(size), bool(first & 0x40))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def until(self, opcode: int, seconds: float = SECONDS) -> Received:
        """The next frame of a kind."""
        while frame := await self.next(seconds):
            if frame.opcode == opcode:
                return frame
        raise AssertionError("the connection ended first")

    async def heard(self) -> Any:
        """The next text frame's value."""
        return (await self.until(TEXT)).json

    async def ended(self) -> int | None:
        """Wait for the end; the close code of the server, if it said one."""
        code = None
        while frame := await self.next():
            if frame.opcode == CLOSE:
                code = frame.code
        return code
