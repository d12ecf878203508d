"""Each promise of docs/reliability.md in short, by the harness that scripts/chaos runs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.chaos_harness.promise import Size, Trial
from scripts.chaos_harness.promises import PROMISES
from scripts.chaos_harness.stage import Stage
from tests.conftest import missing
from tests.servers import program

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("node")]


@pytest.fixture
async def trial(tmp_path: Path, chance: random.Random) -> AsyncIterator[Trial]:
    """All programs that a promise needs, in short."""
    for name in ("mongod", "redis-server"):
        if program(name) is None:
            missing(name)
    async with Stage(tmp_path) as stage:
        yield Trial(stage=stage, size=Size.SHORT, chance=chance)


@pytest.mark.parametrize("name", PROMISES)
async def test_each_promise_holds_in_short(name: str, trial: Trial) -> None:
    verdict = await PROMISES[name].attempt(trial)
    assert verdict.holds, str(verdict)
