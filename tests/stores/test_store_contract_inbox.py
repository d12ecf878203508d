"""Every store keeps what concerns one user alone as messaging.service.ports_inbox says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.domain.models import Kept, Member, Notification
from messaging.service.ports import Store
from tests.stores.build import FILE, T0, Database, conversation, later, member, over_lasting, over_shared


def note(number: int = 1, **changes: Any) -> Notification:
    now = datetime.now(UTC).replace(microsecond=0)
    given = {"type": "booking", "data": '{"$set":{"é":[1]}}', "created_at": now, **changes}
    return Notification(id=str(number), **given)


async def kept(store: Store, *user_ids: str) -> list[Notification]:
    """One notification for each of these, with rising ids."""
    wanted = [(user_id, note(number)) for number, user_id in enumerate(user_ids, start=1)]
    return [each.notification for each in await store.add_notifications(wanted)]


async def join(store: Store, *user_ids: str) -> None:
    await store.save(conversation("c", version=2), put=[member(user_id) for user_id in user_ids])


async def place(store: Store, user_id: str = "alice") -> Member:
    found = await store.member("c", user_id)
    assert found is not None
    return found


# --- notifications -------------------------------------------------------------------------------------


async def test_a_notification_comes_back_as_it_was_with_its_position(store: Store) -> None:
    full = note(title="Tomorrow", body="at\nten")
    assert await store.add_notifications([("alice", full)]) == [Kept(notification=replace(full, position=1))]
    assert list(await store.notifications("alice", limit=9)) == [replace(full, position=1)]
    assert list(await store.notifications("bob", limit=9)) == []


async def test_positions_rise_by_one_for_each_user_alone(store: Store) -> None:
    given = await kept(store, "alice", "bob", "alice", "alice")
    assert [each.position for each in given] == [1, 1, 2, 3]
    assert await store.inbox_positions(["alice", "bob", "carol"]) == {"alice": 3, "bob": 1, "carol": 0}
    assert await store.inbox_positions([]) == {}
    assert await store.add_notifications([]) == []


async def test_notifications_are_read_page_by_page_from_the_newest(store: Store) -> None:
    await kept(store, *["alice"] * 5, "bob")
    assert [each.position for each in await store.notifications("alice", limit=2)] == [5, 4]
    assert [each.position for each in await store.notifications("alice", limit=9, before=4)] == [3, 2, 1]


async def test_what_came_past_a_position_is_read_in_order(store: Store) -> None:
    await kept(store, *["alice"] * 5)
    assert [each.position for each in await store.notifications_after("alice", 2, limit=2)] == [3, 4]
    assert list(await store.notifications_after("alice", 5, limit=2)) == []


async def test_marked_ones_are_read_once_and_for_their_user_alone(store: Store) -> None:
    await kept(store, "alice", "bob", "alice")
    await store.read_notifications("alice", ["1", "2", "no-such"], at=later(1))
    await store.read_notifications("alice", ["1"], at=later(2))
    shown = await store.notifications("alice", limit=9)
    assert [(each.id, each.read_at) for each in shown] == [("3", None), ("1", later(1))]
    assert [each.id for each in await store.notifications("alice", limit=9, unread=True)] == ["3"]
    assert (await store.unread_notifications("alice"), await store.unread_notifications("bob")) == (1, 1)


async def test_all_can_be_marked_at_once(store: Store) -> None:
    await kept(store, "alice", "alice", "bob")
    await store.read_notifications("alice", None, at=later(1))
    assert (await store.unread_notifications("alice"), await store.unread_notifications("bob")) == (0, 1)
    assert list(await store.notifications("alice", limit=9, unread=True)) == []


async def test_the_same_user_is_told_once_under_an_id(store: Store) -> None:
    first, other = await store.add_notifications([("alice", note(7)), ("bob", note(7))])
    again, new = await store.add_notifications([("alice", note(7, title="T")), ("alice", note(8))])
    assert again == replace(first, repeated=True)
    assert (new.notification.position, new.repeated, other.notification.position) == (2, False, 1)
    assert [each.id for each in await store.notifications("alice", limit=9)] == ["8", "7"]


async def test_of_several_at_once_under_an_id_one_is_told(store: Store) -> None:
    given = await asyncio.gather(*(store.add_notifications([("alice", note(7))]) for _ in range(8)))
    assert sorted(each.repeated for (each,) in given) == [False] + [True] * 7
    assert len({each.notification.position for (each,) in given}) == 1


async def test_very_many_are_kept_together(store: Store) -> None:
    people = [f"u{number}" for number in range(1_100)]
    given = await store.add_notifications([(user_id, note()) for user_id in people])
    assert [each.notification.position for each in given] == [1] * 1_100
    assert set((await store.inbox_positions(people)).values()) == {1}


async def test_notifications_of_the_same_moment_get_a_position_each(store: Store) -> None:
    given = await asyncio.gather(*(store.add_notifications([("alice", note(n))]) for n in range(20)))
    assert sorted(each.notification.position for (each,) in given) == list(range(1, 21))


@over_shared
async def test_two_processes_count_one_user_together(store: Store, second_store: Store) -> None:
    stores = [store, second_store] * 10
    adding = [each.add_notifications([("alice", note(n))]) for n, each in enumerate(stores)]
    given = await asyncio.gather(*adding)
    assert sorted(each.notification.position for (each,) in given) == list(range(1, 21))


@over_lasting
async def test_notifications_last(database: Database, store: Store) -> None:
    (before,) = await kept(store, "alice")
    await store.close()
    again = database.make()
    await again.open()
    assert list(await again.notifications("alice", limit=9)) == [before]
    (new,) = await again.add_notifications([("alice", note(2))])
    assert new.notification.position == 2
    await again.close()


@pytest.mark.parametrize("database", [FILE], indirect=True)  # MongoDB does it by itself, once a minute
async def test_old_notifications_are_forgotten_and_positions_are_not(
    database: Database, store: Store
) -> None:
    if type(store).__name__ == "MongoStore":
        return  # a TTL index does it, once a minute
    old = datetime.now(UTC) - timedelta(days=91)
    await store.add_notifications([("alice", note(created_at=old)), ("alice", note(2))])
    await store.close()
    again = database.make()
    await again.open()
    assert [each.id for each in await again.notifications("alice", limit=9)] == ["2"]
    assert await again.inbox_positions(["alice"]) == {"alice": 2}
    await again.close()


# --- places --------------------------------------------------------------------------------------------


async def test_what_a_conversation_is_to_a_member_is_kept_and_counted(store: Store) -> None:
    await join(store, "alice", "bob")
    assert await store.archive("c", "alice", 7) == 1
    assert await store.mute("c", "alice", True) == 2
    assert await store.mark_unread("c", "alice", 0) == 3
    assert await place(store) == member("alice", archived_at=7, muted=True, unread_at=0)
    assert await place(store, "bob") == member("bob")
    assert await store.inbox_positions(["alice", "bob"]) == {"alice": 3, "bob": 0}


async def test_it_can_be_undone(store: Store) -> None:
    await join(store, "alice")
    await store.archive("c", "alice", 0)
    await store.mute("c", "alice", True)
    await store.mark_unread("c", "alice", 0)
    assert await store.archive("c", "alice", None) == 4
    assert await store.mute("c", "alice", False) == 5
    assert await store.mark_unread("c", "alice", None) == 6
    assert await place(store) == member("alice")


async def test_who_is_no_member_has_no_place(store: Store) -> None:
    await join(store, "alice")
    assert await store.archive("c", "bob", 0) is None
    assert await store.mute("nowhere", "alice", True) is None
    assert await store.mark_unread("c", "bob", 0) is None
    assert await store.inbox_positions(["alice", "bob"]) == {"alice": 0, "bob": 0}


async def test_a_place_is_gone_with_its_member(store: Store) -> None:
    await join(store, "alice", "bob")
    await store.archive("c", "alice", 3)
    await store.save(conversation("c", version=3), remove=["alice"])
    await store.save(conversation("c", version=4), put=[member("alice")])
    assert await place(store) == member("alice")


async def test_memberships_say_it_too(store: Store) -> None:
    await join(store, "alice")
    await store.archive("c", "alice", 0)
    await store.mute("c", "alice", True)
    (found,) = await store.memberships("alice")
    assert (found.member.archived_at, found.member.muted, found.archived) == (0, True, True)
    assert found.member.joined_at == T0
