"""A stage for every test of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made
