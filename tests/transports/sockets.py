"""A process whose WebSocket endpoints are served on 127.0.0.1: the real gateway, the real dialects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from aiohttp import web

from messaging.backplanes.memory import LocalCapacity
from messaging.dialects import SOCKETS
from messaging.gateway.gateway import Gateway
from messaging.transports.entrance import Entrance
from messaging.transports.handshake import Limits
from messaging.transports.origins import Origins
from messaging.transports.websocket import WebSockets
from tests.gateway.house import built, token
from tests.http import http_client
from tests.stage import NO_RULES
from tests.transports.rfc6455 import SECONDS, eventually

ORIGINS = Origins(("*", "https://app.example"))


@dataclass
class Site:
    """What is served, and to whom."""

    gateway: Gateway
    sockets: WebSockets
    capacity: LocalCapacity
    http: aiohttp.ClientSession
    url: str

    async def connect(
        self, path: str = "/ws/rooms", user: str | None = "alice", /, *, query: str = "", **options: Any
    ) -> Client:
        """A client on a path, signed in as a user."""
        signed_in = f"token={token(user)}" if user else ""
        url = f"{self.url}{path}?{signed_in}&{query}"
        return Client(await self.http.ws_connect(url, autoping=True, **options))

    async def swept(self) -> None:
        """Wait until nothing is left of anybody."""
        await eventually(lambda: not self.capacity.held)
        assert not self.gateway.sessions
        kept = vars(self.sockets)
        assert not kept["_devices"]
        assert not kept["_connections"]


class Client:
    """An aiohttp client of one connection."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ws.close()

    async def say(self, name: str, /, **fields: Any) -> None:
        await self.ws.send_json({"type": name, **fields})

    async def next(self) -> Any:
        """The next frame."""
        return json.loads(await self.ws.receive_str(timeout=SECONDS))

    async def until(self, name: str) -> Any:
        """The next frame of a type."""
        while (frame := await self.next())["type"] != name:
            pass
        return frame

    async def ended(self) -> int | None:
        """Wait for the end; its code."""
        while not (await self.ws.receive(timeout=SECONDS)).type.name.startswith("CLOS"):
            pass
        return self.ws.close_code

    async def works(self) -> None:
        """Ask, and be answered."""
        await self.say("ping", payload={}, data={})
        await self.until("pong")


@asynccontextmanager
async def serving(
    *,
    limits: Limits | None = None,
    rules: Mapping[str, str] = NO_RULES,
    max_connections_per_address: int = 1000,
    origins: Origins = ORIGINS,
) -> AsyncIterator[Site]:
    """A site with one process behind it."""
    async with built(rules=rules) as house, http_client() as http:
        gateway = house.one.gateway
        capacity = LocalCapacity()
        entrance = Entrance(
            gateway, max_connections_per_address=max_connections_per_address, capacity=capacity
        )
        sockets = WebSockets(gateway, entrance, origins, limits=limits)
        app = web.Application()
        app.add_routes(sockets.routes(SOCKETS))
        app.on_shutdown.append(sockets.drain)
        runner = web.AppRunner(app, shutdown_timeout=2.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site = Site(gateway, sockets, capacity, http, "http://{}:{}".format(*runner.addresses[0][:2]))
        try:
            yield site
        finally:
            await runner.cleanup()
            await site.swept()
