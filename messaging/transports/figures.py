"""The figures of several workers as one page of metrics: every series has the label `worker`.

Adding them up is left to who reads them, since a sum falls when one worker starts again.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


def shown(registry: CollectorRegistry, worker: str) -> str:
    """One worker's figures, as it shows them to the others."""
    return f"{worker}\n{generate_latest(registry).decode()}"


def together(pages: Iterable[str]) -> bytes:
    """What the workers showed, as one page (Prometheus text format 0.0.4)."""
    families: dict[str, Metric] = {}
    for page in pages:
        worker, _, text = page.partition("\n")
        for found in text_string_to_metric_families(text):
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                family.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
    registry = CollectorRegistry()
    registry.register(_Found(families.values()))
    return generate_latest(registry)


class _Found(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
