"""What every store must do with deliveries. See test_store_contract.py."""

from __future__ import annotations

import asyncio

from messaging.domain.models import Receipts
from messaging.service.ports import Store
from tests.stores.build import T0, conversation, draft, mark, member, send


async def test_deliveries_only_rise_and_say_from_where(store: Store) -> None:
    assert await store.mark_delivered("c", {"bob": 3, "carol": 1}, at=T0) == {"bob": 0, "carol": 0}
    assert await store.mark_delivered("c", {"bob": 2, "carol": 4}, at=T0) == {"carol": 1}
    assert await store.mark_delivered("c", {"bob": 3}, at=T0) == {}
    assert await store.mark_delivered("c", {}, at=T0) == {}


async def test_receipts_are_the_members_by_id_and_what_was_read_was_delivered(store: Store) -> None:
    people = [member(user_id) for user_id in ("dora", "bob", "carol", "alice")]
    await store.save(conversation("c", version=2), put=people)
    await send(store, *(draft() for _ in range(5)))
    await store.mark_delivered("c", {"bob": 3, "carol": 5, "stranger": 5}, at=T0)
    await store.mark_read(mark("bob", 4), own_read=0, keep=False)
    await store.mark_read(mark("carol", 2), own_read=0, keep=False)
    expected = [
        Receipts(user_id="alice", delivered=0, read=0),
        Receipts(user_id="bob", delivered=4, read=4),
        Receipts(user_id="carol", delivered=5, read=2),
        Receipts(user_id="dora", delivered=0, read=0),
    ]
    assert list(await store.receipts("c", limit=9)) == expected
    assert list(await store.receipts("c", limit=2)) == expected[:2]
    assert list(await store.receipts("c", after="bob", limit=9)) == expected[2:]
    assert list(await store.receipts("c", limit=0)) == []
    assert list(await store.receipts("other", limit=9)) == []


async def test_deliveries_told_at_once_leave_the_highest(store: Store) -> None:
    told = (4, 9, 2, 7, 1, 8, 3)
    await asyncio.gather(*(store.mark_delivered("c", {"bob": seq}, at=T0) for seq in told))
    assert await store.mark_delivered("c", {"bob": 10}, at=T0) == {"bob": 9}


async def test_deliveries_go_with_their_conversation_and_wait_for_no_namesake(store: Store) -> None:
    await store.mark_delivered("c", {"bob": 3}, at=T0)
    await store.delete("c")
    assert await store.mark_delivered("c", {"bob": 2}, at=T0) == {}
    await store.save(conversation("c"))
    assert await store.mark_delivered("c", {"bob": 1}, at=T0) == {"bob": 0}
