"""Chores are done by one process at a time, and by another one when that ends, or fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from messaging import chores
from messaging.chores import Chore, Lost
from messaging.domain.errors import Unavailable
from messaging.service.ports import Store
from messaging.stores.sqlite import SqliteStore

SOON = 0.005


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """Where the leases are."""
    made = SqliteStore(":memory:")
    await made.open()
    yield made
    await made.close()


class Process:
    """One that does a chore, and counts how often; `rest` is what it then wants."""

    def __init__(self, store: Store, *, rest: float = SOON) -> None:
        self.chore = Chore(store, "a chore", self.work, ask_seconds=SOON)
        self.rest = rest
        self.done = 0
        self.errors: list[Exception] = []

    async def work(self) -> float:
        self.done += 1
        if self.errors:
            raise self.errors.pop()
        return self.rest


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  a count has no event
            await asyncio.sleep(0.001)


async def test_one_at_a_time_and_the_next_at_once_when_it_stops(store: Store) -> None:
    first, second = Process(store), Process(store)
    first.chore.start()
    await until(lambda: first.done > 0)
    second.chore.start()
    await until(lambda: first.done > 5)
    assert (second.done, second.chore.is_held) == (0, False)
    await first.chore.close()
    await until(lambda: second.done > 0)
    assert (first.chore.is_held, second.chore.is_held) == (False, True)
    await second.chore.close()


async def test_it_goes_on_when_the_storage_was_away_or_something_was_wrong(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "_LONGEST_REST_SECONDS", SOON)
    process = Process(store)
    process.errors = [Unavailable(), ValueError("a bug")]
    process.chore.start()
    await until(lambda: process.done == 3)
    await process.chore.close()


async def test_news_end_a_rest(store: Store) -> None:
    process = Process(store, rest=5)
    process.chore.start()
    await until(lambda: process.done == 1)
    process.chore.wake()
    await until(lambda: process.done == 2)
    await process.chore.close()


async def test_after_a_long_rest_is_agreed_nobody_begins_anew(store: Store) -> None:
    first = Process(store, rest=3_600)
    first.chore.start()
    await until(lambda: first.done == 1)
    await until(lambda: first.chore.is_held)
    await first.chore.close()
    assert not await store.lease("a chore", "another", 1)


async def test_who_lost_it_hears_so_before_the_next_thing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(store)
    await process.chore.hold()
    monkeypatch.setattr(chores, "ENOUGH_SECONDS", chores.LEASE_SECONDS)  # as if time had gone by
    await store.lease("a chore", process.chore._holder, 0)  # noqa: SLF001
    assert await store.lease("a chore", "another", 9)
    with pytest.raises(Lost):
        await process.chore.hold()
