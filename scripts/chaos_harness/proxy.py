"""A TCP proxy that does to connections what networks do: delay, silence, reset, cut, swallow."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Self

CHUNK_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a connection that ends with RST instead of FIN."""


class Pipe:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = (client, server)
        self.silent = False
        """Nothing is carried any more, and nobody is told."""
        self.cut_after: int | None = None
        """How many more bytes reach the client before the connection is reset."""

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, down: bool) -> None:
        """Carry bytes in one direction until the connection ends."""
        while data := await source.read(CHUNK_BYTES):
            if self._proxy.delay_seconds:
                await asyncio.sleep(self._proxy.delay_seconds)
            data = self._proxy.filter(self, data) if down else data
            if self.silent or self._proxy.swallowing:
                continue
            if down and self.cut_after is not None:
                data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
            sink.write(data)
            await sink.drain()
            if self.cut_after is not None and self.cut_after <= 0:
                self.reset()
        if sink.can_write_eof() and not self.silent:
            sink.write_eof()

    def reset(self) -> None:
        """Break it on both sides."""
        for writer in self._writers:
            sock: socket.socket | None = writer.get_extra_info("socket")
            if sock is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def close(self) -> None:
        """End it on both sides."""
        for writer in self._writers:
            writer.close()


class Proxy:
    """Between clients and a server on this machine. Its attributes may be changed at any time."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self.port = 0
        self.pipes: list[Pipe] = []
        """Those that are open, oldest first."""
        self.delay_seconds = 0.0
        self.swallowing = False
        """A black hole: connections are taken, and nothing is carried, also not on new ones."""
        self.opened: Callable[[Pipe], None] = lambda _: None
        """Called for each new connection."""

    @property
    def url(self) -> str:
        """As an HTTP server."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        if self._server is not None:
            self._server.close()
        self.reset()
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Break all connections."""
        for pipe in list(self.pipes):
            pipe.reset()

    def silence(self) -> None:
        """Carry nothing any more on the connections that there are; new ones work."""
        for pipe in self.pipes:
            pipe.silent = True

    def filter(self, _pipe: Pipe, data: bytes) -> bytes:
        """What of the server's bytes goes on to the client."""
        return data

    async def _take(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            to_client.transport.abort()
            return
        pipe = Pipe(self, to_client, to_server)
        self.pipes.append(pipe)
        self.opened(pipe)
        up, down = (
            pipe.carry(from_client, to_server, down=False),
            pipe.carry(from_server, to_client, down=True),
        )
        tasks = [asyncio.create_task(up), asyncio.create_task(down)]
        try:
            await asyncio.gather(*tasks)
        except (OSError, asyncio.IncompleteReadError):
            if pipe.silent:
                await asyncio.wait(tasks)  # the client hears nothing of this, either
            pipe.reset()
        finally:
            for task in tasks:
                task.cancel()
            self.pipes.remove(pipe)
            pipe.close()
