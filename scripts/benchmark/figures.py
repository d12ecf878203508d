"""Figures: what was measured, how it compares, and how that is shown."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: a figure, and the CPU microseconds that the server took for each unit of work."""

    value: float
    cpu: float = math.nan
    load: float = math.nan
    """How busy the load's core was, from 0 to 1; near 1, the load was the limit."""
    waited: float = math.nan
    """Which part of the time the server was ready to run and its core was taken by neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a figure must be: at least, or at most."""

    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One line of the table: the runs of `name` against those of `peer`, in turn.

    The figure that must reach `required` is the median of the ratios of neighbours; without a peer, or when
    `absolute`, the median of our own values.
    """

    row: str
    unit: str
    name: str
    samples: Sequence[Sample]
    required: Requirement | None
    peer: str | None = None
    peer_samples: Sequence[Sample] = ()
    absolute: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        """The median of the ratios of runs that were neighbours; nan without a peer."""
        pairs = zip(self.samples, self.peer_samples, strict=False)
        return _median([a.value / b.value if b.value else math.nan for a, b in pairs])

    @property
    def cpu_ratio(self) -> float:
        """How many times as much CPU time the peer takes for the same; neighbours hardly change it."""
        pairs = zip(self.samples, self.peer_samples, strict=False)
        return _median([theirs.cpu / ours.cpu for ours, theirs in pairs if ours.cpu])

    @property
    def figure(self) -> float:
        """What the requirement is about."""
        if self.peer is None or self.absolute:
            return _median([sample.value for sample in self.samples])
        return self.ratio

    @property
    def met(self) -> bool | None:
        """Whether it reaches what is required; None when nothing is."""
        return None if self.required is None else self.required.met(self.figure)

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            **dataclasses.asdict(self),
            "required": None if self.required is None else str(self.required),
            "ratio": self.ratio,
            "cpu_ratio": self.cpu_ratio,
            "figure": self.figure,
            "met": self.met,
        }


async def alternate(rounds: int, *runs: Callable[[], Awaitable[Sample]]) -> list[list[Sample]]:
    """Run each in turn, and again; once before, uncounted, so that everybody is warm."""
    samples: list[list[Sample]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, kept in zip(runs, samples, strict=True):
            sample = await run()
            if number > 0:
                kept.append(sample)
    return samples


def table(comparisons: Sequence[Comparison]) -> str:
    """The table, as Markdown."""
    head = (
        *("row", "figure", "required", "met", "by CPU", "ours", "CPU µs", "peer", "its CPU µs"),
        *("load", "waited"),
    )
    lines = [head, tuple("---" for _ in head), *map(_line, comparisons)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def write_json(path: Path, comparisons: Sequence[Comparison], about: dict[str, Any]) -> None:
    """Everything that was measured; what is not a number is null."""
    document = {**about, "rows": [comparison.as_json() for comparison in comparisons]}
    path.write_text(json.dumps(_without_nan(document), indent=2, ensure_ascii=False) + "\n")


def _line(shown: Comparison) -> tuple[str, ...]:
    relative = shown.peer is not None and not shown.absolute
    met = {True: "yes", False: "NO", None: ""}[shown.met]
    return (
        shown.row,
        f"{shown.figure:.2f}×" if relative else f"{_number(shown.figure)} {shown.unit}",
        "" if shown.required is None else str(shown.required),
        met,
        "" if math.isnan(shown.cpu_ratio) else f"{shown.cpu_ratio:.2f}×",
        f"{shown.name} {_value(shown.samples)} {shown.unit}",
        _number(_median([sample.cpu for sample in shown.samples])),
        "" if shown.peer is None else f"{shown.peer} {_value(shown.peer_samples)}",
        _number(_median([sample.cpu for sample in shown.peer_samples])),
        _percent(_median([sample.load for sample in shown.samples])),
        _percent(_median([sample.waited for sample in (*shown.samples, *shown.peer_samples)])),
    )


def _value(samples: Sequence[Sample]) -> str:
    return _number(_median([sample.value for sample in samples]))


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0%}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return value
