"""What every store must do with deliveries. See test_store_contract.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from messaging.domain.models import Receipts, Written
from messaging.service.ports import Store
from tests.stores.build import T0, conversation, draft, mark, member, send


async def _raised(store: Store, cursors: Mapping[str, int]) -> Mapping[str, int]:
    """From where they were raised in `c`."""
    raised = await store.mark_delivered({"c": cursors}, at=T0)
    assert raised.keys() <= {"c"}
    assert all(raised.values())
    return raised.get("c", {})


async def test_deliveries_only_rise_and_say_from_where(store: Store) -> None:
    assert await _raised(store, {"bob": 3, "carol": 1}) == {"bob": 0, "carol": 0}
    assert await _raised(store, {"bob": 2, "carol": 4}) == {"carol": 1}
    assert await _raised(store, {"bob": 3}) == {}
    assert await _raised(store, {}) == {}


async def test_receipts_are_the_members_by_id_and_what_was_read_was_delivered(store: Store) -> None:
    people = [member(user_id) for user_id in ("dora", "bob", "carol", "alice")]
    await store.save(conversation("c", version=2), put=people)
    await send(store, *(draft() for _ in range(5)))
    await _raised(store, {"bob": 3, "carol": 5, "stranger": 5})
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
    await asyncio.gather(*(_raised(store, {"bob": seq}) for seq in told))
    assert await _raised(store, {"bob": 10}) == {"bob": 9}


async def test_deliveries_go_with_their_conversation_and_wait_for_no_namesake(store: Store) -> None:
    await _raised(store, {"bob": 3})
    await store.delete("c")
    assert await _raised(store, {"bob": 2}) == {}
    await store.save(conversation("c"))
    assert await _raised(store, {"bob": 1}) == {"bob": 0}


async def test_deliveries_of_many_conversations_are_kept_together(store: Store) -> None:
    await store.save(conversation("d"))
    reached = {"c": {"bob": 3, "carol": 1}, "d": {"bob": 2}, "gone": {"bob": 1}, "empty": {}}
    raised = await store.mark_delivered(reached, at=T0)
    assert raised == {"c": {"bob": 0, "carol": 0}, "d": {"bob": 0}}
    raised = await store.mark_delivered({"c": {"bob": 3, "carol": 2}, "d": {"bob": 1}}, at=T0)
    assert raised == {"c": {"carol": 1}}
    assert await store.mark_delivered({}, at=T0) == {}


async def test_who_wrote_what_in_many_conversations(store: Store) -> None:
    await store.save(conversation("d"))
    await send(store, *(draft() for _ in range(4)))
    await send(store, draft(conversation_id="d", sender_id="bob"))
    found = await store.authors({"c": (1, 3), "d": (0, 9), "gone": (0, 9), "none": (0, 0)})
    assert found.keys() == {"c", "d"}
    assert [line.seq for line in found["c"]] == [2, 3]
    (message,) = await store.history("d", limit=1)
    assert found["d"] == [Written(id=message.id, seq=1, sender_id="bob")]
    assert await store.authors({}) == {}
