"""What this server does beside others on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from scripts.benchmark import rows
from scripts.benchmark.figures import Comparison, table, write_json
from scripts.benchmark.peers import Stage, has_node
from tests.servers import program

_NEEDS_NODE = frozenset(rows.ROWS) - {"sqlite", "log-level", "unwatched", "search"}


def main() -> None:
    options = _options()
    scale = rows.TINY if options.tiny else rows.QUICK if options.quick else rows.FULL
    names: Sequence[str] = options.only or list(rows.ROWS)
    _check(names)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    about = _about(scale)
    print(
        f"{about['processor']}, {about['cores']} cores, {about['system']}; load {about['load']}", flush=True
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Stage(Path(folder)) as stage:
        comparisons = uvloop.run(_measure(stage, scale, names))
    print(table(comparisons))
    for comparison in comparisons:
        if comparison.note:
            print(f"{comparison.row}: {comparison.note}")
    if options.json is not None:
        write_json(options.json, comparisons, about)


async def _measure(stage: Stage, scale: rows.Scale, names: Sequence[str]) -> list[Comparison]:
    comparisons: list[Comparison] = []
    peers = dict.fromkeys(peer for name in names for peer in rows.PEERS.get(name, ()))
    await stage.start(peers)
    for name in names:
        start = time.monotonic()
        comparisons += await rows.ROWS[name](stage, scale)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return comparisons


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within two minutes")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)  # only shows that it works
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=rows.ROWS, help=", ".join(rows.ROWS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser.parse_args()


def _check(names: Sequence[str]) -> None:
    """End here when a part is missing."""
    missing = [name for name in ("mongod", "redis-server") if program(name) is None]
    if not has_node() and _NEEDS_NODE.intersection(names):
        missing.append("Node with the packages of scripts/benchmark/node (npm ci)")
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}")


def _about(scale: rows.Scale) -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "scale": dataclasses.asdict(scale),
    }


if __name__ == "__main__":
    main()
