"""Engine.IO over HTTP: who may come in, as what, and which connection a request belongs to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from engineio import AsyncServer

from messaging.domain.errors import ClientError, RateLimited
from messaging.gateway import farewell as farewells
from messaging.gateway.farewell import Farewell
from messaging.gateway.wheel import Deadlines
from messaging.transports import strict_json
from messaging.transports.handshake import Handshake, Limits, handshake_of
from messaging.transports.origins import Origins
from messaging.transports.socketio.elsewhere import Elsewhere, sid_of
from messaging.transports.socketio.handshake import Refused, Sink
from messaging.transports.socketio.packets import Engine
from messaging.transports.socketio.polling import BodyTooLarge, HttpPoll, Poll, read_body, text_response
from messaging.transports.socketio.socket import EngineSocket

log = logging.getLogger(__name__)

POLLING, WEBSOCKET = "polling", "websocket"


class EngineServer(AsyncServer):
    """All Engine.IO connections of this process. `sink` hears what they say."""

    def __init__(
        self,
        *,
        limits: Limits,
        origins: Origins,
        trusted_hops: int = 0,
        sink: Sink | None = None,
        elsewhere: Elsewhere | None = None,
        **host: Any,
    ) -> None:
        super().__init__(
            async_mode="aiohttp",
            monitor_clients=False,  # each socket watches itself
            ping_interval=limits.ping_seconds,
            ping_timeout=limits.pong_seconds,
            max_http_buffer_size=limits.max_frame_bytes,
            **{"logger": log, "async_handlers": False, **host},
        )
        self.sink = sink
        self.heartbeats = Deadlines()
        """When each connection is to be pinged, or to have answered."""
        self._limits = limits
        self._origins = origins
        self._trusted_hops = trusted_hops
        self._elsewhere = elsewhere
        self._draining = False

    def create_queue(self, *args: Any, **kwargs: Any) -> None:
        """Our sockets have an outbox instead."""

    async def start(self) -> None:
        """Begin to answer for sessions of this process whose requests come to another one."""
        if self._elsewhere is not None:
            await self._elsewhere.start(self)

    async def stop(self) -> None:
        """Answer nothing more."""
        if self._elsewhere is not None:
            await self._elsewhere.close()

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """The handler of the Engine.IO path, for every method."""
        origin, host = request.headers.get("Origin"), request.headers.get("Host")
        headers = self._origins.headers(origin, host, preflight=request.method == "OPTIONS")
        try:
            if not self._origins.allows(origin, host):
                raise Refused.forbidden()
            if request.method == "OPTIONS":
                return web.Response(status=204, headers=headers)
            return await self._route(request, headers)
        except Refused as refused:
            return refused.response(headers)
        except ClientError as error:
            return refusal(error).response(headers)
        except ConnectionError:  # the client went away during the handshake
            return web.Response(headers=headers)

    async def _route(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        transport = request.query.get("transport")
        if transport not in (POLLING, WEBSOCKET):
            raise Refused.unknown_transport()
        sid = request.query.get("sid")
        if (transport == WEBSOCKET) != _upgrades(request):
            raise Refused.bad_request()
        if sid is None:
            return await self._open(request, transport, headers)
        if sid not in self.sockets and self._elsewhere is not None:
            return await self._elsewhere.carry_on(sid, request, headers)
        if transport == WEBSOCKET:
            return await self._known(sid).websocket(request)
        return await self._carry_on(sid, request, headers)

    async def _carry_on(self, sid: str, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        if request.method == "GET":
            poll = HttpPoll(request, headers)
            await self.poll(sid, poll)
            return poll.response
        if request.method != "POST":
            self._polling(sid)
            raise Refused.bad_request()
        try:
            await self.post(sid, partial(read_body, request))
        except BodyTooLarge:
            raise web.HTTPRequestEntityTooLarge(self._limits.max_frame_bytes, 0, headers=headers) from None
        return text_response("ok", headers)

    async def poll(self, sid: str, poll: Poll) -> None:
        """Deliver to a GET of this session, from wherever it came. Raises Refused."""
        await self._polling(sid).poll(poll)

    async def post(self, sid: str, read: Callable[[int], Awaitable[str]]) -> None:
        """Take a POST of this session, from wherever it came. Raises Refused and BodyTooLarge."""
        socket = self._polling(sid)
        if socket.closed:
            raise Refused.unknown_session()
        await socket.post(read)

    def _known(self, sid: str) -> EngineSocket:
        socket: EngineSocket | None = self.sockets.get(sid)
        if socket is None:
            raise Refused.unknown_session()
        return socket

    def _polling(self, sid: str) -> EngineSocket:
        socket = self._known(sid)
        if socket.upgraded:
            raise Refused.bad_request()
        return socket

    async def _open(
        self, request: web.Request, transport: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        if request.method != "GET":
            raise Refused.bad_method()
        if request.query.get("EIO") != "4":
            raise Refused.unsupported_version()
        if self._draining or self.sink is None:
            raise Refused(3, "Shutting down", status=503, headers={"Retry-After": "1"})
        handshake = handshake_of(request, self._origins, self._trusted_hops)
        await self.sink.opening(handshake)
        socket = self._admit(handshake, self.sink)
        socket.write(self._hello(socket, transport))
        if transport == WEBSOCKET:
            return await self._speak(socket, request)
        socket.connected = True
        poll = HttpPoll(request, headers)
        await socket.poll(poll)
        return poll.response

    async def _speak(self, socket: EngineSocket, request: web.Request) -> web.StreamResponse:
        try:
            return await socket.websocket(request)
        except BaseException:
            socket.end(farewells.LOST)
            raise

    def _admit(self, handshake: Handshake, sink: Sink) -> EngineSocket:
        secret: str = self.generate_id()
        sid = secret if self._elsewhere is None else sid_of(self._elsewhere.name, secret)
        socket = EngineSocket(self, sid, handshake, sink, self._limits)
        self.sockets[socket.sid] = socket
        sink.opened(socket)
        return socket

    def _hello(self, socket: EngineSocket, transport: str) -> str:
        return f"{Engine.OPEN:d}" + strict_json.dumps(
            {
                "sid": socket.sid,
                "upgrades": [WEBSOCKET] if transport == POLLING else [],
                "pingInterval": round(self._limits.ping_seconds * 1000),
                "pingTimeout": round(self._limits.pong_seconds * 1000),
                "maxPayload": self._limits.max_frame_bytes,
            }
        )

    def forget(self, socket: EngineSocket) -> None:
        """The socket has ended and said all that it had to say."""
        self.sockets.pop(socket.sid, None)

    async def drain(self, *, spread_seconds: float = 0.0, farewell: Farewell = farewells.SHUTDOWN) -> None:
        """Let nobody in any more, and send everybody away, spread over so many seconds."""
        self._draining = True
        sockets = [socket for socket in self.sockets.values() if not socket.closed]
        for socket in sockets:
            socket.end(farewell)
            await asyncio.sleep(spread_seconds / len(sockets))


def refusal(error: ClientError) -> Refused:
    """A refusal by our own rules, before there is a connection."""
    status = 429 if isinstance(error, RateLimited) else 503
    retry_after = str(error.details.get("retryAfter", 1))
    return Refused(4, error.message, status=status, headers={"Retry-After": retry_after})


def _upgrades(request: web.Request) -> bool:
    """Whether the request asks to become a WebSocket."""
    connection = request.headers.get("Connection", "").lower()
    return request.headers.get("Upgrade", "").lower() == WEBSOCKET and "upgrade" in connection
