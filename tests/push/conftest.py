"""A push service for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.push.browsers import PushService, push_service


@pytest.fixture
async def pushes(tmp_path: Path) -> AsyncIterator[PushService]:
    """A real push service, over HTTPS."""
    async with push_service(tmp_path) as running:
        yield running
