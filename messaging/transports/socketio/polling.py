"""The long-polling half of an Engine.IO connection: one waiting GET, and POSTs that are read whole."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from aiohttp import web

from messaging.transports.line import STUCK_SECONDS, sever, taken, untaken
from messaging.transports.socketio import packets

READ_SECONDS = 20.0
"""How long a POST body may take to come in."""
NOOP = f"{packets.Engine.NOOP:d}"


class BodyTooLarge(Exception):
    """A POST body, or a packet in it, is larger than its limit."""


class Poll(ABC):
    """A GET that waits for packets, however it came here; at most one a connection."""

    max_bytes: int | None = None
    """The most that it takes at once."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether its client still waits for the answer, as far as is known."""

    async def still_waits(self) -> bool:
        """Whether its client really does."""
        return self.alive

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

    @abstractmethod
    async def deliver(self, body: str) -> bool:
        """Give its client these packets; False when they surely did not arrive.

        Raises ConnectionError when they may have.
        """

    @abstractmethod
    def cut(self) -> None:
        """The connection has ended: do not wait for a client that does not take what was delivered."""


class HttpPoll(Poll):
    """A GET of this process."""

    def __init__(self, request: web.Request, headers: dict[str, str]) -> None:
        super().__init__()
        self.response: web.StreamResponse = web.Response()
        self._request = request
        self._headers = headers

    @property
    def alive(self) -> bool:
        return self._request.transport is not None

    async def deliver(self, body: str) -> bool:
        self.response = text_response(body, self._headers)
        try:
            await self.response.prepare(self._request)
            await self.response.write_eof()
        except ConnectionError:
            return False
        return True

    def cut(self) -> None:
        tcp = self._request.transport
        if tcp is not None and untaken(tcp):
            asyncio.get_running_loop().call_later(STUCK_SECONDS, self._cut, tcp, taken(tcp))

    def _cut(self, tcp: asyncio.Transport, before: int) -> None:
        """Only where nothing moves: others may use the connection, if it is a proxy's."""
        if untaken(tcp) and taken(tcp) == before:
            sever(tcp)


def text_response(body: str, headers: dict[str, str]) -> web.Response:
    """A polling answer."""
    response = web.Response(text=body, headers={**headers, "Cache-Control": "no-store"})
    response.content_type = "text/plain"
    response.charset = "UTF-8"
    return response


async def read_body(request: web.Request, max_bytes: int) -> str:
    """A POST body, however it comes in. Raises BodyTooLarge, or ValueError: no UTF-8, too slow, cut."""
    return (await read_bytes(request, max_bytes)).decode()


async def read_bytes(request: web.Request, max_bytes: int) -> bytes:
    """The same, as bytes."""
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
    except (web.RequestPayloadError, ConnectionError) as error:  # not encoded as it says, or cut
        raise ValueError("unreadable") from error
    return b"".join(pieces)
