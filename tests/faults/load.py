"""Load: lean Socket.IO clients, many in one process, which keep a record for the judges of checker.py.

    async with crowd(server.url) as people:
        await people.group("1", "ann", "bob")
        reader = people.reader("bob", "1")
        async with people.sending(["ann"], "1") as record: ...

They speak Socket.IO by hand, over a WebSocket or by polling, come back by themselves after whatever happens,
and send again, with the same client message id, what they got no answer for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp
import orjson

from messaging.tokens import mint
from tests.faults.checker import Fact

SECRET = "a secret of fault tests, long enough for HS256"
NO_LIMIT = "1000000/second"
ENVIRONMENT = {
    "JWT_SECRET": SECRET,
    "METRICS_TOKEN": "metrics",
    "LOG_LEVEL": "WARNING",
    "RATE_LIMIT_MESSAGES": NO_LIMIT,
    "RATE_LIMIT_SIGNALS": NO_LIMIT,
    "RATE_LIMIT_QUERIES": NO_LIMIT,
    "RATE_LIMIT_AUTH_FAILURES": NO_LIMIT,
}
"""For a server under load: no rate limit, and a log that does not fill the disk."""
ANSWER_SECONDS = 12.0
"""After so long without an answer, the outcome of a send is unknown."""
RETRY_SECONDS = 0.1

Json = Any
Hear = Callable[[str, Json], None]


class Gone(Exception):
    """The connection broke, or could not be made."""


def token(user: str, *, role: str = "user") -> str:
    """A token for a server with ENVIRONMENT."""
    return mint(SECRET, user, now=datetime.now(UTC), ttl=timedelta(hours=1), role=role)


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is so; AssertionError when it is not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  nothing tells when another process has done something
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


# --- connections -------------------------------------------------------------------------------------


class Carrier(Protocol):
    """Moves Engine.IO packets. All methods raise Gone when the connection is."""

    async def send(self, packet: str | bytes) -> None: ...

    async def receive(self) -> list[str]: ...

    async def close(self) -> None: ...


class WebSocketCarrier:
    """Packets over a WebSocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, base: str) -> Self:
        query = {"EIO": "4", "transport": "websocket"}
        try:
            return cls(await http.ws_connect(f"{base}/socket.io/", params=query, max_msg_size=0))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Gone(str(error)) from error

    async def send(self, packet: str | bytes) -> None:
        try:
            await (self.ws.send_str(packet) if isinstance(packet, str) else self.ws.send_bytes(packet))
        except (aiohttp.ClientError, OSError) as error:
            raise Gone(str(error)) from error

    async def receive(self) -> list[str]:
        message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Gone(f"closed with {self.ws.close_code}")
        return [message.data]

    async def close(self) -> None:
        await self.ws.close()

    def abort(self) -> None:
        """Break the TCP connection without a word."""
        sock = self.ws.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class PollingCarrier:
    """Packets by long polling."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self._url = http, f"{base}/socket.io/"
        self._query = {"EIO": "4", "transport": "polling"}

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, base: str) -> Self:
        return cls(http, base)

    async def send(self, packet: str | bytes) -> None:
        await self._ask("POST", packet)

    async def receive(self) -> list[str]:
        packets = (await self._ask("GET")).split("\x1e")
        if packets[0][:1] == "0":
            self._query["sid"] = orjson.loads(packets[0][1:])["sid"]
        return packets

    async def close(self) -> None:
        with contextlib.suppress(Gone):
            await self.send("1")

    async def _ask(self, method: str, body: str | bytes | None = None) -> str:
        try:
            async with self._http.request(method, self._url, params=self._query, data=body) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Gone(str(error)) from error
        if answer.status != 200:
            raise Gone(text)
        return text


class Client:
    """One signed-in connection to a namespace."""

    def __init__(self, carrier: Carrier, namespace: str, hear: Hear | None) -> None:
        self.carrier = carrier
        self.gone = asyncio.Event()
        self.disconnected = False
        """Whether the server sent a DISCONNECT packet, after which official clients do not come back."""
        self._namespace = namespace
        self._hear = hear
        self._ids = count()
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        http: aiohttp.ClientSession,
        base: str,
        bearer: str,
        *,
        namespace: str = "/messaging",
        polling: bool = False,
        hear: Hear | None = None,
    ) -> Self:
        """Sign in; Gone when that does not work."""
        async with asyncio.timeout(ANSWER_SECONDS):
            opening = PollingCarrier.open(http, base) if polling else WebSocketCarrier.open(http, base)
            client = cls(await opening, namespace, hear)
            try:
                await client._enter(bearer)
            except BaseException:
                await client.close()
                raise
        return client

    async def _enter(self, bearer: str) -> None:
        await self._take_packets()
        self._reader = asyncio.create_task(self._read())
        await self.say("0", orjson.dumps({"token": bearer}).decode())
        await asyncio.shield(self._entered)

    async def say(self, kind: str, text: str, ack: int | str = "") -> None:
        """Send a Socket.IO packet with this JSON, whatever it is."""
        await self.carrier.send(f"4{kind}{self._namespace},{ack}{text}")

    async def ask(self, event: str, payload: Json = None, *, seconds: float = ANSWER_SECONDS) -> Json:
        """Emit, and give the ack. Gone, or TimeoutError: the outcome is unknown."""
        return await self.ask_raw(orjson.dumps([event, payload]).decode(), seconds=seconds)

    async def ask_raw(self, text: str, *, kind: str = "2", seconds: float = ANSWER_SECONDS) -> Json:
        """Emit this JSON text, and give the ack."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                if self.gone.is_set():
                    raise Gone("already")
                await self.say(kind, text, number)
                return await answer
        finally:
            self._answers.pop(number, None)

    def expect(self, ack: int, answer: asyncio.Future[Json]) -> None:
        """Give the ack of this number, of something sent by hand, to `answer`."""
        self._answers[ack] = answer

    async def close(self) -> None:
        """Leave."""
        with contextlib.suppress(Gone, aiohttp.ClientError, OSError):
            await self.carrier.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._end(Gone("closed"))

    async def _read(self) -> None:
        try:
            while True:
                await self._take_packets()
        except Gone as gone:
            self._end(gone)

    def _end(self, gone: Gone) -> None:
        self.gone.set()
        for waiting in (self._entered, *self._answers.values()):
            if not waiting.done():
                waiting.set_exception(gone)
                waiting.exception()  # somebody may have stopped waiting

    async def _take_packets(self) -> None:
        for packet in await self.carrier.receive():
            if packet == "2":
                await self.carrier.send("3")
            elif packet[:1] == "1":
                raise Gone("closed by the server")
            elif packet[:1] == "4":
                self._take(packet[1], packet[2:].partition(",")[2])

    def _take(self, kind: str, rest: str) -> None:
        match kind:
            case "0":
                self._entered.set_result(None)
            case "1":
                self.disconnected = True
                raise Gone("disconnected")
            case "4":
                raise Gone(f"refused: {rest}")
            case "3":
                number, _, _ = rest.partition("[")
                waiting = self._answers.get(int(number))
                if waiting is not None and not waiting.done():
                    waiting.set_result(orjson.loads(rest[len(number) :])[0])
            case "2" if self._hear is not None:
                name, *args = orjson.loads(rest)
                self._hear(name, args[0] if args else None)


