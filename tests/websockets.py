"""Real clients of the plain WebSockets: aiohttp, and npm `ws` in a process of its own.

alice = await Socket.open(WS_CHAT, http, url)
await alice.ask("join_room", room="general")
heard = await alice.hears("room_message", content="Bonjour")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.clients import WAIT_SECONDS, Json, NodeScript

NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How frames of one dialect are put together and taken apart."""

    path: str
    body: str | None
    """Under which key a frame's body is; None: beside its `type`."""
    answers: Mapping[str, str]
    """The type of the frame that answers a command, for those that are answered under another name."""

    def frame(self, name: str, body: Json, **more: Json) -> Json:
        """A frame to be sent."""
        return {"type": name, **(body if self.body is None else {self.body: body}), **more}

    def content(self, frame: Json) -> Json:
        """What a frame says."""
        return frame if self.body is None else frame[self.body]


WS_CHAT = Protocol(
    path="/ws/chat",
    body="data",
    answers={
        "join_room": "join_room_ack",
        "leave_room": "leave_room_ack",
        "room_history": "message_history",
        "dm_history": "message_history",
        "authenticate": "authenticate_ack",
        "ping": "pong",
    },
)
UNIFIED = Protocol(
    path="/ws",
    body="payload",
    answers={"authenticate": "authenticated", "group_join": "group_updated", "ping": "pong"},
)
ROOMS = Protocol(
    path="/ws/rooms",
    body=None,
    answers={"join": "joined", "leave": "left", "authenticate": "authenticated", "ping": "pong"},
)


class Refused(Exception):
    """The upgrade was answered by an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Socket:
    """One connection; `frames` is all that it has heard, oldest first."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.frames: list[Json] = []
        self.close_code: int | None = None
        self.subprotocol: str | None = None
        self.extensions = ""
        """Those that were negotiated, where the client tells."""
        self._changed = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    # --- what a user does ---

    async def send(self, frame: Json) -> None:
        """Send a frame as it is."""
        raise NotImplementedError

    async def do(self, name: str, /, *, meta: Json = None, **body: Json) -> None:
        """Send a command."""
        more = {} if meta is None else {"meta": meta}
        await self.send(self.protocol.frame(name, body, **more))

    async def ask(self, name: str, /, *, meta: Json = None, **body: Json) -> Json:
        """Send a command that has to succeed; the body of what answers it."""
        since = len(self.frames)
        await self.do(name, meta=meta, **body)
        answer = await self.wait_for(self.protocol.answers.get(name, name), "error", since=since)
        assert answer["type"] != "error", answer
        return self.protocol.content(answer)

    async def refused(self, name: str, /, *, meta: Json = None, **body: Json) -> Json:
        """Send a command that has to fail; the body of the error, which is all that answers it. What others
        do may be heard meanwhile."""
        since = len(self.frames)
        await self.do(name, meta=meta, **body)
        await self.do("ping")
        end = await self.wait_for("pong", since=since)
        heard = self.frames[since : self.frames.index(end, since)]
        answers = [frame for frame in heard if frame["type"] in ("error", self.protocol.answers.get(name))]
        assert [frame["type"] for frame in answers] == ["error"], answers
        return self.protocol.content(answers[0])

    async def settled(self) -> None:
        """Wait until all that this process had to say before has been heard."""
        since = len(self.frames)
        await self.do("ping")
        await self.wait_for("pong", since=since)

    async def close(self) -> None:
        """Leave with a goodbye."""
        raise NotImplementedError

    # --- what a user hears ---

    async def wait_for(
        self,
        *names: str,
        where: Callable[[Json], bool] = lambda _: True,
        timeout: float = WAIT_SECONDS,
        since: int = 0,
    ) -> Json:
        """The first frame of these types for which `where` is true, from position `since` on."""

        def found() -> list[Json]:
            return [frame for frame in self.frames[since:] if frame["type"] in names and where(frame)]

        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: bool(found()) or self.close_code is not None)
        except TimeoutError:
            pass
        assert found(), f"no {names}; closed: {self.close_code}; heard: {self.frames[since:][-20:]}"
        return found()[0]

    async def hears(
        self, name: str, /, *, since: int = 0, timeout: float = WAIT_SECONDS, **expected: Json
    ) -> Json:
        """The first frame of a type whose body says all this."""

        def fits(frame: Json) -> bool:
            return bool(self.protocol.content(frame).items() >= expected.items())

        return await self.wait_for(name, where=fits, timeout=timeout, since=since)

    def all(self, name: str, key: str | None = None) -> list[Json]:
        """The bodies of all frames of a type so far, or what they say under `key`."""
        bodies = [self.protocol.content(frame) for frame in self.frames if frame["type"] == name]
        return bodies if key is None else [body[key] for body in bodies]

    async def more(self) -> None:
        """Wait until something else is heard."""
        number = len(self.frames)
        async with asyncio.timeout(WAIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.frames) > number)

    async def closed(self, timeout: float = WAIT_SECONDS) -> int:
        """Wait for the end; its code."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    # --- for those who implement it ---

    async def _heard(self, frame: Json) -> None:
        async with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()

    async def _ended(self, code: int) -> None:
        async with self._changed:
            self.close_code = code
            self._changed.notify_all()


class PythonSocket(Socket):
    """An aiohttp client."""

    def __init__(self, protocol: Protocol, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(protocol)
        self.ws = ws
        self.subprotocol = ws.protocol
        self.extensions = "permessage-deflate" if ws.compress else ""
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        protocol: Protocol,
        http: aiohttp.ClientSession,
        url: str,
        *,
        protocols: Sequence[str] = (),
        headers: Mapping[str, str] = NO_NAMES,
    ) -> Self:
        """Connect; Refused when the upgrade is."""
        try:
            ws = await http.ws_connect(url, protocols=protocols, headers=headers, compress=15, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from None
        return cls(protocol, ws)

    async def send(self, frame: Json) -> None:
        """Send a frame as it is."""
        await self.ws.send_json(frame)

    async def close(self) -> None:
        """Leave with a goodbye."""
        await self.ws.close()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        async for message in self.ws:
            await self._heard(json.loads(message.data))
        await self._ended(self.ws.close_code or 1006)


class NodeSocket(Socket):
    """A client of npm `ws`; `script` is its process."""

    def __init__(self, protocol: Protocol, script: NodeScript) -> None:
        super().__init__(protocol)
        self.script = script
        self._first: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        protocol: Protocol,
        url: str,
        *,
        protocols: Sequence[str] = (),
        headers: Mapping[str, str] = NO_NAMES,
    ) -> Self:
        """Connect; Refused when the upgrade is."""
        script = await NodeScript.start("websocket.js", url, *protocols, headers=headers)
        socket = cls(protocol, script)
        first = await asyncio.wait_for(socket._first, WAIT_SECONDS)
        if first["kind"] != "open":
            await socket.close()
            raise Refused(first.get("status", 0))
        socket.subprotocol, socket.extensions = first["protocol"] or None, first["extensions"]
        return socket

    async def send(self, frame: Json) -> None:
        """Send a frame as it is."""
        await self.script.send(frame)

    async def close(self) -> None:
        """Leave with a goodbye, and end the process."""
        if self.close_code is None and self._first.done() and self._first.result()["kind"] == "open":
            await self.script.send("close")
            await self.closed()
        await self.script.close()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        async for seen in self.script.lines():
            if not self._first.done():
                self._first.set_result(seen)
            if seen["kind"] == "message":
                await self._heard(seen["frame"])
            elif seen["kind"] == "close":
                await self._ended(seen["code"])
        if self.close_code is None:
            await self._ended(1006)
