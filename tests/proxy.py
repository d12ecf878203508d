"""A TCP proxy for the tests: the network between a client and its server, which can be cut, stall or lead
elsewhere.

    async with Proxy.to(server.port) as proxy:
        proxy.url, proxy.cut(), proxy.stall(), proxy.closed = True, proxy.target = other.port …
"""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a RST


class Proxy:
    """Passes on what comes to `port`, in both directions, to `target`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.closed = False
        """Whether whoever connects is sent away at once."""
        self.port = 0
        self._writers: set[StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator[Self]:
        """A proxy for as long as the block lasts."""
        proxy = cls(target)
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        for writer in list(self._writers):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def stall(self) -> None:
        """Let the connections that are open now stand, and carry nothing any more. New ones flow."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        flowing = self._flowing
        self._writers.add(writer)
        try:
            if self.closed:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(back)
            try:
                ways = (self._carry(reader, back, flowing), self._carry(there, writer, flowing))
                tasks = [asyncio.create_task(way) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
            finally:
                self._writers.discard(back)
                back.close()
        except OSError:
            return  # there is no server
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _carry(self, reader: StreamReader, writer: StreamWriter, flowing: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
