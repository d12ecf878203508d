"""P5: every reader of a conversation sees the same dense order, wherever it is written."""

from __future__ import annotations

from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.record import complaints, now

SENDERS = [f"sender{n}" for n in range(50)]


async def attempt(trial: Trial) -> Verdict:
    """Fifty send into one conversation at two processes."""
    messages = trial.scale(short=1_500, quick=6_000, full=20_000)
    first, second = await trial.stage.pair()
    people = await trial.stage.crowd(first.url, second.url)
    await people.group("1", "reader", *SENDERS)
    readers = await people.readers("reader", "1")
    started = now()
    async with people.sending(SENDERS, "1") as record:
        await record.reach(messages, 600)
        rate = messages / (now() - started)
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), 30)
    return Verdict(
        load=f"{len(SENDERS)} senders, {len(readers)} readers, 2 processes",
        faults="none but haste",
        figures={
            "stored": len(stored),
            "acked/s": rate,
            "latest delivery s": max(reader.latest(record) for reader in readers),
        },
        complaints=complaints(record, stored, readers),
    )
