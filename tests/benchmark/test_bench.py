"""The benchmark itself: that it runs, counts what is delivered, and writes its figures. Nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark.figures import Comparison, Requirement, Sample
from scripts.benchmark.peers import has_node
from tests.conftest import missing
from tests.servers import ROOT, program


@pytest.fixture
def servers() -> None:
    """The programs that the benchmark starts, on its own cores and ports."""
    for name in ("mongod", "redis-server"):
        if program(name) is None:
            missing(name)


@pytest.fixture
def peer_in_node() -> None:
    """The peer in Node."""
    if not has_node():
        missing("Node with the packages of scripts/benchmark/node (npm ci)")


def bench(folder: Path, *names: str) -> list[dict[str, Any]]:
    """The rows of a tiny run of these; it fails when an ack or a delivery is missing, or one is too many."""
    file = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmark", "--tiny", "--json", file, "--only", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(file.read_text())["rows"]
    for row in rows:
        assert f"| {row['row']} " in done.stdout
        for sample in row["samples"]:
            assert sample["value"] is not None
    return rows


@pytest.mark.real
@pytest.mark.usefixtures("servers", "peer_in_node")
def test_all_peers_deliver_every_message_and_the_figures_are_written(tmp_path: Path) -> None:
    rows = bench(tmp_path, "fanout-1000", "latency")
    assert [(row["name"], row["peer"]) for row in rows] == [
        *(("ours", "node"), ("ours", "plain"), ("ours", "node")),
    ]
    for row in rows:
        assert row["ratio"] > 0
        assert all(sample["value"] > 0 and sample["cpu"] > 0 for sample in row["samples"])


@pytest.mark.real
@pytest.mark.usefixtures("servers")
def test_our_server_is_compared_with_itself_where_node_is_not_needed(tmp_path: Path) -> None:
    rows = bench(tmp_path, "sqlite", "unwatched", "search")
    expected = [("sqlite", "ours"), ("unwatched", None), ("search", None), ("search", None)]
    assert [(row["row"], row["peer"]) for row in rows] == expected


def test_a_figure_is_the_median_of_the_ratios_of_neighbours() -> None:
    compared = Comparison(
        row="sends",
        unit="sends/s",
        name="ours",
        samples=[Sample(value=value) for value in (30.0, 10.0, 40.0)],
        peer="node",
        peer_samples=[Sample(value=value) for value in (10.0, 10.0, 10.0)],
        required=Requirement(bound=3.0, at_least=True),
    )
    assert compared.figure == 3.0
    assert compared.met is True
