"""What every store must do for running the service: disconnections, leases, hooks."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from messaging.domain.models import Change, ChangeKind, Draft, Hook
from messaging.domain.moderation import Report
from messaging.service.ports import Store
from tests.stores.build import Database, conversation, draft, later, over_lasting, over_shared, send


def hook(number: int, lane: str = "c", **more: object) -> Hook:
    given = {"type": "message.edited", "at": later(number), "data": '{"x":1}', **more}
    return Hook(id=number, lane=lane, **given)  # type: ignore[arg-type]


async def kept(store: Store, lane: str = "c", limit: int = 100) -> list[int | str]:
    """What is kept in a lane: the contents of messages, the ids of other hooks."""
    return [h.message.content if h.message else h.id for h in await store.hooks(lane, limit=limit)]


def hooked(content: str, **changes: object) -> Draft:
    return draft(content, **{"hook": "", **changes})


async def test_a_store_says_what_it_is_and_how_it_keeps(store: Store) -> None:
    told = await store.about()
    assert re.match(r"(SQLite|MongoDB) \d+\.\d+", told)
    assert re.search(r"every write on disk|writes by majority, journalled", told)


# --- who was sent away ----------------------------------------------------------------------------------


async def test_disconnections_are_numbered_over_all_users_and_only_the_last_of_each_is_kept(
    store: Store,
) -> None:
    first = await store.disconnect("alice", revoked_before=later(1))
    second = await store.disconnect("$bob.b", revoked_before=None)
    third = await store.disconnect("alice", revoked_before=later(3))
    assert first.number < second.number < third.number
    assert (second.revoked_before, third.revoked_before) == (None, later(3))
    assert list(await store.disconnections(after=0, limit=10)) == [second, third]
    assert list(await store.disconnections(after=0, limit=1)) == [second]
    assert list(await store.disconnections(after=second.number, limit=10)) == [third]
    assert list(await store.disconnections(after=third.number, limit=10)) == []


async def test_the_time_up_to_which_tokens_are_refused_never_goes_back(store: Store) -> None:
    await store.disconnect("alice", revoked_before=later(5))
    assert (await store.disconnect("alice", revoked_before=later(1))).revoked_before == later(5)
    assert (await store.disconnect("alice", revoked_before=None)).revoked_before == later(5)


@over_lasting
async def test_disconnections_are_there_after_a_restart(store: Store, database: Database) -> None:
    before = await store.disconnect("alice", revoked_before=later(1))
    await store.close()
    again = database.make()
    await again.open()
    assert list(await again.disconnections(after=0, limit=10)) == [before]
    assert (await again.disconnect("bob", revoked_before=None)).number > before.number
    await again.close()


@over_shared
async def test_processes_that_disconnect_at_once_never_give_a_number_twice(
    store: Store, second_store: Store
) -> None:
    both = (store, second_store)
    given = await asyncio.gather(*(both[n % 2].disconnect(f"u{n}", revoked_before=None) for n in range(20)))
    assert len({each.number for each in given}) == 20
    assert len(await store.disconnections(after=0, limit=100)) == 20


# --- leases ---------------------------------------------------------------------------------------------


async def test_a_task_belongs_to_one_holder_until_given_back(store: Store) -> None:
    assert await store.lease("webhooks", "one", 60) is True
    assert await store.lease("webhooks", "two", 60) is False
    assert await store.lease("webhooks", "one", 60) is True, "prolonged"
    assert await store.lease("retention", "two", 60) is True, "another task"
    assert await store.lease("webhooks", "one", 0) is True
    assert await store.lease("webhooks", "two", 60) is True
    assert await store.lease("webhooks", "one", 60) is False


async def test_a_lease_that_is_not_prolonged_ends(store: Store) -> None:
    assert await store.lease("webhooks", "$one", 0.2) is True
    async with asyncio.timeout(10):
        while not await store.lease("webhooks", "two", 60):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await store.lease("webhooks", "$one", 60) is False


async def test_of_many_who_want_a_task_at_once_one_gets_it(store: Store) -> None:
    got = await asyncio.gather(*(store.lease("webhooks", f"p{n}", 60) for n in range(10)))
    assert got.count(True) == 1


# --- what webhooks still have to tell -------------------------------------------------------------------


async def test_messages_that_were_appended_with_a_hook_are_told_in_order_until_dropped(store: Store) -> None:
    await send(store, hooked("1"), draft("untold"), hooked("2", hook="00-aa-bb-01"), hooked("3"))
    first, second, third = await store.hooks("c", limit=10)
    assert [each.message.seq for each in (first, second, third) if each.message] == [1, 3, 4]
    assert (first.type, first.lane, first.trace, second.trace) == ("message.created", "c", "", "00-aa-bb-01")
    await store.drop_hooks([first, second])
    assert await kept(store) == ["3"]
    assert await kept(store, limit=1) == ["3"]
    await store.drop_hooks([third, third])
    assert await kept(store) == []
    assert [m.content for m in await store.history("c", limit=10)] == ["1", "untold", "2", "3"]


async def test_a_repeated_message_is_told_once(store: Store) -> None:
    await send(store, hooked("1", client_message_id="a"), hooked("1", client_message_id="a"))
    await send(store, hooked("1", client_message_id="a"))
    assert await kept(store) == ["1"]
    await store.drop_hooks(await store.hooks("c", limit=10))
    await send(store, hooked("1", client_message_id="a"))
    assert await kept(store) == []


async def test_other_hooks_come_after_messages_by_their_ids_and_once(store: Store) -> None:
    await store.keep_hooks([])
    await store.keep_hooks([hook(9), hook(7, message_id=5, trace="00-aa-bb-01")])
    await store.keep_hooks([hook(9, type="other"), hook(8)])
    await send(store, hooked("1"))
    assert await kept(store) == ["1", 7, 8, 9]
    assert (await store.hooks("c", limit=10))[1] == hook(7, message_id=5, trace="00-aa-bb-01")
    assert (await store.hooks("c", limit=10))[3] == hook(9)
    await store.drop_hooks([hook(8), *(await store.hooks("c", limit=1))[:1]])
    assert await kept(store) == [7, 9]


async def test_lanes_are_those_in_which_something_is_kept(store: Store) -> None:
    for where in ("a.$b", "ä€😀"):
        await store.save(conversation(where))
    await send(store, hooked("1"), hooked("1", conversation_id="ä€😀"), draft("x", conversation_id="a.$b"))
    await store.keep_hooks([hook(1, "a.$b"), hook(2, "user:$x"), hook(3)])
    assert list(await store.hook_lanes(after="", limit=10)) == ["a.$b", "c", "user:$x", "ä€😀"]
    assert list(await store.hook_lanes(after="a.$b", limit=2)) == ["c", "user:$x"]
    assert list(await store.hook_lanes(after="ä€😀", limit=2)) == []
    await store.drop_hooks([*(await store.hooks("c", limit=10)), replace(hook(2), lane="user:$x")])
    assert list(await store.hook_lanes(after="", limit=10)) == ["a.$b", "ä€😀"]


async def test_what_a_deleted_conversation_was_to_tell_of_its_messages_is_gone(store: Store) -> None:
    await send(store, hooked("1"))
    await store.keep_hooks([hook(1, type="conversation.deleted")])
    await store.delete("c")
    assert await kept(store) == [1]


@over_lasting
async def test_what_is_to_be_told_is_there_after_a_restart(store: Store, database: Database) -> None:
    await send(store, hooked("1"))
    await store.keep_hooks([hook(1)])
    await store.close()
    again = database.make()
    await again.open()
    assert await kept(again) == ["1", 1]
    await again.close()


async def test_hooks_are_kept_with_a_conversation_or_not_at_all(store: Store) -> None:
    assert await store.save(conversation("c", version=2, name="x"), hooks=[hook(1)]) is True
    assert await store.save(conversation("c", version=2, name="y"), hooks=[hook(2)]) is False
    assert await kept(store) == [1]
    assert await store.delete("c", hooks=[hook(3)]) is True
    assert await store.delete("c", hooks=[hook(4)]) is False
    assert await kept(store) == [1, 3]


async def test_hooks_are_kept_with_a_change_or_not_at_all(store: Store) -> None:
    (message,) = await send(store, draft("before"))
    made = Change(
        conversation_id="c", message_id=message.id, kind=ChangeKind.EDITED, user_id="alice", at=later(1)
    )
    after = replace(message, content="after", edited_at=later(1))
    assert await store.change(after, made, before="before", hooks=[hook(1)]) is not None
    assert await store.change(after, made, before="before", hooks=[hook(2)]) is None
    assert await kept(store) == [1]


async def test_a_report_that_is_made_again_keeps_no_second_hook(store: Store) -> None:
    report = Report(
        id=1,
        message_id=7,
        conversation_id="c",
        seq=1,
        sender_id="alice",
        content="rude",
        sent_at=later(0),
        reporter_id="bob",
        reason=None,
        at=later(1),
    )
    await store.add_report(report, hooks=[hook(1)])
    await store.add_report(replace(report, id=2), hooks=[hook(2)])
    assert await kept(store) == [1]
