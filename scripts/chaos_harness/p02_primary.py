"""P2: no acked message is lost or doubled when MongoDB's primary changes, and errors are explicit."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import Record, complaints, now
from scripts.chaos_harness.replica_set import ReplicaSet
from scripts.chaos_harness.stage import database_of

SENDERS = [f"sender{n}" for n in range(20)]
BACK_SECONDS = 15.0
WITNESS_SECONDS = 2.0
"""How much later than a plain insert an ack may come, where MongoDB itself took longer than promised."""
FROZEN_SECONDS = 20.0
WITNESSES, WITNESS_PAUSE = 4, 0.1


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Silence:
    """The longest time without an ack, from the harm on, here and for a plain insert."""

    ours: float
    plain: float
    after: str


Fault = Callable[[ReplicaSet], Awaitable[None]]


async def _step_down(replica_set: ReplicaSet) -> None:
    await to_thread(replica_set.step_down)


async def _kill(replica_set: ReplicaSet) -> None:
    primary = await to_thread(replica_set.primary)
    primary.kill()
    await asyncio.sleep(FROZEN_SECONDS)
    await to_thread(primary.start)


async def _freeze(replica_set: ReplicaSet) -> None:
    primary = await to_thread(replica_set.primary)
    primary.pause()
    await asyncio.sleep(FROZEN_SECONDS)
    primary.resume()


FAULTS: Mapping[str, Fault] = {"step-down": _step_down, "kill": _kill, "20 s stop": _freeze}


async def attempt(trial: Trial) -> Verdict:
    """The primary steps down, is killed, is frozen; each time another takes over while twenty send."""
    names = trial.scale(short=["step-down"], quick=list(FAULTS), full=list(FAULTS) * 5)
    replica_set = await trial.stage.replica_set(3)
    server = await trial.stage.server({"MONGODB_URI": database_of(replica_set.url)})
    people = await trial.stage.crowd(server.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    async with (
        witness(replica_set.url) as plain,
        people.sending(SENDERS, "1", together=2, pause=0.05) as record,
    ):
        silences = [await _harm(name, replica_set, record, plain) for name in names]
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    found = complaints(record, stored, readers)
    if others := set(record.refused) - {"UNAVAILABLE"}:
        found.append(f"refused with {others}")
    if record.unknown:
        found.append(f"{record.unknown} sends were not answered at all")
    for silence in silences:
        limit = max(BACK_SECONDS, silence.plain + WITNESS_SECONDS)
        at_most(found, f"seconds without an ack after {silence.after}", silence.ours, limit)
    worst = {
        name: max(silence for silence in silences if silence.after == name)
        for name in FAULTS
        if name in names
    }
    return Verdict(
        load=f"{len(SENDERS)} senders and 4 readers, a replica set of 3",
        faults=", ".join(f"{names.count(name)} × {name}" for name in worst),
        figures={
            "acked": len(record.acked),
            "UNAVAILABLE": record.refused.total(),
            "slowest refusal s": record.slowest_refusal,
            **{f"longest silence s after {name}": silence.ours for name, silence in worst.items()},
            **{f"and of plain PyMongo after {name}": silence.plain for name, silence in worst.items()},
        },
        complaints=found,
    )


async def _harm(name: str, replica_set: ReplicaSet, record: Record, plain: Sequence[float]) -> Silence:
    """Do the harm and wait until all is well."""
    await record.more(100, 30)
    started = now()
    await FAULTS[name](replica_set)
    await to_thread(replica_set.wait)
    await record.more(100, 30)
    return Silence(
        ours=_longest(started, (at for at, _ in record.waits)), plain=_longest(started, plain), after=name
    )


def _longest(started: float, acks: Iterable[float]) -> float:
    """The longest time without an ack since then."""
    times = sorted(at for at in acks if at > started)
    return max(later - sooner for sooner, later in zip([started, *times], [*times, now()], strict=True))


@asynccontextmanager
async def witness(url: str) -> AsyncIterator[Sequence[float]]:
    """When each insert was acked that plain PyMongo makes beside all, with the same limits of time."""
    acks: list[float] = []
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        url, w="majority", journal=True, timeoutMS=4400, serverSelectionTimeoutMS=3000
    )
    async with client:
        inserting = [asyncio.create_task(_insert(client["witness"]["rows"], acks)) for _ in range(WITNESSES)]
        try:
            yield acks
        finally:
            for task in inserting:
                task.cancel()
            await asyncio.wait(inserting)


async def _insert(rows: AsyncCollection[dict[str, Any]], acks: list[float]) -> None:
    while True:
        with contextlib.suppress(PyMongoError):
            await rows.insert_one({})
            acks.append(now())
        await asyncio.sleep(WITNESS_PAUSE)
