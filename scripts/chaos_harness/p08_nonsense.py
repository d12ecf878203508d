"""P8: nonsense does no harm: the server lives, a healthy client does not feel it, nothing is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from messaging.dialects.rest import Route
from scripts.benchmark.peers import resident_bytes, waiting_seconds
from scripts.chaos_harness.by_hand import Carrier, Client, Gone, PollingCarrier, WebSocketCarrier
from scripts.chaos_harness.garbage import NAMESPACES, PLAIN, Garbage, path_of
from scripts.chaos_harness.people import Crowd, token
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import complaints, now
from tests.servers import ServerProcess

ATTACKERS = 12
AT_ONCE = 10
"""How many frames an attacker sends before it looks at the clock."""
FRAMES_A_CONNECTION = 200
FRAMES_A_SECOND = 1_500
"""As many as leave the server some time for others."""
HEALTHY_SECONDS = 0.05
BASE_SECONDS = 5.0
WARM_UP_SHARE = 0.2
GROWTH_SHARE, GROWTH_MIB = 0.15, 10.0
"""How much more memory may be in use afterwards."""


@dataclass(slots=True)
class Flood:
    """What the attackers share."""

    people: Crowd
    garbage: Garbage
    chance: random.Random
    wanted: int = 0
    sent: int = 0
    connections: int = 0
    started: float = field(default_factory=now)

    async def send(self, more: int) -> None:
        """Send so many frames, by all attackers together."""
        self.started, self.sent, self.wanted = now(), 0, more
        async with asyncio.TaskGroup() as group:
            for number in range(ATTACKERS):
                group.create_task(self._attack(number))

    async def _attack(self, number: int) -> None:
        ways = (self._socketio, self._socketio, self._polling, self._plain, self._plain, self._rest)
        while self.sent < self.wanted:
            self.connections += 1
            with contextlib.suppress(Gone, aiohttp.ClientError, OSError, TimeoutError):
                await ways[number % len(ways)]()

    async def _goes_on(self) -> bool:
        """Count some frames, and rest where they went too fast; whether more are wanted."""
        self.sent += AT_ONCE
        early = self.sent / FRAMES_A_SECOND - (now() - self.started)
        await asyncio.sleep(max(0.0, early))
        return self.sent < self.wanted

    def _turns(self) -> range:
        return range(FRAMES_A_CONNECTION // AT_ONCE)

    def _mallory(self) -> str:
        return f"mallory{self.chance.randrange(20)}"

    async def _socketio(self) -> None:
        namespace = self.chance.choice(NAMESPACES)
        if self.chance.random() < 0.5:
            client = await self.people.connect(
                f"mallory{self.chance.randrange(20)}", namespace=f"/{namespace}"
            )
            carrier, listening = client.carrier, None
        else:
            carrier = await WebSocketCarrier.open(self.people.http, self.people.bases[0])
            client, listening = None, asyncio.create_task(_ignore(carrier))
        try:
            for _ in self._turns():
                for packet in self.garbage.packets(namespace, AT_ONCE):
                    await carrier.send(packet)
                if not await self._goes_on() or (client is not None and client.gone.is_set()):
                    return
        finally:
            await _leave(client, carrier, listening)

    async def _polling(self) -> None:
        carrier = await PollingCarrier.open(self.people.http, self.people.bases[0])
        await carrier.receive()
        listening = asyncio.create_task(_ignore(carrier))
        try:
            for _ in self._turns():
                packets = self.garbage.packets(self.chance.choice(NAMESPACES), AT_ONCE)
                goes_on = await self._goes_on()
                await carrier.send(b"\x1e".join(_bytes(packet) for packet in packets))
                if not goes_on:
                    return
        finally:
            await _leave(None, carrier, listening)

    async def _plain(self) -> None:
        name = self.chance.choice(list(PLAIN))
        bearer = token(self._mallory())
        url = f"{self.people.bases[0]}{PLAIN[name].path}?token={bearer}"
        async with self.people.http.ws_connect(url, max_msg_size=0) as ws:
            listening = asyncio.create_task(_read_all(ws))
            try:
                for _ in self._turns():
                    for text in self.garbage.frames(name, AT_ONCE):
                        await (ws.send_bytes(text) if isinstance(text, bytes) else ws.send_str(text))
                    if not await self._goes_on() or listening.done():
                        return
            finally:
                listening.cancel()

    async def _rest(self) -> None:
        headers = {"Authorization": f"Bearer {token('host', role='service')}"}
        for route, body in self.garbage.bodies(AT_ONCE):
            await self._ask(route, body, headers)
        await self._goes_on()

    async def _ask(self, route: Route[Any], body: bytes, headers: dict[str, str]) -> None:
        url = self.people.bases[0] + path_of(route, id="nonsense", userId="mallory1")
        with contextlib.suppress(aiohttp.ClientError):
            async with self.people.http.request(route.method, url, data=body, headers=headers) as answer:
                assert answer.status < 500, f"{route.method} {route.path}: {answer.status}"
                await answer.read()


async def attempt(trial: Trial) -> Verdict:
    """Send mutated frames over all transports while one healthy client sends and another listens."""
    frames = trial.scale(short=3_000, quick=40_000, full=1_000_000)
    server = await trial.stage.server()
    people = await trial.stage.crowd(server.url)
    await people.group("1", "ann", "bob")
    reader = await people.reader("bob", "1")
    flood = Flood(people, Garbage(trial.chance), trial.chance)
    async with people.sending(["ann"], "1", together=1, pause=0.05, ways=["websocket"]) as record:
        await record.more(5, 10)
        base = await people.metric("messaging_connections")
        await record.more(60, 30)
        quiet = record.wait_p99()
        before = await _memory_after(flood, int(frames * WARM_UP_SHARE), server, base)
        started, waited = now(), waiting_seconds(server.pid)
        after = await _memory_after(flood, frames - int(frames * WARM_UP_SHARE), server, base)
        healthy = record.wait_p99(started, now())
        waited = (waiting_seconds(server.pid) - waited) / (now() - started)
    stored = await people.stored("1")
    await reader.reach(len(stored), 10)
    found = complaints(record, stored, [reader])
    if "Traceback" in server.log:
        found.append(f"a bug: {server.log[server.log.index('Traceback') :][:1500]}")
    at_most(found, "a healthy client's ack p99 s", healthy, trial.latency(HEALTHY_SECONDS))
    at_most(found, "memory afterwards MiB", after, before * (1 + GROWTH_SHARE) + GROWTH_MIB)
    return Verdict(
        load="one healthy sender and reader",
        faults=f"{frames:,} mutated frames on {flood.connections:,} connections over all transports",
        figures={
            "a healthy client's ack p99 s before": quiet,
            "during": healthy,
            "the server waited for its core": f"{waited:.0%} of the time",
            "memory MiB after a fifth": before,
            "and after all": after,
        },
        complaints=found,
    )


async def _memory_after(flood: Flood, frames: int, server: ServerProcess, base: float) -> float:
    """MiB in use when all nonsense has gone, and every connection with it."""
    await flood.send(frames)
    left = now()
    while await flood.people.metric("messaging_connections") > base:
        assert now() - left < BASE_SECONDS, "connections of nonsense are still counted"
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    return resident_bytes(server.pid) / 2**20


async def _ignore(carrier: Carrier) -> None:
    with contextlib.suppress(Gone):
        while True:
            await carrier.receive()


async def _read_all(ws: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in ws:
        pass


async def _leave(client: Client | None, carrier: Carrier, listening: asyncio.Task[None] | None) -> None:
    if listening is not None:
        listening.cancel()
    with contextlib.suppress(Gone, aiohttp.ClientError, OSError):
        await (client or carrier).close()


def _bytes(packet: str | bytes) -> bytes:
    return packet if isinstance(packet, bytes) else packet.encode(errors="surrogatepass")
