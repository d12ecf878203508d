"""What every store must do with what clients come back to. See test_store_contract.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from messaging.domain.models import Recovery
from messaging.service.ports import Store
from tests.stores.build import Database, conversation, later, mark, over_lasting, over_shared

NOW = datetime.now(UTC).replace(microsecond=0)  # and not T0: what is old by the real clock may be collected
HOUR = timedelta(hours=1)


def recovery(pid: str = "a1", **changes: Any) -> Recovery:
    usual = Recovery(
        pid=pid,
        owner="first",
        user_id="alice",
        dialect="messaging",
        sid="s1",
        joins=(("7", 3), ("a.$b", 0)),
        expires_at=NOW + HOUR,
    )
    return replace(usual, **changes)


async def take(
    store: Store, pid: str = "a1", user_id: str = "alice", owner: str = "second"
) -> Recovery | None:
    return await store.take_recovery(pid, user_id=user_id, owner=owner, at=NOW)


async def test_what_was_added_is_found_by_its_user_and_belongs_to_who_took_it(store: Store) -> None:
    await store.add_recoveries([recovery(), recovery("a2", joins=())])
    assert await take(store, user_id="bob") is None
    assert await take(store, "a3") is None
    assert await take(store) == recovery(owner="second")
    assert await take(store, owner="third") == recovery(owner="third")
    assert await take(store, "a2") == recovery("a2", owner="second", joins=())


async def test_adding_again_changes_nothing(store: Store) -> None:
    await store.add_recoveries([recovery()])
    await store.add_recoveries([recovery(joins=(), owner="other"), recovery("a2")])
    assert await take(store) == recovery(owner="second")
    assert await take(store, "a2") == recovery("a2", owner="second")


async def test_only_the_owner_keeps_what_is_joined(store: Store) -> None:
    await store.add_recoveries([recovery(), recovery("a2")])
    later = NOW + 2 * HOUR
    joined = [recovery(pid, joins=(("8", 1),), expires_at=later) for pid in ("a1", "a2", "a3")]
    assert await store.keep_recoveries([]) == []
    assert list(await store.keep_recoveries(joined)) == ["a3"]
    assert await store.keep_recoveries(joined[:2]) == [], "what changes nothing is kept, too"
    assert await take(store) == replace(joined[0], owner="second")
    assert list(await store.keep_recoveries([recovery(joins=()), recovery("a2", joins=())])) == ["a1"]
    assert await take(store, owner="third") == replace(joined[0], owner="third")
    assert await take(store, "a2") == recovery("a2", owner="second", joins=())


async def test_only_the_owner_ends_it(store: Store) -> None:
    await store.add_recoveries([recovery(), recovery("a2")])
    await take(store)
    await store.end_recoveries({})
    await store.end_recoveries({"a1": "first", "a2": "first", "a3": "first"})
    assert await take(store, "a2") is None
    assert await take(store, owner="third") is not None
    await store.end_recoveries({"a1": "third"})
    assert await take(store) is None


async def test_what_has_expired_is_not_found(store: Store) -> None:
    await store.add_recoveries([recovery(expires_at=NOW - HOUR), recovery("a2", expires_at=NOW)])
    await store.add_recoveries([recovery("a3")])
    assert await take(store) is None
    assert await take(store, "a2") is None
    assert await take(store, "a3") is not None


@over_lasting
async def test_it_is_there_after_the_store_was_closed(database: Database) -> None:
    first = database.make()
    await first.open()
    await first.add_recoveries([recovery()])
    await first.close()
    second = database.make()
    await second.open()
    assert await take(second) == recovery(owner="second")
    await second.close()


@over_shared
async def test_one_process_finds_what_another_keeps(database: Database) -> None:
    one, other = database.make(), database.make()
    await one.open()
    await other.open()
    await one.add_recoveries([recovery()])
    assert await take(other) == recovery(owner="second")
    assert list(await one.keep_recoveries([recovery()])) == ["a1"]
    await one.close()
    await other.close()


async def test_the_marks_since_a_time_are_found_by_their_order_in_time(store: Store) -> None:
    await store.save(conversation("c"))
    await store.save(conversation("d"))
    for reader, seq, seconds in (("bob", 2, 1), ("carol", 1, 2), ("bob", 4, 3), ("dora", 3, 3)):
        await store.mark_read(mark(reader, seq, seconds=seconds), own_read=0, keep=True)
    await store.mark_read(mark("bob", 1, conversation_id="d", seconds=9), own_read=0, keep=True)
    assert [m.reader_id for m in await store.marks_among(["c"], later(0), limit=9)] == [
        "bob",
        "carol",
        "dora",
        "bob",
    ]
    assert [m.seq for m in await store.marks_among(["c"], later(1), limit=2)] == [1, 3]
    assert await store.marks_among(["c", "e"], later(3), limit=9) == []
    assert [m.seq for m in await store.marks_among(["c", "d"], later(2), limit=9)] == [3, 4, 1]
    assert await store.marks_among([], later(0), limit=9) == []
