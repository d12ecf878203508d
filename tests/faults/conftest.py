"""The two ways in which the real server keeps what it was given."""

from __future__ import annotations

import random

import pytest

from scripts.chaos_harness.people import ENVIRONMENT


@pytest.fixture(params=["sqlite", "mongodb"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a server on SQLite, in its own folder, and of one on MongoDB."""
    if request.param == "sqlite":
        return dict(ENVIRONMENT)
    return {**ENVIRONMENT, "MONGODB_URI": request.getfixturevalue("mongodb_uri")}


@pytest.fixture
def chance() -> random.Random:
    """Chance with a seed that is printed, so that a failure can be had again."""
    seed = random.randrange(2**32)
    print(f"seed: {seed}")  # noqa: T201  pytest shows it with a failure
    return random.Random(seed)
