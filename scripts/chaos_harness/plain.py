"""Senders and readers over the plain WebSockets and HTTP, by aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from scripts.chaos_harness.by_hand import ANSWER_SECONDS, Gone
from scripts.chaos_harness.checker import Fact
from scripts.chaos_harness.record import Reader, Record, fact_of, now

Json = Any
RETRY_SECONDS = 0.1
PADDING = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tongue:
    """How one of the plain WebSockets joins, and shows a message."""

    path: str
    join: Callable[[str, int], Json] | None
    """What joins a room; None where all is heard unasked."""
    joined: Callable[[Json], bool]
    """Whether a frame says that one hears from here on."""
    message: str
    content: Callable[[Json], Json]
    """What a frame says, from the whole of it."""

    def fact(self, frame: Json) -> Fact:
        """A message. Not every dialect shows client message ids; what is sent here is also the content."""
        said = self.content(frame)
        return Fact(client_id=said["content"].rstrip(PADDING), id=str(said["id"]), seq=said["seq"])


WS_CHAT = Tongue(
    path="/ws/chat",
    join=lambda room, after: {"type": "join_room", "data": {"room": room, "after": after}},
    joined=lambda frame: frame["type"] == "join_room_ack",
    message="room_message",
    content=lambda frame: frame["data"],
)
ROOMS = Tongue(
    path="/ws/rooms",
    join=lambda room, after: {"type": "join", "room": room, "after": after},
    joined=lambda frame: frame["type"] == "joined",
    message="message",
    content=lambda frame: frame,
)
UNIFIED = Tongue(
    path="/ws",
    join=None,
    joined=lambda frame: frame["type"] == "connection_event" and frame["payload"]["event"] == "synced",
    message="group_message",
    content=lambda frame: {**frame["payload"], "id": frame["payload"]["message_id"]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who somebody is, and where they talk."""

    http: aiohttp.ClientSession
    base: str
    user: str
    bearer: str
    conversation: str

    @asynccontextmanager
    async def connection(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A connection; Gone when there is none."""
        url = f"{self.base}{path}?token={self.bearer}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ws = await self.http.ws_connect(url, max_msg_size=0)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Gone(str(error)) from error
        try:
            yield ws
        finally:
            await ws.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How somebody sends: so many messages at a time, so many seconds of rest after them, how long ones."""

    together: int
    pause: float
    size: int = 0


async def next_frame(ws: aiohttp.ClientWebSocketResponse, seconds: float | None = None) -> Json:
    """The next frame; Gone when the connection is, or nothing comes."""
    try:
        message = await ws.receive(seconds)
    except TimeoutError as error:
        raise Gone("silence") from error
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise Gone(f"closed with {ws.close_code}")
    return orjson.loads(message.data)


async def say(ws: aiohttp.ClientWebSocketResponse, frame: Json) -> None:
    """Send a frame; Gone when the connection is."""
    try:
        await ws.send_str(orjson.dumps(frame).decode())
    except (aiohttp.ClientError, OSError) as error:
        raise Gone(str(error)) from error


class PlainReader(Reader):
    """Somebody who listens over a plain WebSocket, until cancelled."""

    def __init__(self, name: str, seat: Seat, tongue: Tongue) -> None:
        super().__init__(name)
        self._seat, self._tongue = seat, tongue
        self.close_codes: list[int | None] = []

    async def run(self) -> None:
        """Listen, and come back whatever happens."""
        while True:
            try:
                async with self._seat.connection(self._tongue.path) as ws:
                    await self._listen(ws)
            except Gone:
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.came += 1
        if self._tongue.join is not None:
            await say(ws, self._tongue.join(self._seat.conversation, self.last_seq))
        try:
            while True:
                frame = await next_frame(ws)
                if frame["type"] == self._tongue.message:
                    self.hear(self._tongue.fact(frame), now())
                elif self._tongue.joined(frame):
                    self.joined.set()
                elif frame["type"] == "error":
                    raise Gone("not let in")
        finally:
            self.close_codes.append(ws.close_code)
            self.went_at.append(now())


class Sender:
    """Somebody who sends until told to stop, and lets nothing rest whose outcome is unknown."""

    def __init__(self, seat: Seat, pace: Pace, record: Record) -> None:
        self._seat, self._pace, self._record = seat, pace, record

    async def run(self, stop: asyncio.Event) -> None:
        """Send; when this returns, all that was attempted has been acked."""
        numbers = count(1)
        try:
            while not stop.is_set():
                names = [f"{self._seat.user}-{next(numbers)}" for _ in range(self._pace.together)]
                self._record.attempted.update(names)
                await self._settle(names)
                await asyncio.sleep(self._pace.pause)
        finally:
            await self.close()

    async def close(self) -> None:
        """Leave."""

    def _text(self, name: str) -> str:
        return name.ljust(self._pace.size, PADDING)

    async def _settle(self, names: Sequence[str]) -> None:
        while names:
            names = await self._send_all(names)
            if names:
                await asyncio.sleep(RETRY_SECONDS)

    async def _send_all(self, names: Sequence[str]) -> Sequence[str]:
        """Send them; those that were not acked."""
        raise NotImplementedError


class RestSender(Sender):
    """… by HTTP."""

    async def _send_all(self, names: Sequence[str]) -> Sequence[str]:
        acked = await asyncio.gather(*map(self._send, names))
        return [name for name, done in zip(names, acked, strict=True) if not done]

    async def _send(self, name: str) -> bool:
        started = now()
        try:
            status, said = await self._post({"content": self._text(name), "clientMessageId": name})
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            self._record.unknown += 1
            return False
        if status >= 300:
            self._record.refuse_one(said["error"]["code"], now() - started)
            return False
        self._record.ack(fact_of(said["message"]), now(), now() - started)
        return True

    async def _post(self, body: Mapping[str, Json]) -> tuple[int, Json]:
        seat = self._seat
        url = f"{seat.base}/api/conversations/{quote(seat.conversation, safe='')}/messages"
        headers = {"Authorization": f"Bearer {seat.bearer}"}
        limit = aiohttp.ClientTimeout(ANSWER_SECONDS)
        async with seat.http.post(url, json=body, headers=headers, timeout=limit) as answer:
            return answer.status, await answer.json()


class WsChatSender(Sender):
    """… over `/ws/chat`, where what was stored comes back as a frame. One at a time: an error has no name."""

    def __init__(self, seat: Seat, pace: Pace, record: Record) -> None:
        super().__init__(seat, pace, record)
        self._open: Any = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None

    async def close(self) -> None:
        """Leave."""
        if self._open is not None:
            await self._open.__aexit__(None, None, None)
        self._open = self._ws = None

    async def _send_all(self, names: Sequence[str]) -> Sequence[str]:
        for place, name in enumerate(names):
            if not await self._send_or_leave(name):
                return names[place:]
        return ()

    async def _send_or_leave(self, name: str) -> bool:
        try:
            ws = self._ws or await self._enter()
        except Gone:
            await self.close()
            return False
        try:
            return await self._send(ws, name)
        except Gone:
            self._record.unknown += 1
            await self.close()
            return False

    async def _send(self, ws: aiohttp.ClientWebSocketResponse, name: str) -> bool:
        room, started = self._seat.conversation, now()
        body = {"room": room, "content": self._text(name), "client_message_id": name}
        await say(ws, {"type": "room_message", "data": body})
        while True:
            frame = await next_frame(ws, ANSWER_SECONDS)
            if frame["type"] == "error":
                self._record.refuse_one(frame["data"]["code"], now() - started)
                return False
            if frame["type"] == "room_message" and frame["data"].get("client_message_id") == name:
                self._record.ack(WS_CHAT.fact(frame), now(), now() - started)
                return True

    async def _enter(self) -> aiohttp.ClientWebSocketResponse:
        self._open = self._seat.connection(WS_CHAT.path)
        ws: aiohttp.ClientWebSocketResponse = await self._open.__aenter__()
        await say(ws, {"type": "join_room", "data": {"room": self._seat.conversation}})
        while (frame := await next_frame(ws, ANSWER_SECONDS))["type"] != "join_room_ack":
            if frame["type"] == "error":
                raise Gone("not let in")
        self._ws = ws
        return ws
