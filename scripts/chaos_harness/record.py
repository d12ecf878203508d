"""What clients attempted, were told and saw, for the judges of checker.py."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from scripts.chaos_harness.checker import Fact, disorder, doubles, lost, phantom

Json = Any


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is so; AssertionError when it is not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  nothing tells when another process has done something
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


class Lateness:
    """How late this process gets its turn, while somebody else has the core."""

    def __init__(self) -> None:
        self.most = 0.0

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[Self]:
        """Measured inside the block."""
        task = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _look(self) -> None:
        while True:
            asked = now()
            await asyncio.sleep(0.01)
            self.most = max(self.most, now() - asked - 0.01)


def fact_of(message: Json) -> Fact:
    """A message of `/messaging` or REST."""
    return Fact(client_id=message.get("clientMessageId"), id=str(message["id"]), seq=message["seq"])


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass
class Record:
    """What all senders together know. Times are of the clock of `time.monotonic`, of all processes."""

    attempted: set[str] = field(default_factory=set)
    acked: dict[str, Fact] = field(default_factory=dict)
    acked_at: dict[int, float] = field(default_factory=dict)
    """By seq."""
    sent_at: dict[int, float] = field(default_factory=dict)
    """By seq; the last time, of what was sent again."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When each ack came, and how long after its send."""
    refused: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    slowest_refusal: float = 0.0
    contradictions: list[str] = field(default_factory=list)
    """Client message ids that were acked twice with different outcomes."""

    async def reach(self, acked: int, seconds: float) -> None:
        """Wait until so many have been acked."""
        await until(lambda: len(self.acked) >= acked, seconds, f"{acked} acked")

    async def more(self, acked: int, seconds: float) -> None:
        """Wait until so many more have been acked."""
        await self.reach(len(self.acked) + acked, seconds)

    async def refuse(self, times: int, seconds: float) -> None:
        """Wait until so many sends have been refused."""
        await until(lambda: self.refused.total() >= times, seconds, f"{times} refused")

    def ack(self, fact: Fact, at: float, waited: float) -> None:
        """A message was acked."""
        assert fact.client_id is not None
        if self.acked.setdefault(fact.client_id, fact) != fact:
            self.contradictions.append(fact.client_id)
        self.acked_at.setdefault(fact.seq, at)
        self.sent_at.setdefault(fact.seq, at - waited)
        self.waits.append((at, waited))

    def refuse_one(self, code: str, waited: float) -> None:
        """A send was answered with an error."""
        self.refused[code] += 1
        self.slowest_refusal = max(self.slowest_refusal, waited)

    def acked_since(self, since: float) -> int:
        """How many acks came since then."""
        return sum(at >= since for at, _ in self.waits)

    def wait_p99(self, since: float = 0.0, to: float = float("inf")) -> float:
        """The 99th percentile of how long acks took that came within a time, in seconds."""
        return percentile((waited for at, waited in self.waits if since <= at <= to), 0.99)


class Reader:
    """Somebody who hears one conversation, and catches up whenever they come back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Fact] = []
        self.seen_at: dict[int, float] = {}
        self.joined = asyncio.Event()
        self.came = 0
        """How often they connected."""
        self.recovered = 0
        """How often the connection's state was recovered."""
        self.sent_away = 0
        """How often the server said goodbye in a way after which official clients do not come back."""
        self.went_at: list[float] = []
        """When connections ended."""

    @property
    def last_seq(self) -> int:
        """Up to where they have heard."""
        return self.seen[-1].seq if self.seen else 0

    def hear(self, fact: Fact, at: float) -> None:
        """A message came."""
        self.seen.append(fact)
        self.seen_at.setdefault(fact.seq, at)

    async def reach(self, seq: int, seconds: float) -> None:
        """Wait until everything up to `seq` has been heard."""
        await until(lambda: self.last_seq >= seq, seconds, f"{self.name} heard {seq}")

    def delay_p99(self, record: Record) -> float:
        """The 99th percentile of the seconds from a message's sending to its coming here."""
        sent = record.sent_at
        return percentile((at - sent[seq] for seq, at in self.seen_at.items() if seq in sent), 0.99)

    def latest(self, record: Record, since: float = 0.0) -> float:
        """The most that any message, acked since then, came after its ack, in seconds."""
        acked_at = record.acked_at
        lags = (at - acked_at[seq] for seq, at in self.seen_at.items() if acked_at.get(seq, -1.0) >= since)
        return max(lags, default=0.0)


def complaints(record: Record, stored: Sequence[Fact], readers: Iterable[Reader] = ()) -> list[str]:
    """What the four judges say: nothing lost, invented or doubled, and one order for everybody."""
    seen: Mapping[str, Sequence[Fact]] = {reader.name: reader.seen for reader in readers}
    found: dict[str, Sequence[object]] = {
        "lost": lost(record.acked.values(), stored),
        "phantom": phantom(stored, record.attempted),
        "doubled": doubles(stored),
        "acked as two": record.contradictions,
    }
    texts = [f"{len(what)} {name}, first {what[0]}" for name, what in found.items() if what]
    return texts + disorder({"the store": stored, **seen}, up_to=len(stored))[:10]


def now() -> float:
    """The clock of all times here."""
    return time.monotonic()
