"""What must hold under faults, each promise by its name (docs/reliability.md)."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from scripts.chaos_harness.promise import Promise, Size, Trial, Verdict
from scripts.chaos_harness.promises import PROMISES
from scripts.chaos_harness.stage import Stage, allow_many_files
from tests.clients import NODE_SCRIPTS
from tests.servers import program

FAILED = 1
AT_ONCE = 2


def main() -> None:
    options = _options()
    _check_parts()
    allow_many_files()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    size = Size.FULL if options.full else Size.QUICK
    names: Sequence[str] = options.names or list(PROMISES)
    outcomes = uvloop.run(_try_all([PROMISES[name] for name in names], size, options.seed))
    if options.json is not None:
        options.json.write_text(json.dumps(outcomes, indent=2, default=str) + "\n")
    sys.exit(0 if all(outcome["holds"] for outcome in outcomes) else FAILED)


async def _try_all(promises: Sequence[Promise], size: Size, seed: int) -> list[dict[str, Any]]:
    """Of `--quick`, two at a time, since most of the time they wait; but for those that are tried alone."""
    print(f"seed {seed}, {size}", flush=True)
    places = asyncio.Semaphore(AT_ONCE if size is Size.QUICK else 1)

    async def in_turn(promise: Promise) -> dict[str, Any]:
        async with places:
            return await _try(promise, size, seed)

    beside = [promise for promise in promises if not promise.alone]
    outcomes = await asyncio.gather(*map(in_turn, beside))
    outcomes += [await _try(promise, size, seed) for promise in promises if promise.alone]
    return sorted(outcomes, key=lambda outcome: list(PROMISES).index(outcome["name"]))


async def _try(promise: Promise, size: Size, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    verdict = await verdict_of(promise, size, seed)
    took = time.monotonic() - started
    print(f"{promise.name} {promise.text} | {verdict} | {took:.0f} s", flush=True)
    return {
        "name": promise.name,
        "text": promise.text,
        "seed": seed,
        "size": str(size),
        "seconds": round(took, 1),
        "holds": verdict.holds,
        **asdict(verdict),
    }


async def verdict_of(promise: Promise, size: Size, seed: int) -> Verdict:
    """Try one promise on a stage of its own. What did not come to its end did not hold."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with Stage(Path(folder)) as stage:
            trial = Trial(stage=stage, size=size, chance=random.Random(f"{seed} {promise.name}"))
            try:
                return await promise.attempt(trial)
            except Exception as failure:  # noqa: BLE001  what could not be tried to its end did not hold
                return Verdict(load="", faults="", figures={}, complaints=[_what_ended_it(failure)])


def _what_ended_it(failure: Exception) -> str:
    """What it was, and the way through the harness to it."""
    ours = [
        f"{Path(step.filename).name}:{step.lineno}"
        for step in traceback.extract_tb(failure.__traceback__)
        if "chaos_harness" in step.filename
    ]
    return f"{type(failure).__name__}: {failure} ({' › '.join(ours)})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which promises: {', '.join(PROMISES)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to have chance again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen there, too")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="all in ten minutes (the default)")
    size.add_argument("--full", action="store_true", help="with the figures that were promised")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in PROMISES]:
        parser.error(f"there is no promise {unknown[0]}")
    return options


def _check_parts() -> None:
    """End here when a part is missing."""
    missing = [name for name in ("mongod", "redis-server") if program(name) is None]
    if shutil.which("node") is None or not (NODE_SCRIPTS / "node_modules" / "socket.io-client").is_dir():
        missing.append("Node with the clients of tests/node (npm ci)")
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}")


if __name__ == "__main__":
    main()
