"""Tallies: counters and histograms for one thread, which cost less than what they count.

Prometheus's own take a lock each time, and look for the bucket from the first one on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts, one for each combination of the labels' values; the only one where there are no labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: defaultdict[tuple[str, ...], float] = defaultdict(float, {} if labels else {(): 0.0})
        registry.register(self)

    def count(self, *values: str) -> None:
        """It happened again, with these values of the labels."""
        self._counts[values] += 1.0

    def add(self, amount: float, *values: str) -> None:
        """It happened so often."""
        self._counts[values] += amount

    def collect(self) -> Iterable[Metric]:
        """As registries ask."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class _Times:
    """How long something took, each time."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0


class Timing(Collector):
    """Histograms of seconds, one for each combination of the labels' values."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        *,
        bounds: Sequence[float],
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._bounds = tuple(bounds)
        self._times: dict[tuple[str, ...], _Times] = {} if labels else {(): self._new()}
        registry.register(self)

    def _new(self) -> _Times:
        return _Times(len(self._bounds) + 1)

    def observe(self, seconds: float, *values: str) -> None:
        """It took this long, with these values of the labels."""
        times = self._times.get(values)
        if times is None:
            times = self._times[values] = self._new()
        times.counts[bisect_left(self._bounds, seconds)] += 1
        times.sum += seconds

    def collect(self) -> Iterable[Metric]:
        """As registries ask."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, times in self._times.items():
            family.add_metric(values, self._buckets(times), times.sum)
        yield family

    def _buckets(self, times: _Times) -> list[tuple[str, float]]:
        """Each bound with how many took at most so long."""
        reached, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), times.counts, strict=True):
            reached += count
            buckets.append((bound, float(reached)))
        return buckets
