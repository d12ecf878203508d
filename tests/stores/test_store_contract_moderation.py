"""Every store keeps blocks and reports as messaging.service.ports_moderation says."""

from __future__ import annotations

import asyncio
from typing import Any

from messaging.domain.moderation import Block, Report
from messaging.service.ports import Store
from tests.stores.build import Database, later, over_lasting, over_shared


def report(number: int = 1, **changes: Any) -> Report:
    given = {
        "message_id": 7,
        "conversation_id": "c",
        "seq": 3,
        "sender_id": "bob",
        "content": "spam",
        "sent_at": later(0),
        "reporter_id": "alice",
        "reason": "It is\nspam",
        "at": later(1),
        **changes,
    }
    return Report(id=number, **given)


async def test_a_block_is_kept_once_and_concerns_both(store: Store) -> None:
    assert await store.block("alice", "bob", at=later(1)) == (1, 1)
    assert await store.block("alice", "bob", at=later(2)) is None
    assert await store.block("bob", "carol", at=later(3), seen=later(2)) == (2, 1)
    assert await store.find_block("alice", "bob") == Block(user_id="alice", blocked_id="bob", at=later(1))
    assert await store.find_block("bob", "carol") == Block(
        user_id="bob", blocked_id="carol", at=later(3), seen=later(2)
    )
    assert await store.find_block("bob", "alice") is None
    assert await store.inbox_positions(["alice", "bob", "carol"]) == {"alice": 1, "bob": 2, "carol": 1}


async def test_a_block_counts_from_either_side(store: Store) -> None:
    await store.block("alice", "bob", at=later(1))
    assert await store.blocked_between("alice", "bob")
    assert await store.blocked_between("bob", "alice")
    assert not await store.blocked_between("alice", "carol")
    await store.block("carol", "alice", at=later(1))
    assert await store.blocked_with("alice") == {"bob", "carol"}
    assert await store.blocked_with("bob") == {"alice"}
    assert await store.blocked_with("nobody") == frozenset()
    assert await store.blocked_with_each(["alice", "bob", "nobody"]) == {
        "alice": {"bob", "carol"},
        "bob": {"alice"},
    }


async def test_ending_ones_own_block_leaves_the_others(store: Store) -> None:
    await store.block("alice", "bob", at=later(1))
    await store.block("bob", "alice", at=later(1))
    assert await store.unblock("alice", "bob") == (3, 3)
    assert await store.unblock("alice", "bob") is None
    assert await store.blocked_between("alice", "bob")
    assert await store.unblock("bob", "alice") == (4, 4)
    assert not await store.blocked_between("alice", "bob")


async def test_blocks_are_read_page_by_page(store: Store) -> None:
    for other in ("d", "b", "é", "c"):
        await store.block("alice", other, at=later(1))
    await store.block("b", "alice", at=later(1))
    assert [block.blocked_id for block in await store.blocks("alice", limit=2)] == ["b", "c"]
    assert [block.blocked_id for block in await store.blocks("alice", limit=9, after="c")] == ["d", "é"]
    assert (await store.count_blocks("alice"), await store.count_blocks("nobody")) == (4, 0)


async def test_of_several_blocks_at_once_one_is_told(store: Store) -> None:
    given = await asyncio.gather(*(store.block("alice", "bob", at=later(1)) for _ in range(5)))
    assert [each for each in given if each is not None] == [(1, 1)]


@over_shared
async def test_two_processes_agree_who_blocked_first(store: Store, second_store: Store) -> None:
    both = [store, second_store] * 3
    given = await asyncio.gather(*(each.block("alice", "bob", at=later(1)) for each in both))
    assert [each for each in given if each is not None] == [(1, 1)]


async def test_a_report_is_kept_once_for_each_user_and_message(store: Store) -> None:
    first = report()
    assert await store.add_report(first) == first
    assert await store.add_report(report(2, reason=None)) == first
    assert await store.add_report(report(3, message_id=8)) == report(3, message_id=8)
    assert await store.add_report(report(4, reporter_id="carol", reason=None)) == report(
        4, reporter_id="carol", reason=None
    )
    assert [each.id for each in await store.reports(limit=9)] == [4, 3, 1]


async def test_reports_are_read_page_by_page_from_the_newest(store: Store) -> None:
    for number in range(1, 6):
        await store.add_report(report(number, message_id=number))
    assert [each.id for each in await store.reports(limit=2)] == [5, 4]
    assert list(await store.reports(limit=9, before=4)) == [report(n, message_id=n) for n in (3, 2, 1)]


@over_lasting
async def test_they_last(database: Database, store: Store) -> None:
    await store.block("alice", "bob", at=later(1))
    await store.add_report(report())
    await store.close()
    again = database.make()
    await again.open()
    assert await again.blocked_between("bob", "alice")
    assert list(await again.reports(limit=9)) == [report()]
    await again.close()
