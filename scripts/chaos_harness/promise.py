"""What a promise is to the harness: a function that does the harm and says what came of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from scripts.chaos_harness.stage import Stage

Scale = TypeVar("Scale")


class Size(StrEnum):
    """How much is done: for the tests, in a minute or so, or as promised."""

    SHORT = "short"
    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was seen. Without complaints the promise held."""

    load: str
    faults: str
    figures: Mapping[str, float | int | str]
    complaints: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is to be complained about."""
        return not self.complaints

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {_shown(value)}" for name, value in self.figures.items())
        text = f"{'holds' if self.holds else 'BROKEN'} | {self.load} | {self.faults} | {figures}"
        return "\n    ".join([text, *self.complaints])


@dataclass(slots=True, kw_only=True)
class Trial:
    """All that a promise is tried with."""

    stage: Stage
    size: Size
    chance: random.Random

    def scale(self, *, short: Scale, quick: Scale, full: Scale) -> Scale:
        """How much of something to do."""
        return {Size.SHORT: short, Size.QUICK: quick, Size.FULL: full}[self.size]

    def limit(self, seconds: float) -> float:
        """How long something may take. The tests, which share a busy machine, allow four times as much."""
        return seconds * 4 if self.size is Size.SHORT else seconds

    def latency(self, seconds: float) -> float:
        """How long an answer may take: there, it is the neighbours who decide that. Twenty times as long."""
        return seconds * 20 if self.size is Size.SHORT else seconds


Try = Callable[[Trial], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise by its name."""

    name: str
    text: str
    attempt: Try
    alone: bool = False
    """Whether its limits are so short that nothing else may be tried beside it."""


def at_most(complaints: list[str], what: str, value: float, limit: float) -> None:
    """Complain where a figure is over its limit."""
    if value > limit:
        complaints.append(f"{what}: {_shown(value)}, promised {_shown(limit)}")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
