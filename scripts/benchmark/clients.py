"""Lean Socket.IO clients: so cheap that a thousand of them fit on the core that the server does not use.

They speak WebSocket themselves and count events and acks instead of parsing them; the same code drives all
peers. What is sent carries the time, so that a listener can tell how long it took.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import socket
import struct
import time
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from messaging.tokens import mint

_EVENT = b'new-message",'
_ACK = b"43/messaging,"
_KEPT = len(_EVENT) - 1  # of each chunk, in case a frame is cut there
assert len(_ACK) == len(_EVENT)
_REFUSED = b'"success":false'
_PING = b"\x81\x012"
_STAMP = re.compile(rb'"content":"t=([0-9]{30})"')
_ANSWER_SECONDS = 30.0
_AT_ONCE = 50
"""How many connect together."""

_UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)


class Client(asyncio.Protocol):
    """One connection. `events` and `acks` only rise; `latencies`, when it is a list, takes nanoseconds."""

    __slots__ = (
        "_before",
        "_conversation",
        "_entering",
        "_tail",
        "_token",
        "_waiting",
        "_window",
        "acks",
        "events",
        "latencies",
        "lost",
        "refused",
        "sent",
        "transport",
    )

    def __init__(self, token: str) -> None:
        self.events = self.acks = self.sent = self.refused = 0
        self.latencies: list[int] | None = None
        self.lost = False
        self._token = token
        self._before = self._tail = b""
        self._entering: Future[None] | None = asyncio.get_running_loop().create_future()
        self._waiting: Future[None] | None = None
        self._conversation, self._window = "", 0

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by class
        self.transport.write(_UPGRADE % base64.b64encode(secrets.token_bytes(16)))

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        for future in (self._entering, self._waiting):
            if future is not None and not future.done():
                future.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self._entering is not None:
            self._enter(data)
            return
        text = self._tail + data
        self._tail = text[-_KEPT:]
        if _EVENT in text:
            self.events += text.count(_EVENT)
            if self.latencies is not None:
                now = time.perf_counter_ns()
                self.latencies.extend(now - int(stamp) for stamp in _STAMP.findall(text))
        if _ACK in text:
            self._acked(text)
        if _PING in data:
            self._write("3")

    # --- what rows call ---

    async def entered(self) -> None:
        """Return when signed in; ConnectionError when refused."""
        assert self._entering is not None
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._entering
        self._entering, self._before = None, b""

    async def ask(self, event: str, **payload: object) -> None:
        """Emit an event and wait until all that was asked is acked."""
        self.emit(event, **payload)
        await self.answered()

    def emit(self, event: str, **payload: object) -> None:
        """Emit an event that asks for an ack."""
        self._emit(event, json.dumps(payload, separators=(",", ":")))

    async def answered(self) -> None:
        """Return when everything that was emitted is acked."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            while self.acks < self.sent:
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting

    def begin(self, conversation: str, window: int) -> None:
        """Send messages from now on, `window` of them in flight, until `end`."""
        self._conversation, self._window = conversation, window
        self._refill()

    def end(self) -> None:
        """Send no more."""
        self._window = 0

    def send(self, conversation: str) -> None:
        """Send one message that tells when it was sent."""
        content = f"t={time.perf_counter_ns():030d}"
        self._emit("send-message", f'{{"conversationId":"{conversation}","content":"{content}"}}')

    # --- inside ---

    def _enter(self, data: bytes) -> None:
        self._before += data
        assert self._entering is not None
        if self._entering.done():
            return
        if self._token and b'"pingInterval"' in self._before:
            self._write("40/messaging," + json.dumps({"token": self._token}))
            self._token = ""
        if b"40/messaging,{" in self._before:
            self._entering.set_result(None)
        elif b"44/messaging," in self._before:
            self._entering.set_exception(ConnectionError(self._before[-200:].decode(errors="replace")))

    def _acked(self, text: bytes) -> None:
        self.acks += text.count(_ACK)
        self.refused += text.count(_REFUSED)
        if self._window:
            self._refill()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _refill(self) -> None:
        while self.sent - self.acks < self._window:
            self.send(self._conversation)

    def _emit(self, event: str, payload: str) -> None:
        self._write(f'42/messaging,{self.sent}["{event}",{payload}]')
        self.sent += 1

    def _write(self, text: str) -> None:
        """One WebSocket text frame, masked with zeros (RFC 6455, 5.2)."""
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big")
        self.transport.write(b"\x81" + size + bytes(4) + data)


def token(secret: str, user: str, role: str | None = None) -> str:
    """A token for a user, for the length of the run."""
    extra = {} if role is None else {"role": role}
    return mint(secret, user, now=datetime.now(UTC), ttl=timedelta(hours=6), **extra)


async def connect(port: int, credential: str) -> Client:
    """One signed-in client. Each comes from one of 200 addresses, so that ports do not run out."""
    host = f"127.0.1.{1 + secrets.randbelow(200)}"
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(credential), "127.0.0.1", port, local_addr=(host, 0)
    )
    await client.entered()
    return client


async def connect_all(port: int, credentials: Sequence[str], *rooms: str) -> list[Client]:
    """Signed-in clients that have joined all these conversations."""

    async def enter(credential: str) -> Client:
        client = await connect(port, credential)
        for room in rooms:
            await client.ask("join-conversation", conversationId=room, limit=1)
        assert not client.refused, f"joining {rooms} was refused"
        return client

    clients: list[Client] = []
    for start in range(0, len(credentials), _AT_ONCE):
        clients += await asyncio.gather(*map(enter, credentials[start : start + _AT_ONCE]))
    return clients


async def leave_all(clients: Iterable[Client]) -> None:
    """Close the connections at once."""
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(0.2)


async def until(condition: Callable[[], bool], what: str, seconds: float = _ANSWER_SECONDS) -> None:
    """Wait until `condition` is true; TimeoutError, saying what did not come."""
    limit = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > limit:
            raise TimeoutError(what)
        await asyncio.sleep(0.002)


class Probe:
    """One HTTP connection that asks again and again; the kernel says when each answer came.

    So the longest answer is what the server's loop took, also where this process had to wait for its core.
    """

    def __init__(self, port: int, path: str = "/healthz") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._question = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    def ask(self) -> float:
        """Seconds until the answer came."""
        asked = time.clock_gettime(time.CLOCK_REALTIME)
        self._socket.sendall(self._question)
        data, ancillary, *_ = self._socket.recvmsg(65_536, 256)
        if not data:
            raise ConnectionError("the server closed the probe's connection")
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                return float(seconds + nanoseconds / 1e9 - asked)
        return time.clock_gettime(time.CLOCK_REALTIME) - asked

    def longest(
        self, seconds: float, waited: Callable[[], float], every: float = 0.002
    ) -> tuple[float, float]:
        """The longest answer within so many seconds: without what the server `waited`, and with it."""
        net, gross, end = 0.0, 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            before = waited()
            took = self.ask()
            net, gross = max(net, took - (waited() - before)), max(gross, took)
            time.sleep(every)
        return net, gross

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


_SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
