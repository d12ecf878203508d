"""Tallies: counters and histograms for one thread, which cost less than what they count.

Prometheus's own take a lock each time, and look for the bucket from the first one on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Count:
    """How often something happened."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """It happened again."""
        self.value += amount


class Tally(Collector):
    """Counts, one for each combination of the labels' values; the only one where there are no labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: dict[tuple[str, ...], Count] = {} if labels else {(): Count()}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """The count for these values of the labels."""
        count = self._counts.get(values)
        if count is None:
            count = self._counts[values] = Count()
        return count

    def inc(self, amount: float = 1.0) -> None:
        """The only one rises."""
        self.labels().inc(amount)

    def collect(self) -> Iterable[Metric]:
        """As registries ask."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count.value)
        yield family


class Times:
    """How long something took, each time."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took this long."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds


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
        self._times: dict[tuple[str, ...], Times] = {} if labels else {(): Times(self._bounds)}
        registry.register(self)

    def labels(self, *values: str) -> Times:
        """The times for these values of the labels."""
        times = self._times.get(values)
        if times is None:
            times = self._times[values] = Times(self._bounds)
        return times

    def observe(self, seconds: float) -> None:
        """The only one took this long."""
        self.labels().observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """As registries ask."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, times in self._times.items():
            family.add_metric(values, self._buckets(times), times.sum)
        yield family

    def _buckets(self, times: Times) -> list[tuple[str, float]]:
        """Each bound with how many took at most so long."""
        reached, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), times.counts, strict=True):
            reached += count
            buckets.append((bound, float(reached)))
        return buckets
