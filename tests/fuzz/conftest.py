"""Nothing is compared by the clock while it is fuzzed, and much may happen in five minutes."""

from __future__ import annotations

import pytest

from messaging.gateway import follower, gateway
from tests.fuzz.budget import MORE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/fuzz/" in str(item.path) and MORE > 1:
            item.add_marker(pytest.mark.timeout(3_600))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told now and then is told at once; positions are never compared."""
    monkeypatch.setattr(gateway, "COMPARE_SECONDS", 3_600.0)
    monkeypatch.setattr(follower, "UNREAD_SECONDS", 0.01)
