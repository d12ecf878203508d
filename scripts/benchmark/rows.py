"""The rows of the table, each a function under its name; `docs/performance.md` says what each is about."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from scripts.benchmark.clients import Client, Probe, connect_all, leave_all, token
from scripts.benchmark.figures import Comparison, Requirement, Sample, alternate
from scripts.benchmark.peers import (
    NODE,
    OURS,
    PAIRS,
    PLAIN,
    ROOMS,
    SECRET,
    Stage,
    cpu_seconds,
    pair_members,
    resident_bytes,
    tidy,
    waiting_seconds,
)
from scripts.benchmark.search import search
from scripts.benchmark.work import Crew, join_again, sign_in
from tests.servers import ROOT, Server, ServerProcess

ON_SQLITE, AT_INFO = "ours-sqlite", "ours-info"
HISTORY = 50
_ONE_ROOM = ROOMS[0]
_FILES_BESIDE_CONNECTIONS = 100
_PERIOD_SECONDS = 3.0
"""How often a process compares its positions with the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done."""

    seconds: float
    rounds: int
    watchers: int
    idle: int
    leaving: int
    messages: int


TINY = Scale(seconds=0.1, rounds=1, watchers=20, idle=20, leaving=50, messages=2_000)
QUICK = Scale(seconds=0.4, rounds=3, watchers=1_000, idle=300, leaving=600, messages=10_000)
FULL = Scale(seconds=3.0, rounds=5, watchers=1_000, idle=5_000, leaving=20_000, messages=1_000_000)


def at_least(bound: float) -> Requirement:
    return Requirement(bound=bound, at_least=True)


def at_most(bound: float) -> Requirement:
    return Requirement(bound=bound, at_least=False)


# --- who takes part ---


@asynccontextmanager
async def watching(stage: Stage, name: str, watchers: int) -> AsyncIterator[Crew]:
    """So many clients of one public room, of whom the first sends."""
    server = await asyncio.to_thread(stage.peer, name)
    credentials = [token(SECRET, f"watcher{number}") for number in range(watchers)]
    clients = await connect_all(server.port, credentials, _ONE_ROOM)
    yield Crew(stage, server, [(clients[0], _ONE_ROOM)], clients, copies=watchers)
    await leave_all(clients)


@asynccontextmanager
async def talking(stage: Stage, server: Server) -> AsyncIterator[Crew]:
    """Fifty pairs, of each of which the left one sends."""

    async def enter(number: int) -> list[Client]:
        credentials = [token(SECRET, user) for user in pair_members(number)]
        return await connect_all(server.port, credentials, f"pair{number}")

    pairs = await asyncio.gather(*map(enter, range(PAIRS)))
    clients = [client for pair in pairs for client in pair]
    senders = [(clients[2 * number], f"pair{number}") for number in range(PAIRS)]
    yield Crew(stage, server, senders, clients, copies=2)
    await leave_all(clients)


@asynccontextmanager
async def all_talking(stage: Stage, *names: str) -> AsyncIterator[list[Crew]]:
    """The pairs of each of these peers."""
    async with AsyncExitStack() as stack:
        servers = [await asyncio.to_thread(stage.peer, name) for name in names]
        yield [await stack.enter_async_context(talking(stage, server)) for server in servers]


# --- one sender, many watchers ---


async def _fan_out(
    stage: Stage, scale: Scale, row: str, watchers: int, window: int, required: dict[str, float]
) -> list[Comparison]:
    names = [OURS, *required]
    async with AsyncExitStack() as stack:
        crews = [await stack.enter_async_context(watching(stage, name, watchers)) for name in names]
        runs = [partial(crew.deliver, window, scale.seconds) for crew in crews]
        samples = await alternate(scale.rounds, *runs)
    return [
        Comparison(
            row=row,
            unit="deliveries/s",
            name=OURS,
            samples=samples[0],
            peer=peer,
            peer_samples=theirs,
            required=at_least(required[peer]),
        )
        for peer, theirs in zip(required, samples[1:], strict=True)
    ]


async def fan_out_1000(stage: Stage, scale: Scale) -> list[Comparison]:
    return await _fan_out(stage, scale, "fanout-1000", scale.watchers, 4, {NODE: 2.0, PLAIN: 8.0})


async def fan_out_10(stage: Stage, scale: Scale) -> list[Comparison]:
    few = await _fan_out(stage, scale, "fanout-10-window-4", 10, 4, {NODE: 1.2})
    return few + await _fan_out(stage, scale, "fanout-10-window-50", 10, 50, {NODE: 1.2})


# --- durable sends ---


async def _sends(
    stage: Stage, scale: Scale, row: str, names: tuple[str, str], required: float
) -> list[Comparison]:
    async with all_talking(stage, *names) as crews:
        ours, theirs = await alternate(scale.rounds, *(partial(c.send, 2, scale.seconds) for c in crews))
    return [
        Comparison(
            row=row,
            unit="sends/s",
            name=names[0],
            samples=ours,
            peer=names[1],
            peer_samples=theirs,
            required=at_least(required),
        )
    ]


async def durable(stage: Stage, scale: Scale) -> list[Comparison]:
    return await _sends(stage, scale, "durable", (OURS, NODE), 3.0)


async def sqlite(stage: Stage, scale: Scale) -> list[Comparison]:
    return await _sends(stage, scale, "sqlite", (ON_SQLITE, OURS), 1.0)


async def log_level(stage: Stage, scale: Scale) -> list[Comparison]:
    return await _sends(stage, scale, "log-level", (AT_INFO, OURS), 0.85)


async def latency(stage: Stage, scale: Scale) -> list[Comparison]:
    async with all_talking(stage, OURS, NODE) as crews:
        for _ in range(2):  # the second counts: the first warms it up
            top = await crews[1].send(2, scale.seconds)
        rate = top.value / 2
        ours, theirs = await alternate(
            scale.rounds, *(partial(crew.latency, rate, scale.seconds) for crew in crews)
        )
    return [
        Comparison(
            row="latency",
            unit="ms p99",
            name=OURS,
            samples=ours,
            peer=NODE,
            peer_samples=theirs,
            required=at_most(1.0),
            note=f"at {rate:,.0f} sends/s",
        )
    ]


# --- coming, being there, going ---


async def joining(stage: Stage, scale: Scale) -> list[Comparison]:
    async with all_talking(stage, OURS, NODE) as crews:
        for crew in crews:
            await _fill(crew)
        runs = [partial(join_again, stage, c.server, c.senders[:20], scale.seconds) for c in crews]
        ours, theirs = await alternate(scale.rounds, *runs)
    return [_against_node("joining", "joins/s", ours, theirs, at_least(1.0))]


async def _fill(crew: Crew) -> None:
    """Let there be enough to read."""
    for _ in range(HISTORY):
        for client, conversation in crew.senders:
            client.send(conversation)
        for client, _ in crew.senders:
            await client.answered()


async def signing_in(stage: Stage, scale: Scale) -> list[Comparison]:
    servers = [await asyncio.to_thread(stage.peer, name) for name in (OURS, NODE)]
    runs = [partial(sign_in, stage, server, scale.seconds) for server in servers]
    ours, theirs = await alternate(scale.rounds, *runs)
    return [_against_node("sign-in", "sign-ins/s", ours, theirs, at_least(1.0))]


async def memory(stage: Stage, scale: Scale) -> list[Comparison]:
    ours, theirs = [[await _memory(stage, name, scale.idle)] for name in (OURS, NODE)]
    return [_against_node("memory", "KiB/connection", ours, theirs, at_most(1.0))]


async def _memory(stage: Stage, name: str, connections: int) -> Sample:
    with stage.fresh(name) as server:
        first = await connect_all(server.port, _guests("early", connections // 10), *ROOMS)
        before = await _resident(server)
        clients = await connect_all(server.port, _guests("late", connections), *ROOMS)
        grown = await _resident(server) - before
        assert not any(client.lost for client in clients)
        await leave_all([*first, *clients])
    return Sample(value=grown / connections / 1024)


async def _resident(server: ServerProcess) -> int:
    """Bytes, when it has come to rest."""
    await asyncio.sleep(0.7)
    tidy(server)
    await asyncio.sleep(0.3)
    return resident_bytes(server.pid)


def _guests(name: str, count: int) -> list[str]:
    return [token(SECRET, f"{name}{number}") for number in range(count)]


async def leaving(stage: Stage, scale: Scale) -> list[Comparison]:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _FILES_BESIDE_CONNECTIONS
    count = min(scale.leaving, limit)
    # Our users go offline after five seconds: that is watched, too.
    ours, gross = await _leaving(stage, ON_SQLITE, count, 2.0 if scale is TINY else 6.5 + count / 10_000)
    theirs, _ = await _leaving(stage, NODE, count, 1.0 + count / 5_000)
    return [
        Comparison(
            row="leaving",
            unit="ms pause",
            name=OURS,
            samples=[ours],
            peer=NODE,
            peer_samples=[theirs],
            required=at_most(100.0),
            absolute=True,
            note=f"{count:,} connections; with what our server waited for its core {gross * 1e3:.0f} ms",
        )
    ]


async def _leaving(stage: Stage, name: str, count: int, seconds: float) -> tuple[Sample, float]:
    """The longest answer to a probe while they leave and for a while after; and with the neighbours' part."""
    with stage.fresh(name) as server:
        arguments = (str(server.port), str(count), _ONE_ROOM)
        crowd = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.benchmark.crowd", *arguments),
            cwd=ROOT,
            env={**os.environ, "JWT_SECRET": SECRET},
            stdout=subprocess.PIPE,
        )
        try:
            assert crowd.stdout is not None
            assert await crowd.stdout.readline() == b"ready\n", "the crowd did not get in"
            before = cpu_seconds(server.pid)
            net, gross = await _longest_pause(server, crowd, seconds)
        finally:
            if crowd.returncode is None:
                crowd.kill()
            await crowd.wait()
        cpu = (cpu_seconds(server.pid) - before) / count * 1e6
        return Sample(value=net * 1e3, cpu=cpu), gross


