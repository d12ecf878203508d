"""A host application that is told by webhooks: a real HTTP server, which believes nothing unsigned."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

WEBHOOK_SECRET = "a secret that host and service share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request that was taken or refused."""

    id: str
    type: str
    data: Any
    timestamp: str
    traceparent: str | None
    answered: int


@dataclass
class Receiver:
    """What came in, in the order in which it came. `answers` decides what a delivery is answered with."""

    url: str = ""
    seen: list[Delivery] = field(default_factory=list)
    answers: Callable[[str, Any], int] = lambda _type, _data: 204
    pause: float = 0.0
    """How long each answer takes."""

    @property
    def taken(self) -> list[Delivery]:
        """What was answered with success."""
        return [each for each in self.seen if each.answered == 204]

    def contents(self, type_: str = "message.created") -> list[str]:
        """The contents of the messages that were taken."""
        return [each.data["message"]["content"] for each in self.taken if each.type == type_]

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Return when the condition holds; fail when it does not in time."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def take(self, request: web.Request) -> web.Response:
        """One request."""
        body = await request.read()
        assert signed(request.headers, body), "a delivery that is not signed as documented"
        told = json.loads(body)
        assert told.keys() == {"type", "timestamp", "data"}
        await asyncio.sleep(self.pause)
        status = self.answers(told["type"], told["data"])
        self.seen.append(
            Delivery(
                id=request.headers["webhook-id"],
                type=told["type"],
                data=told["data"],
                timestamp=told["timestamp"],
                traceparent=request.headers.get("traceparent"),
                answered=status,
            )
        )
        return web.Response(status=status)


def signed(headers: Any, body: bytes) -> bool:
    """Whether a request comes from who has the secret, and is not an old one."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.digest(WEBHOOK_SECRET.encode(), content, hashlib.sha256)).decode()
    recent = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return hmac.compare_digest(headers["webhook-signature"], f"v1,{right}") and recent


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/hook", receiver.take)])
    server = TestServer(app, host="127.0.0.1")
    async with server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
