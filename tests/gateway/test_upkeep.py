"""Erasures and retention go on in turns, in small steps, and where they were."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from pathlib import Path

import pytest

from messaging.chores import Chore
from messaging.domain.commands import EraseUser
from messaging.domain.errors import Unavailable
from messaging.domain.events import Announcement
from messaging.files.folder import FolderFiles
from messaging.gateway.upkeep import LOOK_SECONDS, RETENTION_SECONDS, Erasing, Retaining
from messaging.service import erasing
from messaging.service.policy import Policy
from messaging.service.ports_uploads import Files
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import until
from tests.stage import Stage, service, staged

DAY = 24 * 3600


def unheard(events: Iterable[Announcement]) -> None:
    """Nobody is connected here."""
    del events


class Faltering(SqliteStore):
    """A store that fails so often to shorten the conversation `weak`, and notes what it was asked."""

    weak = "g5"
    failures = 1

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.asked: list[str] = []

    async def remove_before(self, conversation_id: str, before: datetime, *, limit: int) -> int:
        """As Store.remove_before."""
        self.asked.append(conversation_id)
        if conversation_id == self.weak and self.failures > 0:
            self.failures -= 1
            raise Unavailable
        return await super().remove_before(conversation_id, before, limit=limit)


@pytest.fixture
def store() -> Faltering:
    return Faltering()


@pytest.fixture
async def files(tmp_path: Path) -> Files:
    kept = FolderFiles(tmp_path / "uploads")
    await kept.open()
    return kept


@pytest.fixture
async def stage(store: Faltering) -> AsyncIterator[Stage]:
    async with staged(policy=Policy(retention_days=1), store=store) as made:
        yield made


async def settled(stage: Stage) -> None:
    """Alice with much in many groups, and bob with little in one."""
    alice, bob = await stage.user("alice"), await stage.user("bob")
    for number in range(9):
        await stage.group(f"g{number}", "alice", "bob")
        for _ in range(5):
            await stage.send(alice, f"g{number}")
    await stage.send(bob, "g0")


async def test_who_left_little_is_erased_before_who_left_much(
    stage: Stage, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 2)
    await settled(stage)
    for user_id in ("alice", "bob"):  # alice first, by name too
        await stage.do(service(), EraseUser(user_id=user_id, messages=True))
    work, left = Erasing(stage.ctx, files, unheard), []
    while await work.work() != LOOK_SECONDS:
        left.append([each.user_id for each in await stage.ctx.store.erasures(limit=9)])
    assert left[0] == ["alice", "bob"]
    assert ["alice"] in left
    assert left[-1] == []


async def test_an_erasure_does_not_wait_for_a_pass_of_retention(
    stage: Stage, store: Faltering, files: Files
) -> None:
    store.failures = 0
    await settled(stage)
    stage.clock.pass_by(2 * DAY)
    await stage.do(service(), EraseUser(user_id="bob"))
    retaining, erasing = Retaining(stage.ctx, unheard), Erasing(stage.ctx, files, unheard)
    assert await retaining.work() < 1  # it has begun
    while await erasing.work() != LOOK_SECONDS:
        pass
    assert "g8" not in store.asked
    while await retaining.work() < 1:
        pass
    assert store.asked.count("g8") == 1


async def test_retention_goes_on_where_it_was_when_the_storage_is_back(
    stage: Stage, store: Faltering
) -> None:
    await settled(stage)
    stage.clock.pass_by(2 * DAY)
    retaining = Retaining(stage.ctx, unheard)
    chore = Chore(store, "remove old messages", retaining.work, ask_seconds=0.01)
    chore.start()
    await until(lambda: "g8" in store.asked)
    await chore.close()
    names = [f"g{number}" for number in range(9)]
    assert store.asked == [*names[:6], *names[4:]]  # the last one once more does no harm


async def test_a_pass_of_retention_is_followed_by_a_long_rest(stage: Stage, store: Faltering) -> None:
    store.failures = 0
    await settled(stage)
    retaining = Retaining(stage.ctx, unheard)
    while (pause := await retaining.work()) < 1:
        pass
    assert pause == RETENTION_SECONDS
