"""P15: a full disk and a read-only store are told of, never acked, and forgotten without a restart."""

from __future__ import annotations

import resource
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pymongo

from scripts.chaos_harness.checker import Fact
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import Record, complaints, now
from scripts.chaos_harness.stage import Stage, database_of
from tests.servers import MongoServer, ServerProcess

SENDERS = [f"sender{n}" for n in range(20)]
REFUSED_SECONDS = 6.0
BACK_SECONDS = 15.0


@dataclass(slots=True)
class Seen:
    """What came of it."""

    acked: int = 0
    refused: int = 0
    slowest: float = 0.0
    back: float = 0.0


Switch = Callable[[], object]
Place = tuple[ServerProcess, Switch, Switch]
"""A server, what takes its storage away, and what gives it back."""


async def _full_disk(stage: Stage) -> Place:
    """No file of the server may grow beyond the largest that there is, as by a quota."""
    server = await stage.server()

    def fill() -> None:
        limit_files(server, max(file.stat().st_size for file in (server.folder / "data").iterdir()))

    return server, fill, lambda: limit_files(server, resource.RLIM_INFINITY)


def limit_files(server: ServerProcess, size: int) -> None:
    """Let no file of the server grow beyond this size."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def _read_only(stage: Stage) -> Place:
    """MongoDB refuses all writes of users, as hosts do when a disk is full."""
    mongodb = await stage.mongodb()
    server = await stage.server({"MONGODB_URI": database_of(mongodb.url)})
    return server, lambda: block_writes(mongodb, block=True), lambda: block_writes(mongodb, block=False)


def block_writes(mongodb: MongoServer, *, block: bool) -> None:
    """Make it read-only, or no longer."""
    with pymongo.MongoClient[dict[str, Any]](mongodb.url) as client:
        client.admin.command({"setUserWriteBlockMode": 1, "global": block})


PLACES: Sequence[tuple[str, Callable[[Stage], Awaitable[Place]]]] = (
    ("full disk, SQLite", _full_disk),
    ("read-only MongoDB", _read_only),
)


async def attempt(trial: Trial) -> Verdict:
    """Take away what the storage needs for writing, and give it back."""
    rounds = trial.scale(short=1, quick=2, full=10)
    seen, found = Seen(), []
    for name, make in PLACES:
        async with trial.stage.act() as stage:
            found += [f"{name}: {text}" for text in await _on(stage, await make(stage), rounds, seen)]
    at_most(found, "slowest refusal s", seen.slowest, trial.limit(REFUSED_SECONDS))
    at_most(found, "acks again after s", seen.back, trial.limit(BACK_SECONDS))
    return Verdict(
        load=f"{len(SENDERS)} senders and 4 readers",
        faults=f"{rounds} times a full disk under SQLite, and a read-only MongoDB",
        figures={
            "acked": seen.acked,
            "refused": seen.refused,
            "slowest refusal s": seen.slowest,
            "acks again after s": seen.back,
        },
        complaints=found,
    )


async def _on(stage: Stage, place: Place, rounds: int, seen: Seen) -> list[str]:
    server, take_away, give_back = place
    people = await stage.crowd(server.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    async with people.sending(SENDERS, "1", together=2) as record:
        for _ in range(rounds):
            await record.more(200, 30)
            await to_thread(take_away)
            await record.refuse(record.refused.total() + 2 * len(SENDERS), 30)
            await to_thread(give_back)
            started = now()
            await record.more(1, 60)
            seen.back = max(seen.back, now() - started)
            await record.more(200, 60)
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    return _judged(record, stored, seen) + complaints(record, stored, readers)


def _judged(record: Record, stored: Sequence[Fact], seen: Seen) -> list[str]:
    seen.acked += len(record.acked)
    seen.refused += record.refused.total()
    seen.slowest = max(seen.slowest, record.slowest_refusal)
    found = []
    if set(record.refused) != {"UNAVAILABLE"}:
        found.append(f"refused with {dict(record.refused)}")
    if record.unknown:
        found.append(f"{record.unknown} sends were not answered at all, of {len(stored)}")
    return found
