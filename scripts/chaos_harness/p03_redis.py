"""P3: no acked message is lost, and none is slow, while Redis is away; and all is live again soon after."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import redis

from scripts.chaos_harness.people import Crowd
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.proxy import Proxy
from scripts.chaos_harness.record import Reader, Record, complaints, now
from tests.servers import RedisServer

SENDERS = [f"sender{n}" for n in range(20)]
ACK_SECONDS = 0.5
LIVE_SECONDS = 5.0
AT_ONCE_SECONDS = 1.0
"""What a message may take to the other process and still have come live, not by comparing with the store."""
AFTER_SECONDS = LIVE_SECONDS + 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A Redis behind a proxy, and for how long it is away."""

    server: RedisServer
    proxy: Proxy
    away_seconds: float


Fault = Callable[[Place], Awaitable[None]]


async def _restart(place: Place) -> None:
    await to_thread(place.server.restart)


async def _flush(place: Place) -> None:
    await to_thread(_flush_all, place.server)


def _flush_all(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        client.flushall()


async def _swallow(place: Place) -> None:
    place.proxy.swallowing = True
    await asyncio.sleep(place.away_seconds)
    place.proxy.swallowing = False
    place.proxy.reset()


async def _stop(place: Place) -> None:
    await to_thread(place.server.stop)
    await asyncio.sleep(place.away_seconds)
    await to_thread(place.server.start)


FAULTS: Mapping[str, Fault] = {
    "restart": _restart,
    "FLUSHALL and CLIENT KILL": _flush,
    "black hole": _swallow,
    "stop": _stop,
}


async def attempt(trial: Trial) -> Verdict:
    """Redis restarts, forgets, swallows, is away, while twenty send at two processes."""
    away = trial.scale(short=2.0, quick=8.0, full=30.0)
    names = trial.scale(short=["black hole"], quick=list(FAULTS), full=list(FAULTS) * 3)
    server = await trial.stage.redis()
    proxy = await trial.stage.proxy(Proxy(server.port))
    place = Place(server=server, proxy=proxy, away_seconds=away)
    first, second = await trial.stage.pair(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
    people = await trial.stage.crowd(first.url, second.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    live_after, slow = 0.0, dict.fromkeys(names, 0.0)
    async with people.sending(SENDERS, "1", together=1, pause=0.1) as record:
        await record.more(300, 30)
        quiet = record.wait_p99()
        for name in names:
            begun = now()
            await FAULTS[name](place)
            healed = now()
            await asyncio.sleep(AFTER_SECONDS)
            slow[name] = max(slow[name], record.wait_p99(begun, now()))
            live_after = max(live_after, _live_after(people, record, readers, healed))
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 15)
    found = complaints(record, stored, readers)
    for name, seconds in slow.items():
        at_most(found, f"ack p99 s during {name}", seconds, trial.latency(ACK_SECONDS))
    at_most(found, "live again after s", live_after, trial.limit(LIVE_SECONDS))
    if record.refused or record.unknown:
        found.append(f"refused {dict(record.refused)}, unanswered {record.unknown}")
    return Verdict(
        load=f"{len(SENDERS)} senders, {len(readers)} readers, 2 processes",
        faults=", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))
        + f"; away for {away:.0f} s",
        figures={
            "acked": len(record.acked),
            "ack p99 s before": quiet,
            **{f"ack p99 s during {name}": seconds for name, seconds in slow.items()},
            "live again after s": live_after,
        },
        complaints=found,
    )


def _live_after(people: Crowd, record: Record, readers: Sequence[Reader], healed: float) -> float:
    """How long after the healing a message was acked that still did not come to the other process at once."""
    homes = {user: people.bases[n % len(people.bases)] for n, user in enumerate(SENDERS)}
    late = healed
    for fact in record.acked.values():
        acked = record.acked_at[fact.seq]
        home = homes[(fact.client_id or "").rpartition("-")[0]]
        if healed < acked < now() - AT_ONCE_SECONDS:
            there = [r.seen_at.get(fact.seq, now()) for r in readers if home not in r.name]
            if max(there) - acked > AT_ONCE_SECONDS:
                late = max(late, acked)
    return late - healed
