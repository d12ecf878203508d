"""What every store must say of where conversations end. See test_store_contract.py."""

from __future__ import annotations

import asyncio

from messaging.domain.models import ChangeKind
from messaging.domain.pages import End
from messaging.service.ports import Store
from messaging.stores.gathered import gathered
from tests.stores.build import change, conversation, draft, later, mark, member, send


async def test_an_end_is_the_conversation_with_its_last_message_and_change(store: Store) -> None:
    await store.save(conversation("quiet"))
    first, _ = await send(store, draft("one"), draft("two"))
    await store.change(first, change(first, ChangeKind.DELETED))
    assert dict(await store.ends({"c": None, "quiet": 0, "nowhere": 0})) == {
        "c": End(conversation=conversation("c"), last_seq=2, last_rev=1),
        "quiet": End(conversation=conversation("quiet")),
    }
    assert await store.ends({}) == {}


async def test_an_end_has_the_marks_that_cover_any_later_message(store: Store) -> None:
    await store.save(conversation("d"))
    await send(store, *(draft(str(number)) for number in range(6)))
    marks = [mark("bob", 2), mark("bob", 5, after=2, seconds=2), mark("carol", 5, after=1, seconds=1)]
    for one in (*marks, mark("bob", 4, conversation_id="d")):
        await store.mark_read(one, own_read=0, keep=True)
    ends = await store.ends({"c": 2, "d": None})
    assert ends["c"].marks == (marks[2], marks[1])
    assert ends["d"].marks == ()
    assert set((await store.ends({"c": 0}))["c"].marks) == set(marks)
    assert (await store.ends({"c": 5}))["c"].marks == ()


async def test_an_end_says_up_to_where_messages_were_removed(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice")])
    await send(store, *(draft(str(number), created_at=later(number)) for number in range(4)))
    await store.remove_before("c", later(2), limit=10)
    end = (await store.ends({"c": None}))["c"]
    assert (end.conversation.removed_seq, end.last_seq) == (2, 4)


async def test_who_asks_together_is_told_what_each_of_them_asked(store: Store) -> None:
    together = gathered(store)
    await store.save(conversation("d"))
    await send(store, draft("one"), draft("two"))
    await store.mark_read(mark("bob", 1), own_read=0, keep=True)
    late, early, unasked, other = await asyncio.gather(
        *(together.ends(after) for after in ({"c": 1}, {"c": 0}, {"c": None}, {"d": 0, "nowhere": 0}))
    )
    assert [each["c"].last_seq for each in (late, early, unasked)] == [2, 2, 2]
    assert [each["c"].marks for each in (late, early, unasked)] == [(), (mark("bob", 1),), ()]
    assert dict(other) == {"d": End(conversation=conversation("d"))}
