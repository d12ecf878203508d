"""What must hold when old messages are removed for good. See test_store_contract.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from messaging.domain.models import ChangeKind, Reaction
from messaging.domain.words import query_of
from messaging.service.ports import Store
from messaging.stores import mongodb_append
from tests.stores.build import T0, change, conversation, draft, everything, later, mark, member, send

DAY = timedelta(days=1)


async def aged(store: Store, *senders: str) -> None:
    """Messages of these senders, each a day after the other."""
    for number, sender in enumerate(senders):
        await send(store, draft(f"word {number}", sender_id=sender, created_at=T0 + number * DAY))


async def seqs(store: Store) -> list[int]:
    return [message.seq for message in await everything(store)]


async def removed_seq(store: Store) -> int:
    there = await store.conversation("c")
    assert there is not None
    return there.removed_seq


async def test_the_oldest_go_and_what_remains_keeps_its_numbers(store: Store) -> None:
    await aged(store, *["alice"] * 6)
    assert await store.remove_before("c", T0 + 3 * DAY, limit=2) == 2
    assert (await seqs(store), await removed_seq(store)) == ([3, 4, 5, 6], 2)
    assert await store.remove_before("c", T0 + 3 * DAY, limit=2) == 1
    assert await store.remove_before("c", T0 + 3 * DAY, limit=2) == 0
    assert (await seqs(store), await removed_seq(store)) == ([4, 5, 6], 3)
    (message,) = await send(store, draft("next", created_at=T0 + 9 * DAY))
    assert (message.seq, message.sender_seq) == (7, 7)


async def test_the_newest_stays_however_old_it_is(store: Store) -> None:
    await aged(store, "alice", "alice", "alice")
    assert await store.remove_before("c", T0 + 99 * DAY, limit=9) == 2
    assert await store.remove_before("c", T0 + 99 * DAY, limit=9) == 0
    assert await seqs(store) == [3]


async def test_what_comes_after_a_newer_one_stays_whatever_its_clock_said(store: Store) -> None:
    for days in (0, 5, 1, 6):
        await send(store, draft(created_at=T0 + days * DAY))
    assert await store.remove_before("c", T0 + 3 * DAY, limit=9) == 1
    assert await seqs(store) == [2, 3, 4]


async def test_what_was_done_to_them_and_their_words_go_too(store: Store) -> None:
    await aged(store, "alice", "bob", "alice")
    first = (await everything(store))[0]
    reacted = replace(first, reactions=(Reaction(emoji="👍", user_ids=("bob",)),))
    assert await store.change(reacted, change(first, ChangeKind.REACTED, "bob", emoji="👍")) is not None
    await store.mark_read(mark("bob", 1), own_read=0, keep=True)
    await store.remove_before("c", T0 + DAY, limit=9)
    assert list(await store.changes("c", after=0, limit=9)) == []
    assert list(await store.read_marks("c", after=0, up_to=9)) == []
    assert (await store.tails(["c"]))["c"].last_rev == 1
    query = query_of("word")
    assert query is not None
    found = await store.search(query, conversation_ids=["c"], limit=9)
    assert [message.seq for message in found] == [3, 2]


async def unread(store: Store, user_id: str) -> int:
    membership = await store.membership("c", user_id)
    assert membership is not None
    return membership.unread


async def read_to(store: Store, user_id: str, seq: int) -> None:
    own = await store.own_sent("c", user_id, up_to=seq)
    await store.mark_read(mark(user_id, seq), own_read=own, keep=False)


@pytest.mark.parametrize("limit", [3, 99], ids=["as many as are old", "more"])
async def test_what_is_removed_is_unread_to_nobody(store: Store, limit: int) -> None:
    await store.save(conversation("c", version=2), put=[member(name) for name in ("alice", "bob", "carol")])
    await aged(store, "alice", "bob", "alice", "alice", "bob", "alice")
    await read_to(store, "carol", 5)
    assert [await unread(store, name) for name in ("alice", "bob", "carol")] == [2, 4, 1]
    await store.remove_before("c", T0 + 3 * DAY, limit=limit)  # three are left: alice, bob, alice
    assert [await unread(store, name) for name in ("alice", "bob", "carol")] == [1, 2, 1]
    for name in ("alice", "bob", "carol"):
        await read_to(store, name, 6)
        assert await unread(store, name) == 0
    await send(store, draft(sender_id="bob", created_at=later(9)), draft(created_at=later(9)))
    assert [await unread(store, name) for name in ("alice", "bob", "carol")] == [1, 1, 2]


@pytest.mark.parametrize("cursor", [0, 3, 4])
async def test_who_has_no_message_left_is_counted_from_one(
    store: Store, cursor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongodb_append, "TRUST_SECONDS", 0.05)
    await store.save(conversation("c", version=2), put=[member("alice"), member("bob")])
    await aged(store, "alice", "alice", "alice", "bob")
    if cursor:
        await read_to(store, "alice", cursor)
    await store.remove_before("c", T0 + 3 * DAY, limit=99)
    assert await unread(store, "alice") == (0 if cursor == 4 else 1)
    assert await unread(store, "bob") == 0
    await asyncio.sleep(0.1)  # for less than that a process goes by what it knew of who wrote last
    await send(store, draft(created_at=later(9)), draft(sender_id="bob", created_at=later(9)))
    assert await unread(store, "alice") == (1 if cursor == 4 else 2)
    assert await unread(store, "bob") == 1


async def test_saving_a_conversation_keeps_what_was_removed(store: Store) -> None:
    await aged(store, "alice", "alice")
    await store.remove_before("c", T0 + DAY, limit=9)
    assert await store.save(conversation("c", version=2, retention_days=30))
    there = await store.conversation("c")
    assert there is not None
    assert (there.retention_days, there.removed_seq) == (30, 1)
    assert [each.id for each in await store.conversations(limit=5)] == ["c"]
    assert list(await store.conversations(after="c", limit=5)) == []