# --- what was attempted, acked and seen --------------------------------------------------------------


@dataclass
class Record:
    """What all senders together know."""

    attempted: set[str] = field(default_factory=set)
    acked: dict[str, Fact] = field(default_factory=dict)
    acked_at: dict[int, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    slowest_refusal: float = 0.0
    contradictions: list[str] = field(default_factory=list)
    """Client message ids that were acked twice with different outcomes."""

    async def reach(self, acked: int, seconds: float) -> None:
        """Wait until so many have been acked."""
        await until(lambda: len(self.acked) >= acked, seconds, f"{acked} acked")

    async def refuse(self, times: int, seconds: float) -> None:
        """Wait until so many sends have been refused."""
        await until(lambda: self.refused.total() >= times, seconds, f"{times} refused")

    def ack(self, message: Json) -> None:
        """A message was acked."""
        fact = fact_of(message)
        assert fact.client_id is not None
        if self.acked.setdefault(fact.client_id, fact) != fact:
            self.contradictions.append(fact.client_id)
        self.acked_at.setdefault(fact.seq, time.monotonic())


def fact_of(message: Json) -> Fact:
    """A message of `/messaging` or REST."""
    return Fact(client_id=message.get("clientMessageId"), id=message["id"], seq=message["seq"])


class Reader:
    """Somebody who hears one conversation, and catches up whenever they come back."""

    def __init__(self, crowd: Crowd, user: str, conversation: str, base: str, *, polling: bool) -> None:
        self.name = f"{user} at {base} by {'polling' if polling else 'websocket'}"
        self.seen: list[Fact] = []
        self.seen_at: dict[int, float] = {}
        self.joined = asyncio.Event()
        self._connect: Callable[[], Awaitable[Client]] = partial(
            crowd.connect, user, base=base, polling=polling, hear=self._heard
        )
        self._conversation = conversation

    @property
    def last_seq(self) -> int:
        return self.seen[-1].seq if self.seen else 0

    async def reach(self, seq: int, seconds: float) -> None:
        """Wait until everything up to `seq` has been heard."""
        await until(lambda: self.last_seq >= seq, seconds, f"{self.name} heard {seq}")

    def latest(self, record: Record) -> float:
        """The most that any message came after its ack, in seconds."""
        return max((at - record.acked_at.get(seq, at) for seq, at in self.seen_at.items()), default=0.0)

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (Gone, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        client = await self._connect()
        try:
            here = {"conversationId": self._conversation, "after": self.last_seq}
            if not (await client.ask("join-conversation", here))["success"]:
                raise Gone("not let in")
            self.joined.set()
            await client.gone.wait()
        finally:
            await client.close()

    def _heard(self, name: str, payload: Json) -> None:
        match name:
            case "new-message":
                messages = [payload]
            case "conversation-history":
                messages = payload["messages"]
            case _:
                return
        for message in messages:
            fact = fact_of(message)
            self.seen.append(fact)
            self.seen_at[fact.seq] = time.monotonic()


class Sender:
    """Somebody who sends until told to stop, and lets nothing rest whose outcome is unknown."""

    def __init__(self, crowd: Crowd, user: str, conversation: str, base: str, record: Record) -> None:
        self._connect: Callable[[], Awaitable[Client]] = partial(crowd.connect, user, base=base)
        self._user = user
        self._conversation = conversation
        self._record = record
        self._client: Client | None = None

    async def run(self, stop: asyncio.Event, *, together: int) -> None:
        """Send, `together` at a time; when this returns, all that was attempted has been acked."""
        numbers = count(1)
        try:
            while not stop.is_set():
                names = [f"{self._user}-{next(numbers)}" for _ in range(together)]
                self._record.attempted.update(names)
                await self._settle(names)
        finally:
            if self._client is not None:
                await self._client.close()

    async def _settle(self, names: list[str]) -> None:
        while names:
            try:
                client = self._client = self._client or await self._connect()
            except (Gone, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            done = await asyncio.gather(*(self._send(client, name) for name in names))
            names = [name for name, acked in zip(names, done, strict=True) if not acked]
            if names:
                await asyncio.sleep(RETRY_SECONDS)

    async def _send(self, client: Client, name: str) -> bool:
        message = {"conversationId": self._conversation, "content": name, "clientMessageId": name}
        started = time.monotonic()
        try:
            ack = await client.ask("send-message", message)
        except (Gone, TimeoutError):
            self._record.unknown += 1
            if self._client is client:
                self._client = None
                await client.close()
            return False
        if not ack["success"]:
            self._record.refused[ack["code"]] += 1
            self._record.slowest_refusal = max(self._record.slowest_refusal, time.monotonic() - started)
            return False
        self._record.ack(ack["message"])
        return True


# --- all of them together ----------------------------------------------------------------------------


class Crowd:
    """Everybody who talks to the servers at `bases`, which are one service."""

    def __init__(self, http: aiohttp.ClientSession, bases: Sequence[str]) -> None:
        self.http = http
        self.bases = bases
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(
        self,
        user: str,
        *,
        base: str | None = None,
        namespace: str = "/messaging",
        polling: bool = False,
        hear: Hear | None = None,
    ) -> Client:
        """A signed-in connection."""
        return await Client.connect(
            self.http,
            base or self.bases[0],
            token(user),
            namespace=namespace,
            polling=polling,
            hear=hear,
        )

    async def rest(self, method: str, path: str, body: Json = None, *, base: str | None = None) -> Json:
        """The answer's body, asked as a service of the host application."""
        headers = {"Authorization": f"Bearer {token('host', role='service')}"}
        url = (base or self.bases[0]) + path
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def group(self, conversation: str, *users: str) -> None:
        """A group with these members."""
        body = {"kind": "group", "memberIds": users}
        await self.rest("PUT", f"/api/conversations/{quote(conversation, safe='')}", body)

    async def metric(self, name: str) -> float:
        """The sum of a metric over all its labels and all servers."""
        total = 0.0
        for base in self.bases:
            headers = {"Authorization": f"Bearer {ENVIRONMENT['METRICS_TOKEN']}"}
            async with self.http.get(f"{base}/metrics", headers=headers) as answer:
                lines = (await answer.text()).splitlines()
            total += sum(
                float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
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

    async def reader(
        self, user: str, conversation: str, *, base: str | None = None, polling: bool = False
    ) -> Reader:
        """Somebody who listens, from the first message on, as long as the crowd lives."""
        reader = Reader(self, user, conversation, base or self.bases[0], polling=polling)
        self._tasks.append(asyncio.create_task(reader.run()))
        async with asyncio.timeout(ANSWER_SECONDS):
            await reader.joined.wait()
        return reader

    @asynccontextmanager
    async def sending(
        self, users: Sequence[str], conversation: str, *, together: int = 4, settle_seconds: float = 30.0
    ) -> AsyncIterator[Record]:
        """All of them send inside the block, spread over the servers; afterwards nothing is unknown."""
        record, stop = Record(), asyncio.Event()
        tasks = [
            asyncio.create_task(
                Sender(self, user, conversation, self.bases[n % len(self.bases)], record).run(
                    stop, together=together
                )
            )
            for n, user in enumerate(users)
        ]
        try:
            yield record
            stop.set()
            async with asyncio.timeout(settle_seconds):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Everybody leaves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def crowd(*bases: str) -> AsyncIterator[Crowd]:
    """A crowd that is gone after the block."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        people = Crowd(http, bases)
        try:
            yield people
        finally:
            await people.close()
