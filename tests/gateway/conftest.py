"""Houses for every test of the gateway. Positions are compared when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from messaging.gateway import gateway
from tests.gateway.house import House, built


@pytest.fixture(autouse=True)
def comparing_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "COMPARE_SECONDS", 3_600.0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """One process."""
    async with built() as made:
        yield made


@pytest.fixture
async def street() -> AsyncIterator[House]:
    """Two processes."""
    async with built(processes=2) as made:
        yield made
