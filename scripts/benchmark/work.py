"""One run of each kind of work against one server, and what it took."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from scripts.benchmark.clients import Client, connect, token, until
from scripts.benchmark.figures import Sample
from scripts.benchmark.peers import SECRET, Stage, cpu_seconds, waiting_seconds
from tests.servers import Server

TICK_SECONDS = 0.001
_SIGNING_IN = 50
"""How many connect together."""
_users = itertools.count()


class Meter:
    """The time that passes, and what server and load take of it."""

    def __init__(self, stage: Stage, server: Server) -> None:
        self._pid, self._load_pids = server.pid, (os.getpid(), *stage.helpers())
        self._server, self._load, self._waited = self._spent()
        self._started = time.perf_counter()

    def _spent(self) -> tuple[float, float, float]:
        load = sum(map(cpu_seconds, self._load_pids))
        return cpu_seconds(self._pid), load, waiting_seconds(self._pid)

    def sample(self, units: int, *, value: float | None = None) -> Sample:
        """So many units have been done; their rate, unless there is another value."""
        seconds = time.perf_counter() - self._started
        server, load, waited = self._spent()
        return Sample(
            value=units / seconds if value is None else value,
            cpu=(server - self._server) / max(1, units) * 1e6,
            load=(load - self._load) / seconds,
            waited=(waited - self._waited) / seconds,
        )


class Crew:
    """Clients of one server, some of whom send to conversations that some of them listen to."""

    def __init__(
        self,
        stage: Stage,
        server: Server,
        senders: Sequence[tuple[Client, str]],
        listeners: Sequence[Client],
        copies: int,
    ) -> None:
        self.stage, self.server, self.copies = stage, server, copies
        self.senders, self.listeners = senders, listeners

    async def send(self, window: int, seconds: float) -> Sample:
        """Messages a second, each sender with `window` in flight; all were acked and delivered."""
        sent, heard = self._sent(), self._heard()
        meter = Meter(self.stage, self.server)
        for client, conversation in self.senders:
            client.begin(conversation, window)
        await asyncio.sleep(seconds)
        for client, _ in self.senders:
            client.end()
        await self._settled(sent, heard)
        return meter.sample(self._sent() - sent)

    async def deliver(self, window: int, seconds: float) -> Sample:
        """The same, counted in deliveries."""
        sample = await self.send(window, seconds)
        return replace(sample, value=sample.value * self.copies, cpu=sample.cpu / self.copies)

    async def latency(self, rate: float, seconds: float) -> Sample:
        """Milliseconds from send to `new-message` at the other's, 99th percentile, at so many a second."""
        timed = self.listeners[1::2]  # the others of each pair
        for client in timed:
            client.latencies = []
        sent, heard = self._sent(), self._heard()
        meter = Meter(self.stage, self.server)
        await self._pace(rate, seconds)
        await self._settled(sent, heard)
        latencies = [one / 1e6 for client in timed for one in client.latencies or ()]
        for client in timed:
            client.latencies = None
        assert len(latencies) >= 2, "too few messages for a percentile"
        return meter.sample(self._sent() - sent, value=statistics.quantiles(latencies, n=100)[98])

    async def _pace(self, rate: float, seconds: float) -> None:
        """Send on schedule, whatever the answers do."""
        start, sent = time.perf_counter(), 0
        turns = itertools.cycle(self.senders)
        while (passed := time.perf_counter() - start) < seconds:
            for client, conversation in itertools.islice(turns, int(passed * rate) - sent):
                client.send(conversation)
                sent += 1
            await asyncio.sleep(TICK_SECONDS)

    async def _settled(self, sent: int, heard: int) -> None:
        expected = heard + (self._sent() - sent) * self.copies
        await until(
            lambda: all(c.acks >= c.sent for c, _ in self.senders) and self._heard() >= expected,
            f"{self.server.name}: acks or deliveries are missing",
        )
        refused = sum(client.refused for client, _ in self.senders)
        lost = sum(client.lost for client in self.listeners)
        surplus = self._heard() - expected
        if refused or lost or surplus:
            raise AssertionError(
                f"{self.server.name}: {refused} refused, {lost} connections lost, {surplus} events too many"
            )

    def _sent(self) -> int:
        return sum(client.sent for client, _ in self.senders)

    def _heard(self) -> int:
        return sum(client.events for client in self.listeners)


async def join_again(
    stage: Stage, server: Server, clients: Sequence[tuple[Client, str]], seconds: float
) -> Sample:
    """Joins a second, each with 50 messages of history; every client leaves and joins again and again."""
    meter = Meter(stage, server)
    end = time.perf_counter() + seconds

    async def cycle(client: Client, conversation: str) -> int:
        joins = 0
        while time.perf_counter() < end:
            client.emit("leave-conversation", conversationId=conversation)
            await client.ask("join-conversation", conversationId=conversation, limit=50)
            joins += 1
        assert not client.refused
        return joins

    joins = await asyncio.gather(*(cycle(*one) for one in clients))
    return meter.sample(sum(joins))


async def sign_in(stage: Stage, server: Server, seconds: float) -> Sample:
    """Connections a second that upgrade and sign in, each a new user, and go away again."""
    credentials = (token(SECRET, f"guest{next(_users)}") for _ in itertools.count())
    ready = list(itertools.islice(credentials, int(4_000 * seconds)))  # made before the clock runs
    meter = Meter(stage, server)
    end = time.perf_counter() + seconds

    async def come_and_go() -> int:
        came = 0
        while time.perf_counter() < end:
            client = await connect(server.port, ready.pop() if ready else next(credentials))
            client.transport.abort()
            came += 1
        return came

    return meter.sample(sum(await asyncio.gather(*(come_and_go() for _ in range(_SIGNING_IN)))))
