"""P7: what the bus loses is noticed and read from the store within ten seconds, also at the tail."""

from __future__ import annotations

from scripts.chaos_harness.bus_proxy import BusProxy
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import complaints

SENDERS = [f"sender{n}" for n in range(20)]
SHARE = 0.01
GAP_SECONDS = 10.0
TAIL = 50


async def attempt(trial: Trial) -> Verdict:
    """Lose one in a hundred of all that Redis tells the processes, and all of the last messages."""
    messages = trial.scale(short=1_000, quick=4_000, full=20_000)
    redis = await trial.stage.redis()
    proxy = await trial.stage.proxy(BusProxy(redis.port, trial.chance))
    first, second = await trial.stage.pair(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
    people = await trial.stage.crowd(first.url, second.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    proxy.share = SHARE
    async with people.sending(SENDERS, "1", together=1, pause=0.02) as record:
        await record.reach(messages, 300)
        proxy.share = 1.0  # nobody hears of the last ones
        await record.more(TAIL, 30)
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 2 * GAP_SECONDS)
    late = max(reader.latest(record) for reader in readers)
    gaps = await people.metric("messaging_gaps_filled_total")
    found = complaints(record, stored, readers)
    at_most(found, "latest delivery s", late, trial.limit(GAP_SECONDS))
    if not gaps:
        found.append("nothing was lost")
    return Verdict(
        load=f"{len(SENDERS)} senders, {len(readers)} readers, 2 processes",
        faults=f"{SHARE:.0%} of the bus's messages lost, and all of the last {TAIL}",
        figures={
            "stored": len(stored),
            "messages on the bus": proxy.carried,
            "lost": proxy.lost,
            "gaps filled": int(gaps),
            "latest delivery s": late,
        },
        complaints=found,
    )
