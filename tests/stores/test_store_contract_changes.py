"""What every store must do with changes of messages. See test_store_contract.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from messaging.domain.models import Change, Changed, ChangeKind, Edit, Message, Position, Reaction, Tail
from messaging.service.ports import Store
from tests.stores.build import (
    Database,
    change,
    conversation,
    draft,
    everything,
    later,
    member,
    over_lasting,
    over_shared,
    send,
)

EDITED, DELETED = ChangeKind.EDITED, ChangeKind.DELETED
REACTED, UNREACTED = ChangeKind.REACTED, ChangeKind.UNREACTED


async def edit(store: Store, message: Message, content: str, user_id: str = "alice") -> Changed:
    """The message with other words, as it is stored."""
    after = replace(message, content=content, edited_at=later(9))
    changed = await store.change(after, change(message, EDITED, user_id), before=message.content)
    assert changed is not None
    return changed


async def react(store: Store, message: Message, *user_ids: str, emoji: str = "👍") -> Changed | None:
    """The message with one more reaction, if it was as it is given here."""
    after = replace(message, reactions=(Reaction(emoji=emoji, user_ids=user_ids),))
    return await store.change(after, change(message, REACTED, user_ids[-1], emoji=emoji))


async def delete(store: Store, message: Message) -> Changed:
    """The message without its words, as it is stored."""
    after = replace(message, content="", attachments=(), reactions=(), deleted_at=later(9))
    changed = await store.change(after, change(message, DELETED))
    assert changed is not None
    return changed


def revs(changes: Sequence[Change]) -> list[int]:
    return [each.rev for each in changes]


# --- one change ---------------------------------------------------------------------------------------


async def test_a_change_gets_the_next_rev_and_says_where_the_conversation_ended(store: Store) -> None:
    first, second = await send(store, draft("one"), draft("two"))
    edited = await edit(store, first, "uno")
    assert (edited.change.rev, edited.change.last_seq) == (1, 2)
    await send(store, draft("three"))
    reacted = await react(store, second, "bob")
    assert reacted is not None
    assert (reacted.change.rev, reacted.change.last_seq) == (2, 3)
    assert (edited.message.rev, reacted.message.rev) == (1, 2)
    assert await store.tails(["c"]) == {"c": Tail(last_seq=3, last_rev=2, version=1)}


async def test_a_changed_message_is_read_back_as_it_was_changed(store: Store) -> None:
    (message,) = await send(store, draft("one", client_message_id="k", reply_to=7, device="phone"))
    edited = await edit(store, message, "uno")
    assert edited.message == replace(message, content="uno", edited_at=later(9), rev=1)
    reacted = await react(store, edited.message, "bob", "alice")
    assert reacted is not None
    assert reacted.message.reactions == (Reaction(emoji="👍", user_ids=("bob", "alice")),)
    assert await store.message(message.id) == reacted.message
    assert list(await everything(store)) == [reacted.message]
    gone = await delete(store, reacted.message)
    assert await store.message(message.id) == gone.message
    assert (gone.message.content, gone.message.deleted_at, gone.message.rev) == ("", later(9), 3)
    assert (gone.message.reactions, gone.message.attachments) == ((), ())


async def test_a_change_of_what_has_changed_since_is_not_made(store: Store) -> None:
    (message,) = await send(store, draft("one"))
    edited = await edit(store, message, "uno")
    assert await react(store, message, "bob") is None
    assert await store.message(message.id) == edited.message
    assert revs(await store.changes("c", after=0, limit=9)) == [1]
    assert (await store.tails(["c"]))["c"].last_rev == 1
    assert await react(store, edited.message, "bob") is not None


async def test_what_is_gone_cannot_be_changed(store: Store) -> None:
    (message,) = await send(store, draft("one"))
    assert await react(store, replace(message, id=message.id + 1), "bob") is None
    await store.delete("c")
    assert await react(store, message, "bob") is None
    assert list(await store.changes("c", after=0, limit=9)) == []


async def test_a_renamed_conversation_goes_on_counting(store: Store) -> None:
    (message,) = await send(store, draft("one"))
    changed = await edit(store, message, "uno")
    await store.save(conversation("c", version=2, name="new"), put=[member("alice")])
    again = await edit(store, changed.message, "un")
    assert again.change.rev == 2
    membership = await store.membership("c", "alice")
    assert membership is not None
    assert membership.last_rev == 2


async def test_a_conversation_under_an_old_id_begins_to_count_anew(store: Store) -> None:
    (message,) = await send(store, draft("one"))
    await edit(store, message, "uno")
    await store.delete("c")
    await store.save(conversation("c"))
    (message,) = await send(store, draft("one"))
    assert (await edit(store, message, "uno")).change.rev == 1
    assert revs(await store.changes("c", after=0, limit=9)) == [1]


# --- reading what changed -----------------------------------------------------------------------------


async def test_changes_are_read_past_a_rev_in_their_order(store: Store) -> None:
    first, second = await send(store, draft("one"), draft("two"))
    made = [await edit(store, first, "uno"), await react(store, second, "bob")]
    made.append(await edit(store, made[0].message, "un") if made[0] else None)
    expected = [each.change for each in made if each]
    assert list(await store.changes("c", after=0, limit=9)) == expected
    assert list(await store.changes("c", after=1, limit=9)) == expected[1:]
    assert list(await store.changes("c", after=0, limit=2)) == expected[:2]
    assert list(await store.changes("c", after=3, limit=9)) == []
    assert list(await store.changes("c", after=0, limit=0)) == []
    assert list(await store.changes("other", after=0, limit=9)) == []
    assert [each.emoji for each in expected] == [None, "👍", None]


async def test_the_rev_before_a_message_is_the_last_that_was_made_before_it(store: Store) -> None:
    assert await store.rev_before("c", 1) == 0
    (message,) = await send(store, draft("one"))
    changed = await edit(store, message, "uno")
    changed = await edit(store, changed.message, "un")
    await send(store, draft("two"), draft("three"))
    await edit(store, changed.message, "eins")
    assert [await store.rev_before("c", seq) for seq in (1, 2, 3, 4, 99)] == [0, 2, 2, 3, 3]
    assert await store.rev_before("other", 99) == 0


async def test_messages_are_found_by_their_ids(store: Store) -> None:
    one, two = await send(store, draft("one"), draft("two"))
    assert await store.messages([two.id, one.id, two.id + 1_000]) == {one.id: one, two.id: two}
    assert await store.messages([]) == {}


async def test_what_a_message_said_before_is_kept_with_each_edit(store: Store) -> None:
    (message,) = await send(store, draft("one"))
    assert list(await store.edits(message.id, limit=9)) == []
    changed = await edit(store, message, "uno")
    changed = await edit(store, changed.message, "un", user_id="host")
    assert await react(store, changed.message, "bob") is not None
    expected = [
        Edit(content="one", user_id="alice", at=change(message, EDITED).at, rev=1),
        Edit(content="uno", user_id="host", at=change(message, EDITED).at, rev=2),
    ]
    assert list(await store.edits(message.id, limit=9)) == expected
    assert list(await store.edits(message.id, limit=1)) == expected[1:]
    assert list(await store.edits(message.id, limit=0)) == []
    assert list(await store.edits(message.id, limit=9, after=0)) == expected
    assert list(await store.edits(message.id, limit=1, after=0)) == expected[:1]
    assert list(await store.edits(message.id, limit=9, after=1)) == expected[1:]
    assert list(await store.edits(message.id, limit=9, after=2)) == []


async def test_with_a_deleted_message_goes_what_it_said_before(store: Store) -> None:
    first, second = await send(store, draft("one"), draft("two"))
    edited = await edit(store, first, "uno")
    await edit(store, second, "dos")
    await delete(store, edited.message)
    assert list(await store.edits(first.id, limit=9)) == []
    assert len(await store.edits(second.id, limit=9)) == 1
    kinds = [each.kind for each in await store.changes("c", after=0, limit=9)]
    assert kinds == [EDITED, EDITED, DELETED]


@over_lasting
async def test_changes_are_there_for_the_next_store(store: Store, database: Database) -> None:
    (message,) = await send(store, draft("one"))
    changed = await edit(store, message, "uno")
    await store.keep_positions("alice", "phone", {"c": Position(1, 1)}, at=later(0))
    await store.close()
    again = database.make()
    await again.open()
    try:
        assert list(await again.changes("c", after=0, limit=9)) == [changed.change]
        assert await again.message(message.id) == changed.message
        assert (await edit(again, changed.message, "un")).change.rev == 2
    finally:
        await again.close()


# --- several writers ----------------------------------------------------------------------------------


async def toggle(store: Store, message_id: int, user_id: str, times: int) -> None:
    """React and take it back, again and again, whatever others do to the message meanwhile."""
    done = 0
    while done < times:
        message = await store.message(message_id)
        assert message is not None
        mine = any(user_id in each.user_ids for each in message.reactions)
        others = tuple(each for each in message.reactions if user_id not in each.user_ids)
        own = () if mine else (Reaction(emoji=user_id, user_ids=(user_id,)),)
        made = change(message, UNREACTED if mine else REACTED, user_id, emoji=user_id)
        if await store.change(replace(message, reactions=others + own), made) is not None:
            done += 1


async def watch(store: Store, until: int) -> list[int]:
    """The revs in the order in which a reader finds them, who goes on from the last each time."""
    seen: list[int] = []
    while len(seen) < until:
        page = revs(await store.changes("c", after=seen[-1] if seen else 0, limit=7))
        seen += page
        await asyncio.sleep(0)
    return seen


async def test_changes_made_at_once_are_counted_without_gaps(store: Store) -> None:
    one, two = await send(store, draft("one"), draft("two"))
    makers = [toggle(store, m.id, f"u{n}", 3) for n, m in enumerate((one, two, one, two))]
    seen, *_ = await asyncio.gather(watch(store, 12), *makers)
    assert seen == list(range(1, 13))
    messages = await store.messages([one.id, two.id])
    assert [len(messages[m.id].reactions) for m in (one, two)] == [2, 2]


@over_shared
async def test_a_reader_misses_no_change_while_two_processes_make_some(
    store: Store, second_store: Store
) -> None:
    one, two = await send(store, draft("one"), draft("two"))
    makers = [
        toggle(each, message.id, f"u{number}", 10)
        for number, (each, message) in enumerate(
            [(store, one), (second_store, one), (store, two), (second_store, two)]
        )
    ]
    seen, other, *_ = await asyncio.gather(watch(store, 40), watch(second_store, 40), *makers)
    assert seen == other == list(range(1, 41))
    assert (await store.tails(["c"]))["c"].last_rev == 40
