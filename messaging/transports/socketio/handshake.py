"""What the parts of an Engine.IO connection tell each other: refusals, and the sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

from aiohttp import web

from messaging.gateway.farewell import Farewell
from messaging.transports import strict_json
from messaging.transports.handshake import Handshake


class Refused(Exception):
    """A request that Engine.IO refuses, with the codes of its reference implementation."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ):
        super().__init__(message)
        self.body = strict_json.dumps({"code": code, "message": message})
        self.status = status
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

    @classmethod
    def told(cls, status: int, body: str) -> Self:
        """A refusal in the words of another process."""
        refused = cls(3, "Bad request", status=status)
        refused.body = body
        return refused

    def response(self, headers: Mapping[str, str]) -> web.Response:
        """The answer, with the CORS headers of its request."""
        return web.Response(
            text=self.body,
            status=self.status,
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

    def take(self, socket: Any, raw: str) -> bool:
        """It sent this engine packet. Whether it was handled at once; else nothing has happened, and it comes
        again by `message`."""

    def answered(self, socket: Any) -> None:
        """It answered a ping."""

    def closed(self, socket: Any, farewell: Farewell) -> None:
        """It has ended; called once for each `opened`."""
