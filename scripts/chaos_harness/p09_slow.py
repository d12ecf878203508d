"""P9: clients that stop reading are closed at their bound, and nobody else feels them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from scripts.benchmark.peers import waiting_seconds
from scripts.chaos_harness.deaf import deaf
from scripts.chaos_harness.people import Crowd
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import now
from tests.transports.rfc6455 import established

TALKERS = [f"talker{n}" for n in range(20)]
GONE_SECONDS = 1.0
OTHERS_SECONDS = 0.1
LOOK_SECONDS = 0.05
CLOSED_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many stop reading, how much is said to each of them, and how long the messages are.

    The kernel takes some 2.5 MB for a client that reads nothing before the server's own bound counts.
    """

    slow: int
    bytes_a_second: int
    size: int


async def attempt(trial: Trial) -> Verdict:
    """Let many stop reading while much is said to them; see when each is closed, how others fare."""
    scale = trial.scale(
        short=Scale(slow=10, bytes_a_second=800_000, size=4_000),
        quick=Scale(slow=50, bytes_a_second=300_000, size=4_000),
        full=Scale(slow=200, bytes_a_second=100_000, size=4_000),
    )
    server = await trial.stage.server()
    people = await trial.stage.crowd(server.url)
    slow_users = [f"slow{n}" for n in range(scale.slow)]
    await people.group("1", "reader", *TALKERS, *slow_users)
    readers = await people.readers("reader", "1")
    pause = len(TALKERS) * scale.size / scale.bytes_a_second
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(deaf(server.url, user, plain=n % 2 == 0))
            for n, user in enumerate(slow_users)
        ]
        async with people.sending(TALKERS, "1", together=1, pause=pause, size=scale.size) as record:
            await record.more(200, 30)
            started = now()
            quiet, waited = record.wait_p99(), waiting_seconds(server.pid)
            closed, gone = await _watch(people, sockets)
            waited = (waiting_seconds(server.pid) - waited) / (now() - started)
            rate = record.acked_since(started) * scale.size / (now() - started) / 1000
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    late = max((g - c for c, g in zip(closed, gone, strict=False)), default=0.0)
    ack, delay = record.wait_p99(started), max(reader.delay_p99(record) for reader in readers)
    found = []
    if len(closed) < scale.slow or len(gone) < scale.slow:
        found.append(f"only {len(closed)} were closed, and {len(gone)} connections gone")
    at_most(found, "transport gone s after closing", late, trial.limit(GONE_SECONDS))
    at_most(found, "others' ack p99 s", ack, trial.latency(OTHERS_SECONDS))
    at_most(found, "others' delivery p99 s", delay, trial.latency(OTHERS_SECONDS))
    return Verdict(
        load=f"{len(TALKERS)} senders, {len(readers)} readers, {rate:.0f} KB/s to each",
        faults=f"{scale.slow} clients stop reading",
        figures={
            "closed as too slow": len(closed),
            "transport gone s": late,
            "others' ack p99 s before": quiet,
            "and meanwhile": ack,
            "others' delivery p99 s": delay,
            "the server waited for its core": f"{waited:.0%} of the time",
        },
        complaints=found,
    )


async def _watch(people: Crowd, sockets: Sequence[socket.socket]) -> tuple[list[float], list[float]]:
    """When the server closed each as too slow, and when each connection was gone; both in order of time."""
    closed: list[float] = []
    gone: dict[int, float] = {}
    end = now() + CLOSED_SECONDS
    while (len(closed) < len(sockets) or len(gone) < len(sockets)) and now() < end:
        count = await people.metric("messaging_connections_closed_total", 'reason="too slow"')
        at = now()
        closed += [at] * (int(count) - len(closed))
        for number, each in enumerate(sockets):
            if number not in gone and not established(each):
                gone[number] = at
        await asyncio.sleep(LOOK_SECONDS)
    return closed, sorted(gone.values())
