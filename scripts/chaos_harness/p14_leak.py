"""P14: no leak: who is not a member hears nothing, whoever comes and goes, on every dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.chaos_harness.people import Crowd, Way
from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.record import Reader, Record, now

TALKERS = [f"talker{n}" for n in range(5)]
WAYS: Sequence[Way] = ("websocket", "polling", "chat", "ws-chat", "unified", "rooms")
MAY_TAKE_SECONDS = 1.0
"""A removal on the other process is heard of within this time (P11)."""


@dataclass(slots=True)
class Guest:
    """Somebody who is a member now and then. `away`: from when to when they were none."""

    user: str
    readers: list[Reader]
    away: list[tuple[float, float]] = field(default_factory=list)

    def leaks(self, record: Record, grace: float) -> list[str]:
        """What was said and heard while they were away."""
        return [
            f"{reader.name} heard {seq}, {at - start:.2f} s after a removal"
            for reader in self.readers
            for seq, at in reader.seen_at.items()
            for start, end in self.away
            if start + grace < record.sent_at.get(seq, 0.0) and at < end
        ]


async def attempt(trial: Trial) -> Verdict:
    """Members come and go at random while five send; a stranger listens all the time."""
    changes = trial.scale(short=4, quick=15, full=150)
    ways = trial.scale(short=WAYS[::2], quick=WAYS, full=WAYS)
    first, second = await trial.stage.pair()
    people = await trial.stage.crowd(first.url, second.url)
    users = [f"guest-{way}" for way in ways]
    await people.group("1", *TALKERS, *users)
    guests = [
        Guest(user, [await people.reader(user, "1", base=base, way=way) for base in people.bases])
        for user, way in zip(users, ways, strict=True)
    ]
    stranger = [await people.reader("stranger", "general", way=way) for way in ("rooms", "unified")]
    async with people.sending(TALKERS, "1", together=1, pause=0.03) as record:
        await asyncio.gather(*(_come_and_go(trial, people, guest, changes, record) for guest in guests))
    await asyncio.sleep(1)
    leaks = [text for guest in guests for text in guest.leaks(record, trial.limit(MAY_TAKE_SECONDS))]
    leaks += [f"{reader.name} heard {len(reader.seen)} messages" for reader in stranger if reader.seen]
    heard = sum(len(reader.seen_at) for guest in guests for reader in guest.readers)
    return Verdict(
        load=f"{len(TALKERS)} senders, {2 * len(ways)} listeners on all dialects, 2 processes",
        faults=f"{changes * len(guests)} removals and as many additions at random",
        figures={"sent": len(record.acked), "heard by members": heard, "heard by others": len(leaks)},
        complaints=[f"{len(leaks)} leaks, first {leaks[0]}"] if leaks else [],
    )


async def _come_and_go(trial: Trial, people: Crowd, guest: Guest, changes: int, record: Record) -> None:
    place = f"/api/conversations/1/members/{guest.user}"
    chance = trial.chance
    for _ in range(changes):
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        await people.rest("DELETE", place, base=chance.choice(people.bases))
        start = now()
        await asyncio.sleep(chance.uniform(0.2, 3.0))
        guest.away.append((start, now()))
        await people.rest("PUT", place, {}, base=chance.choice(people.bases))
    assert record.acked, "nobody said anything"