async def _longest_pause(
    server: ServerProcess, crowd: asyncio.subprocess.Process, seconds: float
) -> tuple[float, float]:
    probe = Probe(server.port)
    try:
        waited = partial(waiting_seconds, server.pid)
        asking = asyncio.create_task(asyncio.to_thread(probe.longest, seconds, waited))
        await asyncio.sleep(0.3)
        crowd.kill()
        return await asking
    finally:
        probe.close()


# --- between processes ---


async def unwatched(stage: Stage, scale: Scale) -> list[Comparison]:
    # What a process does every few seconds by itself has to come as often in the one part as in the other.
    seconds = scale.seconds if scale is TINY else _PERIOD_SECONDS
    rounds = 1 if scale is QUICK else scale.rounds
    with stage.two() as (first, second):
        async with talking(stage, first) as crew:
            await crew.send(2, scale.seconds)
            samples = [await _unwatched(crew, second, seconds) for _ in range(rounds)]
    return [
        Comparison(
            row="unwatched",
            unit="µs/message",
            name=OURS,
            samples=samples,
            required=at_most(1.0),
            note="CPU of the other process, less what it takes when nothing is sent",
        )
    ]


async def _unwatched(crew: Crew, other: Server, seconds: float) -> Sample:
    idle = cpu_seconds(other.pid)
    await asyncio.sleep(seconds)
    start = cpu_seconds(other.pid)
    sample = await crew.send(2, seconds)
    spent = cpu_seconds(other.pid) - start - (start - idle)
    return Sample(
        value=spent / (sample.value * seconds) * 1e6, cpu=sample.cpu, load=sample.load, waited=sample.waited
    )


