"""What the parts of an Engine.IO connection tell each other: handshake, limits, refusals, the sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from aiohttp import web

from messaging.gateway.farewell import Farewell
from messaging.transports import strict_json
from messaging.transports.credentials import deciding_token, subprotocol
from messaging.transports.origins import Origins
from messaging.transports.peer import peer_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large, how long, how many. Times in seconds."""

    ping_seconds: float = 25.0
    pong_seconds: float = 20.0
    connect_seconds: float = 10.0
    """Between the Engine.IO handshake and the first namespace."""
    max_frame_bytes: int = 64 * 1024
    max_body_bytes: int = 1_000_000
    max_queued_bytes: int = 1024 * 1024
    max_queued_frames: int = 256
    write_bytes: int = 64 * 1024
    """How much of the outbox is written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """Who opened a connection, and with which token, as far as its first request tells.

    `auth` of a namespace's CONNECT packet comes before `token`.
    """

    peer: str
    token: str | None = field(default=None, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    max_poll_packets: int | None = None
    """python-engineio's client gives up on a poll with more than 16 packets."""


def handshake_of(request: web.Request, origins: Origins, trusted_hops: int) -> Handshake:
    """Read the first request of a connection."""
    offered = subprotocol(request.headers.get("Sec-WebSocket-Protocol", ""))
    forwarded = request.headers.getall("X-Forwarded-For", ())
    token = deciding_token(
        query=request.query,
        headers=request.headers,
        cookies=request.cookies,
        trust_cookie=origins.trusts(request.headers.get("Origin"), request.headers.get("Host")),
    )
    return Handshake(
        peer=peer_address(request.remote, tuple(forwarded), trusted_hops),
        token=token,
        subprotocols=(offered.answer,) if offered.answer else (),
        max_poll_packets=16 if "python" in request.headers.get("User-Agent", "").lower() else None,
    )


class Refused(Exception):
    """A request that Engine.IO refuses, with the codes of its reference implementation."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ):
        super().__init__(message)
        self._body = strict_json.dumps({"code": code, "message": message})
        self._status = status
        self._headers = headers or {}

    @classmethod
    def unknown_transport(cls) -> Self:
        return cls(0, "Transport unknown")

    @classmethod
    def unknown_session(cls) -> Self:
        return cls(1, "Session ID unknown")

    @classmethod
    def bad_method(cls) -> Self:
        return cls(2, "Bad handshake method")

    @classmethod
    def bad_request(cls) -> Self:
        return cls(3, "Bad request")

    @classmethod
    def forbidden(cls) -> Self:
        return cls(4, "Forbidden", status=403)

    @classmethod
    def unsupported_version(cls) -> Self:
        return cls(5, "Unsupported protocol version")

    def response(self, headers: Mapping[str, str]) -> web.Response:
        """The answer, with the CORS headers of its request."""
        return web.Response(
            text=self._body,
            status=self._status,
            content_type="application/json",
            headers={**headers, **self._headers},
        )


class Sink(Protocol):
    """Who listens to Engine.IO connections. `socket` is an EngineSocket."""

    async def opening(self, handshake: Handshake) -> None:
        """A connection wants in. Raises ClientError to refuse it by HTTP."""

    def opened(self, socket: Any) -> None:
        """It is in."""

    async def message(self, socket: Any, data: str | bytes) -> None:
        """It sent a message. The next one is read when this returns. ValueError: it cannot be read."""

    def pong(self, socket: Any) -> None:
        """It answered a ping."""

    def closed(self, socket: Any, farewell: Farewell) -> None:
        """It has ended; called once for each `opened`."""
