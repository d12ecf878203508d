"""The four judges of what a fault may not do: lose, invent, double, disorder. Pure.

*Acked* is what a client was told is stored, *attempted* all that any client ever sent, *stored* what can be
read back once the fault has healed. A send without an answer is neither acked nor failed: it may be stored or
not, so it counts only among the attempted. Every judge gives its complaints; none means innocent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One message, as an ack, an event or a history page tells of it."""

    client_id: str | None
    id: str
    seq: int


def lost(acked: Iterable[Fact], stored: Iterable[Fact]) -> list[Fact]:
    """What was acked and is not there, or is there as something else than the ack said."""
    there = set(stored)
    return [fact for fact in acked if fact not in there]


def phantom(stored: Iterable[Fact], attempted: Collection[str]) -> list[Fact]:
    """What is there although nobody ever sent it."""
    return [fact for fact in stored if fact.client_id is None or fact.client_id not in attempted]


def doubles(stored: Iterable[Fact]) -> list[str]:
    """The client message ids that are there more than once."""
    counts = Counter(fact.client_id for fact in stored)
    return [name for name, count in counts.items() if name is not None and count > 1]


def disorder(readers: Mapping[str, Sequence[Fact]], *, up_to: int) -> list[str]:
    """Where a reader's seqs do not run 1, 2, 3, … `up_to`, or two readers saw different messages at one."""
    complaints = [text for name, facts in readers.items() for text in _gaps(name, facts, up_to)]
    first: dict[int, Fact] = {}
    for name, facts in readers.items():
        others = [fact for fact in facts if first.setdefault(fact.seq, fact) != fact]
        complaints += [f"{name} saw {fact} where another saw {first[fact.seq]}" for fact in others]
    return complaints


def _gaps(name: str, facts: Sequence[Fact], up_to: int) -> list[str]:
    seqs = [fact.seq for fact in facts]
    expected = list(range(1, up_to + 1))
    if seqs == expected:
        return []
    pairs = enumerate(zip(seqs, expected, strict=False))
    place = next((n for n, (seen, due) in pairs if seen != due), min(len(seqs), len(expected)))
    return [f"{name} saw {len(seqs)} of {up_to}; from place {place} on: {seqs[place : place + 5]}"]
