"""A measured store does what the store does, and says how long it took."""

from __future__ import annotations

import pytest

from messaging.domain.errors import Unavailable
from messaging.domain.models import Profile
from messaging.stores.measured import measured
from messaging.stores.sqlite import SqliteStore


async def test_every_operation_is_told_with_its_outcome() -> None:
    told: list[tuple[str, bool]] = []
    store = measured(SqliteStore(":memory:"), lambda name, _seconds, done: told.append((name, done)))
    await store.open()
    assert await store.put_user(Profile(id="alice"))
    assert not await store.put_user(Profile(id="alice"))
    await store.close()
    with pytest.raises(Unavailable):
        await store.users(["alice"])
    assert told == [
        *[("open", True), ("put_user", True), ("put_user", True), ("close", True), ("users", False)]
    ]
