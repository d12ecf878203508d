"""The figures of several workers on one page."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from messaging.gateway.metrics import Metrics
from messaging.transports.figures import shown, together


def test_each_series_is_shown_once_for_each_worker_under_one_heading() -> None:
    first, second = Metrics(), Metrics()
    first.opened("chat")
    second.opened("chat")
    second.opened("chat")
    page = together([shown(first.registry, "0"), shown(second.registry, "1")]).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert len(families) == page.count("# TYPE ")
    found = {sample.labels["worker"]: sample.value for sample in families["messaging_connections"].samples}
    assert found == {"0": 1.0, "1": 2.0}
    assert families["messaging_command_seconds"].type == "histogram"
    opened = families["messaging_connections_opened"]
    assert (opened.type, opened.documentation) == ("counter", "Connections signed in.")
