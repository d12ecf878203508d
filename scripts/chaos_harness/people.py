"""Load: people who talk to a service by real and public clients, and keep a record for the judges.

    async with crowd(server.url) as people:
        await people.group("1", "ann", "bob")
        reader = await people.reader("bob", "1")
        async with people.sending(["ann"], "1") as record: ...

They use socket.io-client (all in one Node process), plain WebSockets and HTTP, come back by themselves after
whatever happens, and send again, with the same client message id, what they got no answer for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from typing import Any, Literal
from urllib.parse import quote

import aiohttp

from messaging.tokens import mint
from scripts.chaos_harness.by_hand import ANSWER_SECONDS, Client, Hear
from scripts.chaos_harness.checker import Fact
from scripts.chaos_harness.node import POLLING, WEBSOCKET, NodeProcess, NodeReader, NodeSender
from scripts.chaos_harness.plain import (
    RETRY_SECONDS,
    ROOMS,
    UNIFIED,
    WS_CHAT,
    Pace,
    PlainReader,
    RestSender,
    Seat,
    Tongue,
    WsChatSender,
)
from scripts.chaos_harness.record import Reader, Record, fact_of, until
from tests.http import http_client

SECRET = "a secret of fault tests, long enough also for those who sign with HS512"
NO_LIMIT = "1000000/second"
ENVIRONMENT = {
    "JWT_SECRET": SECRET,
    "METRICS_TOKEN": "metrics",
    "LOG_LEVEL": "WARNING",
    "RATE_LIMIT_MESSAGES": NO_LIMIT,
    "RATE_LIMIT_WS_CHAT": NO_LIMIT,
    "RATE_LIMIT_SIGNALS": NO_LIMIT,
    "RATE_LIMIT_QUERIES": NO_LIMIT,
    "RATE_LIMIT_AUTH_FAILURES": NO_LIMIT,
    "MAX_CONNECTIONS_PER_ADDRESS": "100000",
    "MAX_CONNECTIONS_PER_USER": "100000",
}
"""For a server under load: no rate limit, and a log that does not fill the disk."""

AGAIN = {409, 503}
"""Others change the same just now; the storage does not answer at the moment."""

Json = Any
Way = Literal["websocket", "polling", "upgrading", "chat", "ws-chat", "unified", "rooms", "rest"]
"""How somebody talks: socket.io-client (by WebSocket, by polling, as it is by itself, in `/chat`), a plain
WebSocket, HTTP."""
SENDING: Sequence[Way] = ("websocket", "polling", "ws-chat", "websocket", "rest")
READING: Sequence[Way] = ("websocket", "polling", "ws-chat", "rooms")
LISTENING: Sequence[Way] = (*READING, "chat", "unified")
"""All dialects; the last two cannot ask for all that they missed."""
TRANSPORTS: Mapping[Way, Mapping[str, Json]] = {
    "websocket": WEBSOCKET,
    "polling": POLLING,
    "upgrading": {},
    "chat": WEBSOCKET,
}
TONGUES: Mapping[Way, Tongue] = {"ws-chat": WS_CHAT, "unified": UNIFIED, "rooms": ROOMS}


def token(user: str, *, role: str = "user", seconds: float = 24 * 3600) -> str:
    """A token for a server with ENVIRONMENT."""
    # Made a while ago, so that it is good also where a clock is wrong.
    made, past = datetime.now(UTC), timedelta(hours=2)
    return mint(SECRET, user, now=made - past, ttl=past + timedelta(seconds=seconds), role=role)


class Crowd:
    """Everybody who talks to the servers at `bases`, which are one service."""

    def __init__(self, http: aiohttp.ClientSession, bases: Sequence[str]) -> None:
        self.http = http
        self.bases = bases
        self._node: NodeProcess | None = None
        self._starting = asyncio.Lock()
        self._numbers = count(1)
        self._tasks: list[asyncio.Task[None]] = []

    # --- by hand ---

    async def connect(
        self,
        user: str,
        *,
        base: str | None = None,
        namespace: str = "/messaging",
        polling: bool = False,
        hear: Hear | None = None,
    ) -> Client:
        """A signed-in connection, spoken by hand."""
        return await Client.connect(
            self.http,
            base or self.bases[0],
            token(user),
            namespace=namespace,
            polling=polling,
            hear=hear,
        )

    async def rest(
        self, method: str, path: str, body: Json = None, *, base: str | None = None, tries: int = 50
    ) -> Json:
        """The answer's body, asked as a service of the host application; again where it says so."""
        headers = {"Authorization": f"Bearer {token('host', role='service')}"}
        url = (base or self.bases[0]) + path
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            if answer.status < 300:
                return await answer.json()
            once_more = answer.status in AGAIN and tries > 0
            assert once_more, f"{method} {path}: {await answer.text()}"
        await asyncio.sleep(RETRY_SECONDS)
        return await self.rest(method, path, body, base=base, tries=tries - 1)

    async def group(self, conversation: str, *users: str) -> None:
        """A group with these members."""
        body = {"kind": "group", "memberIds": users}
        await self.rest("PUT", f"/api/conversations/{quote(conversation, safe='')}", body)

    async def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over all its labels (or those lines that say `label`) and all servers."""
        total = 0.0
        for base in self.bases:
            headers = {"Authorization": f"Bearer {ENVIRONMENT['METRICS_TOKEN']}"}
            async with self.http.get(f"{base}/metrics", headers=headers) as answer:
                lines = (await answer.text()).splitlines()
            total += sum(
                float(line.split()[-1])
                for line in lines
                if line.startswith((f"{name} ", f"{name}{{")) and label in line
            )
        return total

    async def stored(self, conversation: str) -> list[Fact]:
        """All that is there, read page by page."""
        facts: list[Fact] = []
        while True:
            place = f"/api/conversations/{quote(conversation, safe='')}/messages"
            after = facts[-1].seq if facts else 0
            page = await self.rest("GET", f"{place}?after={after}&limit=200")
            facts += map(fact_of, page["messages"])
            if not page["hasMore"]:
                return facts

    # --- by public clients ---

    async def node(self) -> NodeProcess:
        """The Node process of this crowd."""
        async with self._starting:
            self._node = self._node or await NodeProcess.start()
        return self._node

    async def reader(
        self,
        user: str,
        conversation: str,
        *,
        base: str | None = None,
        way: Way = "websocket",
        options: Mapping[str, Json] | None = None,
        bearer: str | None = None,
    ) -> Reader:
        """Somebody who listens, from the first message on, as long as the crowd lives."""
        seat = self._seat(user, base or self.bases[0], conversation, bearer)
        name = f"{next(self._numbers)}: {user} at {seat.base} by {way}"
        reader: Reader
        if way in TRANSPORTS:
            namespace = "/chat" if way == "chat" else "/messaging"
            reader = client = NodeReader(name, await self.node())
            await client.listen(seat, namespace, {**TRANSPORTS[way], **(options or {})})
        else:
            reader = plain = PlainReader(name, seat, TONGUES[way])
            self._tasks.append(asyncio.create_task(plain.run()))
        await until(reader.joined.is_set, 2 * ANSWER_SECONDS, f"{name} was let in")
        return reader

    async def readers(self, user: str, conversation: str, ways: Sequence[Way] = READING) -> list[Reader]:
        """One for each way at each server."""
        return [
            await self.reader(user, conversation, base=base, way=way) for base in self.bases for way in ways
        ]

    @asynccontextmanager
    async def sending(
        self,
        users: Sequence[str],
        conversation: str,
        *,
        together: int = 4,
        pause: float = 0.0,
        size: int = 0,
        ways: Sequence[Way] = SENDING,
        settle_seconds: float = 40.0,
    ) -> AsyncIterator[Record]:
        """All of them send inside the block, spread over ways and servers; afterwards nothing is unknown.

        Each sends `together` messages at a time, and rests for `pause` seconds after them.
        """
        record, stop = Record(), asyncio.Event()
        pace = Pace(together=together, pause=pause, size=size)
        seats = (
            self._seat(user, base, conversation) for user, base in zip(users, cycle(self.bases), strict=False)
        )
        tasks = [
            asyncio.create_task(self._send(seat, way, pace, record, stop))
            for seat, way in zip(seats, cycle(ways), strict=False)
        ]
        try:
            yield record
            stop.set()
            async with asyncio.timeout(settle_seconds):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                await _end(task)

    async def _send(self, seat: Seat, way: Way, pace: Pace, record: Record, stop: asyncio.Event) -> None:
        if way in TRANSPORTS:
            await NodeSender(seat, pace, record).run(await self.node(), TRANSPORTS[way], stop)
        elif way == "rest":
            await RestSender(seat, pace, record).run(stop)
        else:
            await WsChatSender(seat, pace, record).run(stop)

    def _seat(self, user: str, base: str, conversation: str, bearer: str | None = None) -> Seat:
        bearer = bearer or token(user)
        return Seat(http=self.http, base=base, user=user, bearer=bearer, conversation=conversation)

    async def close(self) -> None:
        """Everybody leaves."""
        for task in self._tasks:
            await _end(task)
        if self._node is not None:
            await self._node.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait([task])


@asynccontextmanager
async def crowd(*bases: str) -> AsyncIterator[Crowd]:
    """A crowd that is gone after the block."""
    connector = aiohttp.TCPConnector(limit=0)
    async with http_client(connector=connector) as http:
        people = Crowd(http, bases)
        try:
            yield people
        finally:
            await people.close()
