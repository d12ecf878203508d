"""P1: no acked message is lost when the server is killed, on either store."""

from __future__ import annotations

from asyncio import to_thread
from dataclasses import dataclass

from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.record import Record, complaints
from scripts.chaos_harness.stage import Kind
from tests.servers import ServerProcess

SENDERS = [f"sender{n}" for n in range(20)]
CATCH_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often it is killed, and how many are acked before each kill."""

    kills: int
    between: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of it on one store."""

    acked: int
    unknown: int
    stored: int
    complaints: list[str]


async def attempt(trial: Trial) -> Verdict:
    """`kill -9` at random, again and again, while twenty send."""
    scale = trial.scale(
        short=Scale(kills=2, between=(100, 500)),
        quick=Scale(kills=5, between=(300, 1_500)),
        full=Scale(kills=20, between=(600, 1_600)),
    )
    kinds: tuple[Kind, ...] = ("sqlite", "mongodb")
    seen = {kind: await _on(kind, trial, scale) for kind in kinds}
    return Verdict(
        load=f"{len(SENDERS)} senders and 4 readers, on SQLite and on MongoDB",
        faults=f"{scale.kills} times kill -9 on each",
        figures={
            f"{what} {kind}": getattr(s, what)
            for kind, s in seen.items()
            for what in ("acked", "unknown", "stored")
        },
        complaints=[f"{kind}: {text}" for kind, s in seen.items() for text in s.complaints],
    )


async def _on(kind: Kind, trial: Trial, scale: Scale) -> Seen:
    async with trial.stage.act() as stage:
        server = await stage.server_on(kind)
        people = await stage.crowd(server.url)
        await people.group("1", "reader", *SENDERS)
        readers = await people.readers("reader", "1")
        async with people.sending(SENDERS, "1") as record:
            await _kill_again_and_again(server, record, trial, scale)
        stored = await people.stored("1")
        for reader in readers:
            await reader.reach(len(stored), CATCH_UP_SECONDS)
    found = complaints(record, stored, readers)
    if record.unknown == 0:
        found.append("no kill hit anything")
    return Seen(acked=len(record.acked), unknown=record.unknown, stored=len(stored), complaints=found)


async def _kill_again_and_again(server: ServerProcess, record: Record, trial: Trial, scale: Scale) -> None:
    for _ in range(scale.kills):
        await record.more(trial.chance.randint(*scale.between), 30)
        await to_thread(server.kill)
        await to_thread(server.start)
    await record.more(scale.between[0], 30)
