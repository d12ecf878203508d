"""A server whose clients are connections without a gateway, and who listens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from messaging.dialects.base import Frame
from messaging.gateway import farewell
from messaging.gateway.farewell import Farewell
from messaging.transports.connection import Connection
from messaging.transports.handshake import Limits
from messaging.transports.line import Line
from tests.transports.rfc6455 import RawClient, eventually


class Recorder:
    """A sink that writes down what comes, and handles it when its gate is open."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.complaints: list[str] = []
        self.tokens: list[int] = []
        self.farewells: list[Farewell] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def take(self, frame: Frame) -> bool:
        if self.gate.is_set():
            self.frames.append(frame)
        return self.gate.is_set()

    async def receive(self, frame: Frame) -> None:
        await self.gate.wait()
        self.frames.append(frame)

    def unreadable(self, why: str) -> None:
        self.complaints.append(why)

    def confirmed(self, token: int) -> None:
        self.tokens.append(token)

    def closed(self, farewell: Farewell) -> None:
        self.farewells.append(farewell)


class Server:
    """A server whose clients are connections without a gateway."""

    def __init__(self, limits: Limits, join: Callable[[Sequence[str]], str] | None) -> None:
        self.url = ""
        self.connections: list[Connection] = []
        self.sinks: list[Recorder] = []
        self.open = 0
        self._limits = limits
        self._join = join

    @property
    def one(self) -> tuple[Connection, Recorder]:
        return self.connections[0], self.sinks[0]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(self._limits, self._join)
        connection.sink = sink = Recorder()
        accepted = await Line.accept(
            request,
            max_frame_bytes=self._limits.max_frame_bytes,
            protocols=(),
            compress=True,
            pong=connection.pong,
        )
        connection.open(accepted)
        self.connections.append(connection)
        self.sinks.append(sink)
        self.open += 1
        try:
            await connection.read()
            return accepted.finish()
        finally:
            self.open -= 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        try:
            yield
        finally:
            for connection in self.connections:
                connection.close(farewell.SHUTDOWN)
            await runner.cleanup()


Start = Callable[..., Awaitable[tuple[Server, RawClient]]]


async def gone(server: Server, reason: Farewell) -> None:
    """Wait until nothing is left of the connection, which ended once, for this reason."""
    await eventually(lambda: not server.open)
    assert server.one[1].farewells == [reason]
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith(("Connection.", "Server.handle"))}


def joined(texts: Sequence[str]) -> str:
    return "[" + ",".join(texts) + "]"
