"""Clients of the three plain-WebSocket protocols, for acceptance tests.

alice = await sockets.ws_chat("1")
await alice.ask("join_room", room="general")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import urlencode

from tests.acceptance.stage import Stage, token
from tests.clients import Json
from tests.websockets import (
    NO_NAMES,
    ROOMS,
    UNIFIED,
    WS_CHAT,
    NodeSocket,
    Protocol,
    PythonSocket,
    Socket,
)

Client = Literal["aiohttp", "ws"]
CLIENTS: tuple[Client, ...] = ("aiohttp", "ws")
PROTOCOLS = {"ws-chat": WS_CHAT, "unified": UNIFIED, "rooms": ROOMS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """What connects to a stage's service, and all that has been connected."""

    stage: Stage
    opened: list[Socket] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def of(cls, stage: Stage) -> AsyncIterator[Self]:
        """Sockets that end with the block. Whatever they heard has the shape that their document promises."""
        sockets = cls(stage=stage)
        try:
            yield sockets
        finally:
            for socket in sockets.opened:
                await socket.close()
        for socket in sockets.opened:
            for frame in socket.frames:
                check_envelope(socket.protocol, frame)

    async def open(
        self,
        protocol: Protocol,
        query: Mapping[str, Json],
        *,
        process: int = 0,
        client: Client = "aiohttp",
        url: str | None = None,
        protocols: Sequence[str] = (),
        headers: Mapping[str, str] = NO_NAMES,
    ) -> Socket:
        """A connection; Refused when it is refused by HTTP."""
        base = url or self.stage.servers[process].url
        address = f"{base.replace('http', 'ws', 1)}{protocol.path}?{urlencode(query)}"
        socket: Socket
        if client == "ws":
            socket = await NodeSocket.open(protocol, address, protocols=protocols, headers=headers)
        else:
            http = self.stage.http
            socket = await PythonSocket.open(protocol, http, address, protocols=protocols, headers=headers)
        self.opened.append(socket)
        return socket

    async def connect(
        self,
        protocol: Protocol,
        user: str,
        *,
        process: int = 0,
        client: Client = "aiohttp",
        url: str | None = None,
        seconds: float = 3600,
        name: str | None = None,
        **query: Json,
    ) -> Socket:
        """This user's connection, signed in by query, as the documents do it."""
        claims = {} if name is None else {"username": name}
        query = {"token": token(user, seconds=seconds, **claims), **query}
        return await self.open(protocol, query, process=process, client=client, url=url)

    async def ws_chat(self, user: str, **how: Json) -> Socket:
        """A connection to `/ws/chat`."""
        return await self.connect(WS_CHAT, user, **how)

    async def rooms(self, user: str, **how: Json) -> Socket:
        """A connection to `/ws/rooms`."""
        return await self.connect(ROOMS, user, **how)

    async def unified(self, user: str, **how: Json) -> Socket:
        """A connection to `/ws` that has been told all that it missed."""
        socket = await self.connect(UNIFIED, user, **how)
        await socket.hears("connection_event", event="synced")
        return socket


def check_envelope(protocol: Protocol, frame: Json) -> None:
    """What the document's clients rely on in every frame."""
    if protocol is WS_CHAT:  # struct { type: String, data: Value, timestamp: String, user_id: Option<i32> }
        assert set(frame) == {"type", "data", "timestamp"}, frame
        assert isinstance(frame["data"], dict), frame
        assert isinstance(frame["timestamp"], str), frame
    elif protocol is UNIFIED:
        assert set(frame) == {"type", "payload", "meta"}, frame
        assert set(frame["meta"]) == {"timestamp", "sender_id", "target_id", "client_id"}, frame
        assert isinstance(frame["payload"], dict), frame
        assert isinstance(frame["meta"]["timestamp"], int), frame
