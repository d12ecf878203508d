"""What every store must do: the words of `messaging.service.ports.Store`, as facts.

Messages are in here; users, conversations and members are in test_store_contract_people.py, reads in
test_store_contract_reads.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.domain.errors import RoomNotFound
from messaging.domain.ids import MAX_INTEGER
from messaging.domain.models import Appended, Attachment, Author, ContentType, Kind, Message
from messaging.service.ports import Store
from tests.stores.build import (
    Database,
    conversation,
    draft,
    everything,
    fresh_id,
    later,
    over_lasting,
    over_shared,
    send,
    stored,
)

HOSTILE = (
    *("$where", "$ne", "a.b.c", ".", "$", "..", "__proto__", "null", "0", "1e3", "-1", "%", "_", "\\", "*"),
    *(
        "'; DROP TABLE messages; --",
        '"quoted"',
        "it's",
        '{"$gt": ""}',
        "dm:",
        "é",
        "e\u0301",
        "🧑‍💻",
        "\u202eabc",
    ),
    *("x" * 128, "🙂" * 128, "\U0010ffff", "a\u2028b", "UPPER", "upper"),
)

over_examples = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def seqs(messages: list[Message] | tuple[Message, ...]) -> list[int]:
    return [message.seq for message in messages]


# --- opening and closing -------------------------------------------------------------------------------


async def test_opening_closing_and_closing_again_are_idempotent(database: Database) -> None:
    store = database.make()
    await store.open()
    await store.open()
    await store.ping()
    await store.close()
    await store.close()


async def test_closing_a_store_that_was_never_opened_does_nothing(database: Database) -> None:
    await database.make().close()


async def test_an_open_store_answers_a_ping(store: Store) -> None:
    await store.ping()
    await store.ping()


@over_lasting
async def test_a_store_that_is_opened_again_has_everything(database: Database, store: Store) -> None:
    sent = await send(store, draft("one", client_message_id="k"), draft("two"))
    await store.close()
    again = database.make()
    await again.open()
    try:
        assert list(await everything(again)) == sent
        assert await again.conversation("c") == conversation("c")
        assert stored((await again.append([draft("three")]))[0]).seq == 3
        assert await again.append([draft("twice", client_message_id="k")]) == [
            Appended(message=sent[0], repeated=True)
        ]
    finally:
        await again.close()


# --- append ----------------------------------------------------------------------------------------


async def test_a_message_comes_back_as_it_was_sent(store: Store) -> None:
    given = draft(
        "line one\nline two",
        author=Author.SYSTEM,
        content_type=ContentType.IMAGE,
        attachments=(
            Attachment(
                id="a", url="/x.png", file_name="x.png", file_size=3, mime_type="image/png", duration=1.5
            ),
            Attachment(id="b", url="https://example.org/ü", file_name="ü"),
        ),
        reply_to=MAX_INTEGER,
        client_message_id="k",
        device="phone",
        created_at=later(0.001),
    )
    (outcome,) = await store.append([given])
    message = stored(outcome)
    assert message == Message(
        **{name: getattr(given, name) for name in given.__dataclass_fields__ if name != "hook"},
        seq=1,
        sender_seq=1,
    )
    assert await store.message(given.id) == message
    assert list(await everything(store)) == [message]


async def test_an_empty_batch_stores_nothing(store: Store) -> None:
    assert list(await store.append([])) == []


async def test_messages_are_numbered_from_one_without_gaps_in_the_order_given(store: Store) -> None:
    await store.save(conversation("d"))
    first = await send(store, draft("a"), draft("b", conversation_id="d"), draft("c"))
    second = await send(store, draft("d", conversation_id="d"), draft("e"), draft("f", conversation_id="d"))
    assert [(m.content, m.conversation_id, m.seq) for m in [*first, *second]] == [
        *(("a", "c", 1), ("b", "d", 1), ("c", "c", 2)),
        *(("d", "d", 2), ("e", "c", 3), ("f", "d", 3)),
    ]


async def test_each_sender_has_a_count_of_their_own_in_each_conversation(store: Store) -> None:
    await store.save(conversation("d"))
    senders = [("alice", "c"), ("bob", "c"), ("alice", "c"), ("alice", "d"), ("bob", "c")]
    drafts = [draft(sender_id=sender, conversation_id=where) for sender, where in senders]
    sent = await send(store, *drafts[:2]) + await send(store, *drafts[2:])
    assert [message.sender_seq for message in sent] == [1, 1, 2, 1, 2]


async def test_a_batch_of_many_conversations_and_senders_is_dense_in_each(store: Store) -> None:
    rooms = [fresh_id("room") for _ in range(5)]
    for room in rooms:
        await store.save(conversation(room))
    sent = await send(
        store, *(draft(conversation_id=rooms[n % 5], sender_id=f"u{n % 3}") for n in range(150))
    )
    for room in rooms:
        here = [message for message in sent if message.conversation_id == room]
        assert seqs(here) == list(range(1, 31))
        assert list(await everything(store, room)) == here


async def test_a_client_message_id_that_is_sent_again_gives_the_first_message(store: Store) -> None:
    (first,) = await send(store, draft("first", client_message_id="k"))
    await send(store, draft("between"))
    outcomes = await store.append([draft("again", client_message_id="k"), draft("after")])
    assert outcomes[0] == Appended(message=first, repeated=True)
    assert [message.content for message in await everything(store)] == ["first", "between", "after"]
    assert stored(outcomes[1]).seq == 3


async def test_a_client_message_id_twice_in_one_batch_is_one_message(store: Store) -> None:
    drafts = [draft("first", client_message_id="k"), draft("x"), draft("again", client_message_id="k")]
    outcomes = await store.append(drafts)
    first, other, again = outcomes
    assert first == Appended(message=stored(first))
    assert again == Appended(message=stored(first), repeated=True)
    assert [message.content for message in await everything(store)] == ["first", "x"]
    assert stored(other).sender_seq == 2


async def test_a_whole_batch_that_is_sent_again_stores_nothing(store: Store) -> None:
    drafts = [draft(f"{n}", client_message_id=f"k{n}") for n in range(20)]
    sent = await send(store, *drafts)
    again = await store.append([replace(d, id=draft().id) for d in drafts])
    assert list(again) == [Appended(message=message, repeated=True) for message in sent]
    assert list(await everything(store)) == sent


async def test_a_batch_that_is_sent_again_with_its_ids_stores_nothing(store: Store) -> None:
    drafts = [draft(f"{n}", client_message_id=f"k{n}") for n in range(20)]
    sent = await send(store, *drafts)
    assert list(await store.append(drafts)) == [Appended(message=m, repeated=True) for m in sent]


async def test_a_batch_may_hold_new_and_repeated_messages_in_any_order(store: Store) -> None:
    drafts = [draft(f"{n}", client_message_id=f"k{n}") for n in range(20)]
    await send(store, *drafts[5:10])
    await send(store, *drafts[15:])
    outcomes = await store.append([replace(d, id=draft().id) for d in drafts])
    assert [isinstance(o, Appended) and o.repeated for o in outcomes] == [
        n in range(5, 10) or n >= 15 for n in range(20)
    ]
    everyone = await everything(store)
    assert seqs(list(everyone)) == list(range(1, 21))
    assert sorted(int(message.content) for message in everyone) == list(range(20))


async def test_a_large_batch_of_many_conversations_is_placed_like_many_small_ones(store: Store) -> None:
    for number in range(40):
        await store.save(conversation(f"p{number}"))
    drafts = [  # two rounds, in which five conversations do not exist
        draft(f"{n}", conversation_id=f"p{n % 45}", sender_id=f"u{n % 7}", client_message_id=f"k{n}")
        for n in range(90)
    ]
    first, again = await store.append(drafts), await store.append(drafts)
    assert [isinstance(each, RoomNotFound) for each in first] == [n % 45 >= 40 for n in range(90)]
    for number in range(40):
        messages = await everything(store, f"p{number}")
        assert [(m.content, m.seq, m.sender_seq) for m in messages] == [
            (f"{number}", 1, 1),
            (f"{number + 45}", 2, 1),
        ]
    kept = [each.message for each in first if isinstance(each, Appended)]
    assert [each for each in again if isinstance(each, Appended)] == [
        Appended(message=message, repeated=True) for message in kept
    ]


async def test_a_client_message_id_belongs_to_one_sender_in_one_conversation(store: Store) -> None:
    await store.save(conversation("d"))
    sent = await send(
        store,
        draft(client_message_id="k"),
        draft(client_message_id="k", sender_id="bob"),
        draft(client_message_id="k", conversation_id="d"),
        draft(client_message_id="K"),
    )
    assert len({message.id for message in sent}) == 4


async def test_messages_without_a_client_message_id_are_all_different(store: Store) -> None:
    sent = await send(store, draft("same"), draft("same"), draft("same"))
    assert seqs(sent) == [1, 2, 3]


async def test_a_draft_for_a_conversation_that_does_not_exist_gives_room_not_found(store: Store) -> None:
    outcomes = await store.append([draft("a"), draft("b", conversation_id="nowhere"), draft("c")])
    assert isinstance(outcomes[1], RoomNotFound)
    assert [stored(outcome).seq for outcome in (outcomes[0], outcomes[2])] == [1, 2]
    assert list(await everything(store, "nowhere")) == []


async def test_an_id_that_another_message_has_is_replaced(store: Store) -> None:
    (first,) = await send(store, draft("first", id=MAX_INTEGER))
    await store.save(conversation("d"))
    drafts = [
        draft("a", id=MAX_INTEGER),
        draft("b", id=MAX_INTEGER, conversation_id="d"),
        draft("c", id=7_000_000),
        draft("d", id=7_000_000, client_message_id="k"),
    ]
    sent = await send(store, *drafts)
    assert len({first.id, *(message.id for message in sent)}) == 5
    assert all(1 <= message.id <= MAX_INTEGER for message in sent)
    assert sent[2].id == 7_000_000
    for message in (first, *sent):
        assert await store.message(message.id) == message


async def test_the_smallest_and_the_largest_id_are_kept(store: Store) -> None:
    sent = await send(store, draft(id=1_000_000_007), draft(id=MAX_INTEGER))
    assert [message.id for message in sent] == [1_000_000_007, MAX_INTEGER]
    assert await store.message(MAX_INTEGER) == sent[1]


@pytest.mark.parametrize("text", HOSTILE)
async def test_any_text_can_be_an_id_and_content(store: Store, text: str) -> None:
    place = conversation(text, kind=Kind.ROOM, name=text)
    if text != "c":
        assert await store.save(place)
    given = draft(text, conversation_id=text, sender_id=text, client_message_id=text[:64], device=text)
    (message,) = await send(store, given)
    assert message.content == text
    assert await store.conversation(text) == place
    assert await store.message_by_client_id(text, text, text[:64]) == message
    assert list(await everything(store, text)) == [message]
    assert await store.own_sent(text, text) == 1
    assert (await store.tails([text]))[text].last_seq == 1
    assert await store.append([given]) == [Appended(message=message, repeated=True)]


async def test_ids_that_look_alike_are_different(store: Store) -> None:
    for n, text in enumerate(HOSTILE):
        await store.save(conversation(text))
        await send(store, *(draft(conversation_id=text) for _ in range(n + 1)))
    tails = await store.tails(HOSTILE)
    assert [tails[text].last_seq for text in HOSTILE] == list(range(1, len(HOSTILE) + 1))


async def test_a_long_message_is_kept_whole(store: Store) -> None:
    content = "🙂é\n" * 30_000
    await send(store, draft(content))
    assert (await everything(store))[0].content == content


async def test_a_message_after_a_cancelled_one_with_the_same_client_message_id_is_stored_once(
    store: Store,
) -> None:
    for turns in range(12):
        where = fresh_id()
        await store.save(conversation(where))
        given = draft(conversation_id=where, client_message_id="k")
        write = asyncio.create_task(store.append([given]))
        for _ in range(turns):
            await asyncio.sleep(0)
        write.cancel()
        (message,) = await send(store, replace(given, id=draft().id))
        await asyncio.gather(write, return_exceptions=True)
        assert list(await everything(store, where)) == [message]
        assert await send(store, draft(conversation_id=where, client_message_id="k")) == [message]


# --- two processes ------------------------------------------------------------------------------------


async def _send_many(store: Store, sender: str, count: int, batch: int) -> list[Message]:
    sent: list[Message] = []
    for start in range(0, count, batch):
        drafts = [draft(f"{sender} {n}", sender_id=sender) for n in range(start, start + batch)]
        sent += await send(store, *drafts)
    return sent


@pytest.mark.parametrize("batch", [1, 10, 50])
@over_shared
async def test_two_writers_in_one_conversation_make_one_dense_order(
    store: Store, second_store: Store, batch: int
) -> None:
    one, two = await asyncio.gather(
        _send_many(store, "alice", 500, batch), _send_many(second_store, "bob", 500, batch)
    )
    for sent in (one, two):
        assert seqs(sent) == sorted(seqs(sent))
        assert [message.sender_seq for message in sent] == list(range(1, 501))
    messages = list(await everything(store))
    assert seqs(messages) == list(range(1, 1001))
    assert sorted([*one, *two], key=lambda message: message.seq) == messages


@over_shared
async def test_one_sender_on_two_processes_is_counted_once_for_each_message(
    store: Store, second_store: Store
) -> None:
    await asyncio.gather(_send_many(store, "alice", 100, 5), _send_many(second_store, "alice", 100, 5))
    messages = list(await everything(store))
    assert [(m.seq, m.sender_seq) for m in messages] == [(n, n) for n in range(1, 201)]


@over_shared
async def test_a_reader_never_sees_a_gap_while_two_processes_write(store: Store, second_store: Store) -> None:
    writes = asyncio.gather(_send_many(store, "alice", 200, 7), _send_many(second_store, "bob", 200, 7))
    while not writes.done():
        messages = list(await everything(second_store))
        assert seqs(messages) == list(range(1, len(messages) + 1))
    await writes


@over_shared
async def test_a_client_message_id_at_the_same_instant_in_two_processes_is_one_message(
    store: Store, second_store: Store
) -> None:
    for n in range(25):
        both = await asyncio.gather(
            store.append([draft(client_message_id=f"k{n}"), draft("x")]),
            second_store.append([draft("y"), draft(client_message_id=f"k{n}")]),
        )
        mine, theirs = both[0][0], both[1][1]
        assert isinstance(mine, Appended)
        assert isinstance(theirs, Appended)
        assert mine.message == theirs.message
        assert [mine.repeated, theirs.repeated].count(True) == 1
    assert seqs(list(await everything(store))) == list(range(1, 76))


@over_shared
async def test_what_one_process_wrote_the_other_reads(store: Store, second_store: Store) -> None:
    for n in range(20):
        (message,) = await send(store, draft(f"{n}"))
        assert await second_store.message(message.id) == message
        assert (await second_store.tails(["c"]))["c"].last_seq == n + 1


# --- reading messages ------------------------------------------------------------------------------------


async def test_there_is_no_message_under_an_unknown_id(store: Store) -> None:
    assert await store.message(MAX_INTEGER) is None
    assert await store.message_by_client_id("c", "alice", "k") is None


async def test_a_message_is_found_by_its_client_message_id(store: Store) -> None:
    (message,) = await send(store, draft(client_message_id="k"))
    assert await store.message_by_client_id("c", "alice", "k") == message
    assert await store.message_by_client_id("c", "bob", "k") is None
    assert await store.message_by_client_id("d", "alice", "k") is None


bound = st.none() | st.integers(0, 16)


@over_examples
@given(
    count=st.integers(0, 14), before=bound, after=bound, offset=st.integers(0, 16), limit=st.integers(1, 16)
)
async def test_a_window_of_history_is_what_slicing_the_whole_gives(
    store: Store, count: int, before: int | None, after: int | None, offset: int, limit: int
) -> None:
    where = fresh_id()
    await store.save(conversation(where))
    everyone = await send(store, *(draft(f"{n}", conversation_id=where) for n in range(count)))
    if after is not None:
        page = await store.history(where, after=after, limit=limit)
        assert list(page) == [m for m in everyone if m.seq > after][:limit]
    elif before is not None:
        page = await store.history(where, before=before, limit=limit)
        assert list(page) == [m for m in everyone if m.seq < before][-limit:]
    else:
        page = await store.history(where, offset=offset, limit=limit)
        assert list(page) == everyone[: max(0, count - offset)][-limit:]


async def test_tails_tell_how_far_each_conversation_has_come(store: Store) -> None:
    await store.save(conversation("d"))
    await store.save(conversation("d", version=2))
    await send(store, draft(), draft())
    tails = await store.tails(["c", "d", "nowhere"])
    assert {key: (tail.last_seq, tail.last_rev, tail.version) for key, tail in tails.items()} == {
        "c": (2, 0, 1),
        "d": (0, 0, 2),
        "nowhere": (0, 0, 0),
    }
    assert dict(await store.tails([])) == {}


@over_examples
@given(senders=st.lists(st.sampled_from(["alice", "bob", "$x"]), max_size=20), up_to=st.integers(0, 22))
async def test_own_sent_counts_a_senders_messages_up_to_a_seq(
    store: Store, senders: list[str], up_to: int
) -> None:
    where = fresh_id()
    await store.save(conversation(where))
    await send(store, *(draft(conversation_id=where, sender_id=sender) for sender in senders))
    for user in ("alice", "bob", "$x", "nobody"):
        assert await store.own_sent(where, user) == senders.count(user)
        assert await store.own_sent(where, user, up_to=up_to) == senders[:up_to].count(user)
