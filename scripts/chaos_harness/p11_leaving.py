"""P11: leaving means leaving: who was removed, thrown out, or whose token ended, hears nothing more."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.chaos_harness.people import Crowd, Way, token
from scripts.chaos_harness.promise import Size, Trial, Verdict, at_most
from scripts.chaos_harness.record import Reader, Record, now

TALKERS = ["talker0", "talker1", "talker2"]
WAYS: Sequence[Way] = ("websocket", "polling", "chat", "ws-chat", "unified", "rooms")
REMOVED_SECONDS = 1.0
COMPARISON_SECONDS = 3.0
CARRYING_OUT_SECONDS = 0.5
"""What a comparison itself may take."""
LEEWAY_SECONDS = 10.0
TOKEN_SECONDS = 4.0
HAND_SECONDS = 0.1
"""What was already on its way to the client when its token ended."""
WATCH_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Leaver:
    """Somebody who listens on the second process, and until when they may."""

    user: str
    reader: Reader
    end: float = 0.0


async def attempt(trial: Trial) -> Verdict:
    """Remove, disconnect and let expire those who listen on one process, from the other one."""
    rounds = trial.scale(short=1, quick=1, full=10)
    ways = trial.scale(short=WAYS[::3], quick=WAYS, full=WAYS)
    redis = await trial.stage.redis()
    first, second = await trial.stage.pair(redis_url=redis.url)
    people = await trial.stage.crowd(first.url, second.url)
    found: list[str] = []
    figures: dict[str, float] = {}
    await people.group("1", *TALKERS)
    async with people.sending(TALKERS, "1", together=1, pause=0.05, ways=["websocket"]) as record:
        for number in range(rounds):
            if trial.size is not Size.SHORT:
                ended = await _expire(people, record, ways, number)
                _keep(figures, "heard after the token's end and leeway s", ended)
            removed = await _remove(people, record, ways, f"removed{number}-")
            _keep(figures, "heard after removal s", removed)
            thrown = await _disconnect(people, record, ways, f"thrown{number}-")
            _keep(figures, "heard after disconnection s", thrown)
        await to_thread(redis.kill)
        late = await _remove(people, record, ways, "late-")
        _keep(figures, "heard after removal without Redis s", late)
    limits = {
        "heard after the token's end and leeway s": HAND_SECONDS,
        "heard after removal s": REMOVED_SECONDS,
        "heard after disconnection s": REMOVED_SECONDS,
        "heard after removal without Redis s": COMPARISON_SECONDS + CARRYING_OUT_SECONDS,
    }
    for name, limit in limits.items():
        at_most(found, name, figures.get(name, 0.0), trial.limit(limit))
    return Verdict(
        load=f"{len(TALKERS)} senders, {len(ways)} listeners at a time, 2 processes",
        faults=f"{rounds} times: token ends, removed, disconnected by an admin; removed without Redis",
        figures=figures,
        complaints=found,
    )


def _keep(figures: dict[str, float], name: str, value: float) -> None:
    figures[name] = max(value, figures.get(name, 0.0))


async def _listeners(
    people: Crowd, ways: Sequence[Way], prefix: str, bearer_seconds: float | None = None
) -> list[Leaver]:
    users = [f"{prefix}{way}" for way in ways]
    await people.group("1", *TALKERS, *users)
    base = people.bases[1]
    leavers = []
    for user, way in zip(users, ways, strict=True):
        bearer = token(user, seconds=bearer_seconds) if bearer_seconds is not None else None
        reader = await people.reader(user, "1", base=base, way=way, bearer=bearer)
        leavers.append(Leaver(user=user, reader=reader))
    return leavers


def _heard_after(leavers: Sequence[Leaver], record: Record) -> float:
    """How long after their end a message was sent that any of them still heard."""
    late = [
        record.sent_at[seq] - leaver.end
        for leaver in leavers
        for seq, at in leaver.reader.seen_at.items()
        if at > leaver.end and seq in record.sent_at
    ]
    assert all(leaver.reader.seen_at for leaver in leavers), "somebody heard nothing at all"
    return max(0.0, *late, 0.0)


async def _remove(people: Crowd, record: Record, ways: Sequence[Way], prefix: str) -> float:
    leavers = await _listeners(people, ways, prefix)
    await record.more(20, 20)
    for leaver in leavers:
        await people.rest("DELETE", f"/api/conversations/1/members/{leaver.user}")
        leaver.end = now()
    await asyncio.sleep(WATCH_SECONDS)
    return _heard_after(leavers, record)


async def _disconnect(people: Crowd, record: Record, ways: Sequence[Way], prefix: str) -> float:
    leavers = await _listeners(people, ways, prefix)
    await record.more(20, 20)
    for leaver in leavers:
        await people.rest("POST", f"/api/admin/users/{leaver.user}/disconnect", {})
        leaver.end = now()
    await asyncio.sleep(WATCH_SECONDS)
    return _heard_after(leavers, record)


async def _expire(people: Crowd, record: Record, ways: Sequence[Way], number: int) -> float:
    leavers = await _listeners(people, ways, f"expiring{number}-", TOKEN_SECONDS)
    end = now() + TOKEN_SECONDS + LEEWAY_SECONDS  # of the last one; the others' came before
    for leaver in leavers:
        leaver.end = end
    await asyncio.sleep(TOKEN_SECONDS + LEEWAY_SECONDS + WATCH_SECONDS)
    return _heard_after(leavers, record)
