"""Upgrade: aiohttp answers the handshake of a WebSocket, and then lets go of its connection.

What aiohttp keeps of a request (two tasks and their frames, headers, parsers, timers: some 14 KiB) would
otherwise stay as long as the client does. It is told that the connection is lost, and believes it.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from aiohttp import web


class Upgraded(NamedTuple):
    """A connection that is ours now. Its protocol has to be set before anything else is waited for."""

    tcp: asyncio.Transport
    read: bytes
    """What came behind the request."""
    writing_paused: bool
    extensions: str
    """The answer's `Sec-WebSocket-Extensions`; "" for none."""
    window_bits: int


async def upgraded(request: web.Request, *, protocols: tuple[str, ...], compress: bool) -> Upgraded:
    """Answer the upgrade and take the connection over. Raises ConnectionError when it is gone."""
    answer = _Answer(compress=compress, protocols=protocols)
    await answer.prepare(request)
    http = request.protocol
    tcp = http.transport
    if tcp is None:
        raise ConnectionResetError
    extensions = answer.headers.get("Sec-WebSocket-Extensions", "")
    read, http._message_tail = http._message_tail, b""  # noqa: SLF001, there is no other way to it
    http.transport = None  # or it would be closed
    paused = http.writing_paused
    http.connection_lost(None)
    if not (tcp.is_reading() or tcp.is_closing()):  # what came behind the request was too much for aiohttp
        tcp.resume_reading()
    return Upgraded(tcp, read, paused, extensions, int(answer.compress))


class _Answer(web.WebSocketResponse):
    """aiohttp's WebSocket, for its handshake alone."""

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """Reads nothing."""


class _Nothing(web.StreamResponse):
    """What handlers return when aiohttp has nothing more to write."""

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002, an override keeps its signature
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        return None


DONE: web.StreamResponse = _Nothing(status=101)
"""For all handlers whose connection was taken over."""
