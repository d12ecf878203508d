"""P2: no acked message is lost or doubled when MongoDB's primary changes, and errors are explicit."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Mapping

from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import Record, complaints, now
from scripts.chaos_harness.replica_set import ReplicaSet
from scripts.chaos_harness.stage import database_of

SENDERS = [f"sender{n}" for n in range(20)]
BACK_SECONDS = 15.0
FROZEN_SECONDS = 20.0

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
    silences: dict[str, float] = {}
    async with people.sending(SENDERS, "1", together=2, pause=0.05) as record:
        for name in names:
            silence = await _harm(replica_set, record, FAULTS[name])
            silences[name] = max(silence, silences.get(name, 0.0))
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    found = complaints(record, stored, readers)
    if others := set(record.refused) - {"UNAVAILABLE"}:
        found.append(f"refused with {others}")
    if record.unknown:
        found.append(f"{record.unknown} sends were not answered at all")
    for name, silence in silences.items():
        at_most(found, f"seconds without an ack after {name}", silence, BACK_SECONDS)
    return Verdict(
        load=f"{len(SENDERS)} senders and 4 readers, a replica set of 3",
        faults=", ".join(f"{names.count(name)} × {name}" for name in silences),
        figures={
            "acked": len(record.acked),
            "UNAVAILABLE": record.refused.total(),
            "slowest refusal s": record.slowest_refusal,
            **{f"longest silence s after {name}": silence for name, silence in silences.items()},
        },
        complaints=found,
    )


async def _harm(replica_set: ReplicaSet, record: Record, fault: Fault) -> float:
    """Do the harm and wait until all is well; the longest time without an ack, from the harm on."""
    await record.more(100, 30)
    started = now()
    await fault(replica_set)
    await to_thread(replica_set.wait)
    await record.more(100, 30)
    times = sorted(at for at, _ in record.waits if at > started)
    return max(later - sooner for sooner, later in zip([started, *times], times, strict=False))
