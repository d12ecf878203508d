"""Real socket.io-clients as senders and readers, all in one Node process (tests/node/crowd.js)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from itertools import count
from typing import Any, Protocol, Self

from scripts.chaos_harness.checker import Fact
from scripts.chaos_harness.plain import Pace, Seat
from scripts.chaos_harness.record import Reader, Record
from tests.clients import NodeScript

Json = Any
Notes = Mapping[str, list[Json]]

WEBSOCKET: Mapping[str, Json] = {"transports": ["websocket"]}
POLLING: Mapping[str, Json] = {"transports": ["polling"]}
FINAL_FAREWELL = "io server disconnect"


class Listening(Protocol):
    """Whoever wants to know what a client in the Node process tells."""

    def take(self, notes: Notes) -> None:
        """What is new."""


class NodeProcess:
    """The process, and who is in it."""

    def __init__(self, script: NodeScript) -> None:
        self._script = script
        self._ids = count(1)
        self._listening: dict[str, Listening] = {}
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> Self:
        """A process of its own; `close` it in the end."""
        return cls(await NodeScript.start("crowd.js"))

    async def add(self, kind: str, listening: Listening, /, **options: Json) -> str:
        """A new client; its id."""
        name = f"{kind}{next(self._ids)}"
        self._listening[name] = listening
        await self.tell(kind, name, **options)
        return name

    async def tell(self, op: str, name: str, /, **options: Json) -> None:
        """Give a command to a client."""
        await self._script.send({"op": op, "id": name, **options})

    async def close(self) -> None:
        """End the process, and all clients with it."""
        await self._script.close()
        await self._task

    async def _read(self) -> None:
        async for news in self._script.lines():
            for name, notes in news.items():
                self._listening[name].take(notes)


class NodeSender:
    """A socket.io-client that sends."""

    def __init__(self, seat: Seat, pace: Pace, record: Record) -> None:
        self._seat, self._pace, self._record = seat, pace, record
        self._settled = asyncio.Event()

    async def run(self, node: NodeProcess, options: Mapping[str, Json], stop: asyncio.Event) -> None:
        """Send until told to stop; when this returns, all that was attempted has been acked."""
        seat, pace = self._seat, self._pace
        who = {"url": seat.base, "token": seat.bearer, "options": options, "name": seat.user}
        name = await node.add("sender", self, conversation=seat.conversation, **who, **asdict(pace))
        try:
            await stop.wait()
        finally:
            await node.tell("stop", name)
        await self._settled.wait()

    def take(self, notes: Notes) -> None:
        """What it told."""
        record = self._record
        record.attempted.update(notes.get("attempted", ()))
        record.unknown += len(notes.get("unknown", ()))
        for client_id, number, seq, at, waited in notes.get("acked", ()):
            record.ack(Fact(client_id=client_id, id=str(number), seq=seq), at, waited)
        for code, waited in notes.get("refused", ()):
            record.refuse_one(code, waited)
        if "settled" in notes:
            self._settled.set()


class NodeReader(Reader):
    """A socket.io-client that listens."""

    def __init__(self, name: str, node: NodeProcess) -> None:
        super().__init__(name)
        self._node, self._id = node, ""
        self.refusals: list[str] = []

    async def listen(self, seat: Seat, namespace: str, options: Mapping[str, Json]) -> None:
        """Begin to listen. In `/chat` nobody joins with `after`: who comes back has missed something."""
        who = {"url": seat.base, "token": seat.bearer, "namespace": namespace, "options": options}
        self._id = await self._node.add("reader", self, conversation=seat.conversation, **who)

    async def break_connection(self) -> None:
        """Lose the transport; the client comes back by itself."""
        await self._node.tell("break", self._id)

    def take(self, notes: Notes) -> None:
        """What it told."""
        for client_id, number, seq, at in notes.get("seen", ()):
            self.hear(Fact(client_id=client_id, id=str(number), seq=seq), at)
        if "joined" in notes:
            self.joined.set()
        came = notes.get("came", ())
        self.came += len(came)
        self.recovered += sum(came)
        self.refusals += notes.get("refusals", ())
        for reason, at in notes.get("went", ()):
            self.went_at.append(at)
            self.sent_away += reason == FINAL_FAREWELL
