"""A TCP proxy without affinity: each connection goes to the next server, as behind a plain load balancer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024
TURNS = 20
"""More turns of the loop than it takes to let somebody in, or to end a connection that was broken."""

Choose = Callable[[bytes], str]
"""Gives the URL of the server for a connection that begins with these bytes."""


class RoundRobin:
    """The proxy; `url` is where clients connect."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._writers: set[asyncio.StreamWriter] = set()
        self._closed = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, until either side ends it; then the other side sees the same."""
        if self._closed.is_set():
            writer.transport.abort()
            return
        self._writers.add(writer)
        first = await reader.read(PIECE_BYTES)
        try:
            there = await asyncio.open_connection("127.0.0.1", urlsplit(self._choose(first)).port)
        except OSError:
            writer.transport.abort()
            return
        if self._closed.is_set():
            there[1].transport.abort()
            return
        self._writers.add(there[1])
        there[1].write(first)
        await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))
        self._writers -= {writer, there[1]}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        """Break everything, and return when nothing is left: also of who was just being let in."""
        self._closed.set()
        for writer in self._writers:
            writer.transport.abort()
        for _ in range(TURNS):
            await asyncio.sleep(0)


@asynccontextmanager
async def round_robin(*servers: str, choose: Choose | None = None) -> AsyncIterator[RoundRobin]:
    """A proxy to these servers, in turn, or as `choose` says."""
    turns = cycle(servers)
    proxy = RoundRobin(choose or (lambda _: next(turns)))
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()
