"""P16: when one process's clock jumps by an hour, the order by seq holds."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

from scripts.chaos_harness.people import Crowd
from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.record import complaints
from scripts.chaos_harness.stage import database_of

SENDERS = [f"sender{n}" for n in range(20)]
JUMPS = (signal.SIGUSR1, signal.SIGUSR2)
"""To one hour ahead, to one hour behind (shifted_clock.py)."""
SHIFTED = ("-m", "scripts.chaos_harness.shifted_clock")


async def attempt(trial: Trial) -> Verdict:
    """Twenty send at two processes, one of whose clocks jumps to and fro."""
    jumps = trial.scale(short=2, quick=6, full=20)
    between = trial.scale(short=200, quick=500, full=1_000)
    mongodb, redis = await trial.stage.mongodb(), await trial.stage.redis()
    shared = {"MONGODB_URI": database_of(mongodb.url), "REDIS_URL": redis.url}
    right = await trial.stage.server(shared)
    wrong = await trial.stage.server(shared, arguments=SHIFTED)
    people = await trial.stage.crowd(right.url, wrong.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    async with people.sending(SENDERS, "1", together=2) as record:
        for number in range(jumps):
            await record.more(between, 60)
            os.kill(wrong.pid, JUMPS[number % 2])
            if number < 4:
                readers += await people.readers("reader", "1", ("websocket",))
        await record.more(between, 60)
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    backwards = await _backwards(people, len(stored))
    found = complaints(record, stored, readers)
    if not backwards:
        found.append("no clock was wrong")
    return Verdict(
        load=f"{len(SENDERS)} senders, {len(readers)} readers, 2 processes",
        faults=f"{jumps} jumps of one process's clock, to one hour ahead and one behind",
        figures={
            "stored": len(stored),
            "later by seq but earlier by time": backwards,
            "refused": record.refused.total(),
        },
        complaints=found,
    )


async def _backwards(people: Crowd, stored: int) -> int:
    """How many messages say that they were sent before the one before them."""
    times: list[str] = []
    while len(times) < stored:
        path = f"/api/conversations/1/messages?after={len(times)}&limit=200"
        times += [message["createdAt"] for message in (await people.rest("GET", path))["messages"]]
    return sum(later < sooner for sooner, later in pairwise(times))
