"""What acceptance tests act with: a running service, its host application's tokens, its users' clients, HTTP.

salon = await stage.group("1", "2")
alice = await stage.messaging("1")
await alice.emit_with_ack("send-message", {"conversationId": salon, "content": "Bonjour!"})
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt

from tests.clients import NodeClient, NodeClients
from tests.servers import ServerProcess

Json = Any

SECRET = "a-secret-that-only-the-acceptance-tests-know"
SERVICE = "host-application"
"""The user id under which `Stage.rest` acts for the host application."""
UPGRADE = ("polling", "websocket")
TRANSPORTS = (("websocket",), ("polling",), UPGRADE)
FREELY = {
    "JWT_SECRET": SECRET,
    "RATE_LIMIT_MESSAGES": "100000/minute",
    "RATE_LIMIT_WS_CHAT": "100000/minute",
    "RATE_LIMIT_QUERIES": "100000/minute",
    "RATE_LIMIT_SIGNALS": "100000/minute",
    "RATE_LIMIT_AUTH_FAILURES": "100000/minute",
    "PRESENCE_GRACE_SECONDS": "0.5",
}
"""Settings for tests that are not about limits."""

_numbers = count(1001)


def new_id() -> str:
    """The id of a user or conversation that no test has used yet; a decimal number, as most hosts have."""
    return str(next(_numbers))


def token(user: str, *, seconds: float = 3600, **claims: Json) -> str:
    """A token of the host application for this user; SERVICE has the role of a service."""
    if user == SERVICE:
        claims.setdefault("role", "service")
    now = time.time()
    return jwt.encode({"sub": user, "iat": int(now), "exp": int(now + seconds), **claims}, SECRET, "HS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response that has been read."""

    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["error"]["code"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One service of one or more processes, and what speaks to it."""

    servers: tuple[ServerProcess, ...]
    clients: NodeClients
    http: aiohttp.ClientSession

    async def connect(
        self, namespace: str, user: str, *, process: int = 0, wait: bool = True, **options: Json
    ) -> NodeClient:
        """A socket.io-client of this user; its options override what is usual."""
        usual: dict[str, Json] = {
            "auth": {"token": token(user)},
            "transports": ["websocket"],
            "reconnectionDelay": 100,
            "reconnectionDelayMax": 500,
        }
        return await self.clients.connect(
            self.servers[process].url, namespace, wait=wait, **{**usual, **options}
        )

    async def messaging(self, user: str, **options: Json) -> NodeClient:
        """A client in `/messaging`."""
        return await self.connect("/messaging", user, **options)

    async def chat(self, user: str, **options: Json) -> NodeClient:
        """A client in `/chat`."""
        return await self.connect("/chat", user, **options)

    async def rest(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        user: str | None = SERVICE,
        process: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request of this user; with None of nobody. Bytes are sent as they are, all else as JSON."""
        sent = dict(headers or {})
        if user is not None:
            sent["Authorization"] = f"Bearer {token(user)}"
        how = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        url = self.servers[process].url + path
        async with self.http.request(method, url, headers=sent, **how) as response:
            kind = response.content_type
            read: Json = await (response.json() if kind == "application/json" else response.text())
            return Answer(status=response.status, body=read, headers=response.headers.copy())

    async def group(self, *members: str, id: str | None = None) -> str:  # noqa: A002
        """A new group of these members, under an id of the host application."""
        group = id or new_id()
        made = await self.rest(
            "PUT", f"/api/conversations/{group}", {"kind": "group", "memberIds": list(members)}
        )
        assert made.status == 201, made
        return group

    async def post(self, user: str, conversation: str, content: str, **more: Json) -> Json:
        """The message that this user has sent by REST."""
        path = f"/api/conversations/{quote(conversation, safe='')}/messages"
        sent = await self.rest("POST", path, {"content": content, **more}, user=user)
        assert sent.status in (200, 201), sent
        return sent.body["message"]

    async def stored(self, conversation: str, user: str, *, process: int = 0) -> list[Json]:
        """All messages of a conversation, as REST gives them page by page."""
        messages: list[Json] = []
        more = True
        while more:
            after = messages[-1]["seq"] if messages else 0
            path = f"/api/conversations/{quote(conversation, safe='')}/messages?after={after}&limit=200"
            page = await self.rest("GET", path, user=user, process=process)
            assert page.status == 200, page
            messages += page.body["messages"]
            more = page.body["hasMore"]
        return messages


async def call(client: NodeClient, command: str, **payload: Json) -> Json:
    """The ack of a command that has to succeed."""
    answer = await client.emit_with_ack(command, payload)
    assert answer["success"] is True, answer
    return answer


async def refused(client: NodeClient, command: str, **payload: Json) -> Json:
    """The ack of a command that has to fail."""
    answer = await client.emit_with_ack(command, payload)
    assert answer["success"] is False, answer
    return answer


async def join(client: NodeClient, conversation: str, **more: Json) -> Json:
    """Join in `/messaging`; the ack."""
    return await call(client, "join-conversation", conversationId=conversation, **more)


async def say(client: NodeClient, conversation: str, content: str, **more: Json) -> Json:
    """Send in `/messaging`; the stored message."""
    ack = await call(client, "send-message", conversationId=conversation, content=content, **more)
    return ack["message"]


async def heard(client: NodeClient, content: str, *, timeout: float = 10.0, since: int = 0) -> Json:
    """The message of this content, once the client hears it in `/messaging`."""
    seen = await client.wait_for(
        "new-message", where=lambda seen: seen.data["content"] == content, timeout=timeout, since=since
    )
    return seen.data


def contents(client: NodeClient) -> list[str]:
    """The contents of all messages that the client has heard in `/messaging`."""
    return [seen.data["content"] for seen in client.events("new-message")]


async def eventually(
    condition: Callable[[], Awaitable[bool]], seconds: float = 10.0, *, every: float = 0.1
) -> None:
    """Wait until a condition holds; AssertionError when it does not within the limit."""
    limit = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < limit, f"not within {seconds} s"
        await asyncio.sleep(every)
