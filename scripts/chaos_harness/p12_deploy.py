"""P12: a deploy loses nothing: SIGTERM under load, whatever the clients are like."""

from __future__ import annotations

from asyncio import to_thread
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from messaging.transports.line import STUCK_SECONDS
from scripts.chaos_harness.hostile import KINDS, hostile
from scripts.chaos_harness.plain import PlainReader
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import Lateness, Reader, complaints, now
from scripts.chaos_harness.stage import Kind
from tests.servers import ServerProcess

SENDERS = [f"sender{n}" for n in range(20)]
OUT_SECONDS = 20.0
RESTARTING, CUT = 1012, 1006


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often it is deployed on each store, how many listen well and badly, and how long senders rest:
    everybody who listens hears each of them, and it is not the harness that is to be tried."""

    deploys: int
    readers: int
    hostile: int
    pause: float = 0.0


@dataclass(slots=True)
class Seen:
    """What came of it."""

    out: float = 0.0
    spread: float = 0.0
    acked: int = 0
    late: float = 0.0
    """How late the harness got its turn."""
    cut: int = 0
    """How many connections were cut off that did not answer a goodbye in time."""


async def attempt(trial: Trial) -> Verdict:
    """Stop and start it again and again while many send, listen, and do nothing of what they should."""
    scale = trial.scale(
        short=Scale(deploys=1, readers=3, hostile=1),
        quick=Scale(deploys=1, readers=12, hostile=5),
        full=Scale(deploys=5, readers=50, hostile=15, pause=2.0),
    )
    kinds: tuple[Kind | Literal["two workers"], ...] = ("sqlite", "mongodb", "two workers")
    seen, found = Seen(), []
    for kind in kinds:
        found += [f"{kind}: {text}" for text in await _on(kind, trial, scale, seen)]
    return Verdict(
        load=f"{len(SENDERS)} senders, {4 * scale.readers} readers, on SQLite, on MongoDB, with two workers",
        faults=f"{scale.deploys} times SIGTERM on each, with {KINDS * scale.hostile + 1} hostile clients",
        figures={
            "acked": seen.acked,
            "out after s": seen.out,
            "clients sent away within s": seen.spread,
            "harness late by s": seen.late,
            "cut off for it": seen.cut,
        },
        complaints=found,
    )


async def _on(kind: Kind | Literal["two workers"], trial: Trial, scale: Scale, seen: Seen) -> list[str]:
    async with trial.stage.act() as stage:
        server = await (stage.workers() if kind == "two workers" else stage.server_on(kind))
        people = await stage.crowd(server.url)
        villains = [f"villain{n}" for n in range(scale.hostile)]
        await people.group("1", "reader", *SENDERS, *villains)
        readers = [reader for _ in range(scale.readers) for reader in await people.readers("reader", "1")]
        found: list[str] = []
        async with people.sending(SENDERS, "1", together=2, pause=scale.pause) as record:
            for _ in range(scale.deploys):
                async with hostile(server.url, people, villains):
                    await record.more(100, 60)
                    found += await _deploy(server, readers, seen)
                await record.more(100, 60)
        stored = await people.stored("1")
        for reader in readers:
            await reader.reach(len(stored), 30)
    seen.acked += len(record.acked)
    if others := set(record.refused) - {"UNAVAILABLE"}:
        found.append(f"refused with {others}")
    at_most(found, "out after s", seen.out, OUT_SECONDS)
    return found + complaints(record, stored, readers)


async def _deploy(server: ServerProcess, readers: list[Reader], seen: Seen) -> list[str]:
    """Stop it and start it again; what is wrong with how it went."""
    for reader in readers:
        reader.went_at.clear()
        if isinstance(reader, PlainReader):
            reader.close_codes.clear()
    started = now()
    async with Lateness().measured() as lateness:
        code = await to_thread(server.stop)
    seen.out = max(seen.out, now() - started)
    seen.late = max(seen.late, lateness.most)
    await to_thread(server.start)
    found = [f"exit code {code}"] if code else []
    times = [reader.went_at[0] for reader in readers if reader.went_at]
    seen.spread = max(seen.spread, max(times) - min(times) if times else 0.0)
    codes = Counter(
        c for reader in readers if isinstance(reader, PlainReader) for c in reader.close_codes[:1]
    )
    if lateness.most > STUCK_SECONDS:
        seen.cut += codes.pop(CUT, 0)
    if set(codes) != {RESTARTING}:
        found.append(f"plain WebSockets were closed with {dict(codes)}")
    if away := sum(reader.sent_away for reader in readers):
        found.append(f"{away} socket.io-clients were told never to come back")
    return found
