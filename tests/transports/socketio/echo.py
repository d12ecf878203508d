"""A small app on the real classes that says back what it hears: for our tests and for protocol suites.

python -m tests.transports.socketio.echo PORT [SECONDS]   namespaces / and /custom, binary, ping 300/200 ms or
                                                          300 ms/SECONDS, and a bare Engine.IO echo
                                                          under /engine.io/
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from messaging.domain.errors import AuthFailed, ClientError
from messaging.gateway.farewell import Farewell
from messaging.transports.credentials import auth_token
from messaging.transports.handshake import Handshake, Limits
from messaging.transports.origins import Origins
from messaging.transports.socketio.engine import EngineServer
from messaging.transports.socketio.factory import create_socketio, mount
from messaging.transports.socketio.namespace import Client, Place, SignInRefused
from messaging.transports.socketio.packets import Kind
from messaging.transports.socketio.server import SocketServer
from messaging.transports.socketio.socket import EngineSocket

SUITE_LIMITS = Limits(ping_seconds=0.3, pong_seconds=0.2, connect_seconds=1.0)
LIMITS = Limits(keeps_polls=True, max_frame_bytes=64 * 1024)
"""The service's."""


class EchoClient:
    """One client; everything that was done to it is kept."""

    pid = None

    def __init__(self, place: Place, auth: Any) -> None:
        self.place = place
        self.auth = auth
        self.heard: list[tuple[str, list[Any]]] = []
        self.farewells: list[Farewell] = []
        self.answers = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None:
        self.emit("auth", self.auth or {})

    def take(self, name: str, args: list[Any], ack: int | None) -> bool:
        if self.gate.is_set():
            self._say_back(name, args, ack)
        return self.gate.is_set()

    async def event(self, name: str, args: list[Any], ack: int | None) -> None:
        await self.gate.wait()
        self._say_back(name, args, ack)

    def _say_back(self, name: str, args: list[Any], ack: int | None) -> None:
        self.heard.append((name, args))
        if ack is not None:
            self.place.send(Kind.ACK, args, ack=ack)
        elif name == "message":
            self.emit("message-back", *args)

    def answered(self) -> None:
        self.answers += 1

    def closed(self, farewell: Farewell) -> None:
        self.farewells.append(farewell)

    def hear(self, parts: list[str | bytes]) -> None:
        for part in parts:
            self.place.socket.write(part)

    def emit(self, name: str, *args: Any) -> None:
        self.place.send(Kind.EVENT, [name, *args])


class Echo:
    """A namespace that lets everybody in, but for the tokens `bad`, `away` and `bug`; `slow` waits."""

    def __init__(self) -> None:
        self.clients: list[EchoClient] = []
        self.arrived = asyncio.Condition()
        self.gate = asyncio.Event()

    async def sign_in(self, place: Place, auth: Any) -> Client:
        match auth_token(auth) or place.handshake.token:
            case "bad":
                raise SignInRefused(AuthFailed("The token is bad."))
            case "away":
                raise ClientError("The storage is away.")
            case "bug":
                raise KeyError("a bug in the connect handler")
            case "slow":
                await self.gate.wait()
            case _:
                pass
        client = EchoClient(place, auth)
        async with self.arrived:
            self.clients.append(client)
            self.arrived.notify_all()
        return client

    async def client(self, number: int = 0) -> EchoClient:
        """The client who came in after `number` others."""
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.clients) > number)
        return self.clients[number]


class EngineEcho:
    """A sink that says every Engine.IO message back."""

    async def opening(self, handshake: Handshake) -> None: ...

    def opened(self, socket: EngineSocket) -> None: ...

    def answered(self, socket: EngineSocket) -> None: ...

    def closed(self, socket: EngineSocket, farewell: Farewell) -> None: ...

    def take(self, socket: EngineSocket, raw: str) -> bool:
        if raw[:1] == "4":
            socket.write(raw)
        return raw[:1] == "4"

    async def message(self, socket: EngineSocket, data: str | bytes) -> None:
        socket.write(f"4{data}" if isinstance(data, str) else data)


class EchoApp:
    """A running echo app on a port of its own."""

    def __init__(self, **options: Any) -> None:
        self.main, self.custom = Echo(), Echo()
        options["limits"] = options.get("limits") or LIMITS
        namespaces = options.pop("namespaces", None) or {"/": self.main, "/custom": self.custom}
        self.server: SocketServer = create_socketio(namespaces, binary=options.pop("binary", True), **options)
        self.engine = EngineServer(limits=options["limits"], origins=Origins(), sink=EngineEcho())
        self.app = web.Application()
        mount(self.app, self.server)
        self.app.router.add_route("*", "/engine.io/", self.engine.handle_request)
        self.url = ""

    @property
    def open_requests(self) -> int:
        """How many TCP connections aiohttp serves."""
        assert self.runner.server is not None
        return len(self.runner.server.connections)

    @property
    def sockets(self) -> dict[str, EngineSocket]:
        sockets: dict[str, EngineSocket] = self.server.eio.sockets
        return sockets

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[EchoApp]:
        runner = self.runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.engine.drain()
            await runner.cleanup()


async def main(port: int, pong_seconds: float) -> None:
    limits = replace(SUITE_LIMITS, pong_seconds=pong_seconds)
    async with EchoApp(limits=limits, origins=Origins(("*",))).running(port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) if sys.argv[2:] else SUITE_LIMITS.pong_seconds))