# --- finding ---


async def searching(stage: Stage, scale: Scale) -> list[Comparison]:
    return await search(stage, scale.messages, scale.rounds)


def _against_node(
    row: str, unit: str, ours: Sequence[Sample], theirs: Sequence[Sample], required: Requirement
) -> Comparison:
    return Comparison(
        row=row, unit=unit, name=OURS, samples=ours, peer=NODE, peer_samples=theirs, required=required
    )


PEERS: dict[str, Sequence[str]] = {
    "fanout-1000": (OURS, NODE, PLAIN),
    "fanout-10": (OURS, NODE),
    "durable": (OURS, NODE),
    "latency": (OURS, NODE),
    "sqlite": (ON_SQLITE, OURS),
    "joining": (OURS, NODE),
    "log-level": (AT_INFO, OURS),
    "sign-in": (OURS, NODE),
}
"""Who serves several rows, and is started once."""

ROWS: dict[str, Callable[[Stage, Scale], Awaitable[list[Comparison]]]] = {
    "fanout-1000": fan_out_1000,
    "fanout-10": fan_out_10,
    "durable": durable,
    "latency": latency,
    "sqlite": sqlite,
    "joining": joining,
    "log-level": log_level,
    "sign-in": signing_in,
    "memory": memory,
    "leaving": leaving,
    "unwatched": unwatched,
    "search": searching,
}
