"""What many ask at the same time goes into few questions; who asks alone waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from messaging.domain.models import Profile, User
from messaging.stores.gathered import PACE_SECONDS, TOLD_AT_ONCE, gathered
from messaging.stores.sqlite import SqliteStore


class Asked(SqliteStore):
    """A store that remembers from when until when it was asked, and for how many users."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.asked: list[tuple[float, float, int]] = []
        self.begun = asyncio.Event()

    async def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        self.begun.set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        users = await super().users(user_ids)
        self.asked.append((began, loop.time(), len(user_ids)))
        return users


async def test_who_comes_while_one_asks_waits_for_others_and_who_comes_alone_does_not() -> None:
    store = Asked()
    await store.open()
    try:
        together = gathered(store)
        await store.put_users([Profile(id=f"u{number}") for number in range(3)])
        first = asyncio.ensure_future(together.users(["u0"]))
        await store.begun.wait()
        others = [asyncio.ensure_future(together.users([f"u{number}"])) for number in (1, 2)]
        found = await asyncio.gather(first, *others)
        assert [list(each) for each in found] == [["u0"], ["u1"], ["u2"]]
        (began, ended, one), (next_began, _, two) = store.asked
        assert (one, two) == (1, 2)
        took = ended - began
        assert next_began - ended >= min(took, PACE_SECONDS - took) - 0.001
        loop = asyncio.get_running_loop()
        asking = loop.time()
        await together.users(["u0"])
        assert store.asked[-1][0] - asking < PACE_SECONDS
    finally:
        await store.close()


async def test_of_many_who_are_answered_together_a_few_go_on_in_each_turn() -> None:
    store = Asked()
    await store.open()
    try:
        together = gathered(store)
        waiting = [asyncio.ensure_future(together.users([f"u{number}"])) for number in range(120)]
        most = before = 0
        while before < len(waiting):
            await asyncio.sleep(0)
            done = sum(each.done() for each in waiting)
            most, before = max(most, done - before), done
        assert most == TOLD_AT_ONCE
    finally:
        await store.close()
