"""The long-polling half of an Engine.IO connection: one waiting GET, and POSTs that are read whole."""

from __future__ import annotations

import asyncio

from aiohttp import web

from messaging.gateway.outbox import Outbox
from messaging.transports.socketio import packets

READ_SECONDS = 20.0
"""How long a POST body may take to come in."""
NOOP = f"{packets.Engine.NOOP:d}"


class BodyTooLarge(Exception):
    """A POST body is larger than the limit."""


class Poll:
    """The GET that waits for packets; at most one a connection."""

    __slots__ = ("_request", "_woken")

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._woken = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether its client still waits for the answer."""
        return self._request.transport is not None

    def wake(self) -> None:
        """There is something to say, or nothing more to wait for."""
        self._woken.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait to be woken, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def answer(
        self, outbox: Outbox[str | bytes], headers: dict[str, str], max_packets: int | None = None
    ) -> web.StreamResponse:
        """Write what waits in the outbox, or a no-op. What cannot be written is put back."""
        if not self.alive:
            return web.Response()
        taken = outbox.take_all(max_entries=max_packets)
        body = packets.SEPARATOR.join(packets.write_polling(data) for data, _ in taken) or NOOP
        response = text_response(body, headers)
        try:
            await response.prepare(self._request)
            await response.write_eof()
        except ConnectionError:
            outbox.put_back(taken)
        return response


def text_response(body: str, headers: dict[str, str]) -> web.Response:
    """A polling answer."""
    response = web.Response(text=body, headers={**headers, "Cache-Control": "no-store"})
    response.content_type = "text/plain"
    response.charset = "UTF-8"
    return response


async def read_body(request: web.Request, max_bytes: int) -> str:
    """A POST body, however it comes in. Raises BodyTooLarge, or ValueError: no UTF-8, too slow."""
    if (request.content_length or 0) > max_bytes:
        raise BodyTooLarge
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for piece in request.content.iter_any():
                pieces.append(piece)
                size += len(piece)
                if size > max_bytes:
                    raise BodyTooLarge
    except TimeoutError as error:
        raise ValueError("too slow") from error
    return b"".join(pieces).decode()
