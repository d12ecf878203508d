"""Socket.IO by hand, for what no public client can be made to do: a frame in pieces, a half-finished sign-in.

Also as the cheapest client there is, where a test needs a hundred of them and what they do is not the point.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol, Self

import aiohttp
import orjson

ANSWER_SECONDS = 12.0
"""After so long without an answer, the outcome of a send is unknown."""

Json = Any
Hear = Callable[[str, Json], None]


class Gone(Exception):
    """The connection broke, or could not be made."""


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

    @property
    def sid(self) -> str:
        """Of the session, once its first answer was received."""
        return self._query["sid"]

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
