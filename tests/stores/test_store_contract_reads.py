"""What every store must do with cursors, read marks and memberships. See test_store_contract.py."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from messaging.domain.models import Membership, ReadMark
from messaging.service.ports import Store
from tests.stores.build import conversation, draft, fresh_id, later, mark, member, send

over_examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
USERS = ("alice", "bob", "$carol")


# --- cursors --------------------------------------------------------------------------------------------


async def test_a_cursor_begins_at_zero_only_rises_and_says_from_where(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice")])
    assert await store.cursor("c", "alice") == 0
    for seq, before, now in ((3, 0, 3), (3, None, 3), (2, None, 3), (7, 3, 7)):
        assert await store.mark_read(mark("alice", seq), own_read=seq - 1, keep=False) == before
        assert await store.cursor("c", "alice") == now
    assert await store.member("c", "alice") == member("alice", cursor=7, own_read=6)


async def test_a_cursor_is_not_raised_to_zero(store: Store) -> None:
    assert await store.mark_read(mark("alice", 0), own_read=0, keep=False) is None


async def test_somebody_who_is_no_member_has_a_cursor_too(store: Store) -> None:
    assert await store.mark_read(mark("guest", 4), own_read=1, keep=False) == 0
    assert await store.cursor("c", "guest") == 4
    assert await store.member("c", "guest") is None
    assert list(await store.memberships("guest")) == []


async def test_a_cursor_belongs_to_one_conversation(store: Store) -> None:
    await store.save(conversation("d"))
    await store.mark_read(mark("alice", 4), own_read=0, keep=False)
    assert await store.cursor("d", "alice") == 0


async def test_marks_at_the_same_instant_share_out_what_is_newly_read(store: Store) -> None:
    marks = [3, 9, 1, 7, 9, 2, 8]
    before = await asyncio.gather(
        *(store.mark_read(mark("alice", seq), own_read=seq, keep=False) for seq in marks)
    )
    assert await store.cursor("c", "alice") == 9
    moves = [(one, seq) for one, seq in zip(before, marks, strict=True) if one is not None]
    new = [seq for one, up_to in moves for seq in range(one + 1, up_to + 1)]
    assert sorted(new) == list(range(1, 10))


# --- read marks -----------------------------------------------------------------------------------------


async def test_a_mark_is_kept_only_when_asked(store: Store) -> None:
    kept = mark("alice", 3, seconds=0.001)
    await store.mark_read(kept, own_read=0, keep=True)
    await store.mark_read(mark("alice", 5, after=3), own_read=0, keep=False)
    assert list(await store.read_marks("c", after=0, up_to=9)) == [kept]


async def test_marks_of_one_reader_do_not_replace_each_other(store: Store) -> None:
    marks = [mark("alice", 3, seconds=1), mark("alice", 5, after=3, seconds=2)]
    for one in marks:
        assert await store.mark_read(one, own_read=0, keep=True) is not None
    got = await store.read_marks("c", after=0, up_to=9)
    assert sorted(got, key=lambda one: one.seq) == marks


async def test_a_mark_that_comes_too_late_does_not_change_when_a_message_was_first_read(
    store: Store,
) -> None:
    first = mark("alice", 3, seconds=1)
    await store.mark_read(first, own_read=0, keep=True)
    assert await store.mark_read(mark("alice", 3, seconds=2), own_read=0, keep=True) is None
    assert min(one.at for one in await store.read_marks("c", after=0, up_to=9)) == later(1)


def _covers(one: ReadMark, after: int, up_to: int) -> bool:
    return any(one.after < seq <= one.seq for seq in range(after + 1, up_to + 1))


steps = st.lists(st.tuples(st.sampled_from(USERS), st.integers(1, 4)), max_size=10)


@over_examples
@example(steps=[("alice", 2)], after=1, length=0)
@given(steps=steps, after=st.integers(0, 20), length=st.integers(0, 8))
async def test_read_marks_are_those_that_cover_any_message_of_the_window(
    store: Store, steps: list[tuple[str, int]], after: int, length: int
) -> None:
    where = fresh_id()
    await store.save(conversation(where))
    marks: list[ReadMark] = []
    cursors = dict.fromkeys(USERS, 0)
    for n, (user, step) in enumerate(steps):
        start, cursors[user] = cursors[user], cursors[user] + step
        marks.append(mark(user, cursors[user], after=start, conversation_id=where, seconds=n))
        assert await store.mark_read(marks[-1], own_read=0, keep=True) is not None
    got = await store.read_marks(where, after=after, up_to=after + length)
    assert sorted(got, key=lambda one: one.at) == [
        one for one in marks if _covers(one, after, after + length)
    ]


# --- memberships ------------------------------------------------------------------------------------------


async def test_a_membership_is_a_member_with_the_conversation_and_its_end(store: Store) -> None:
    me = member("alice", cursor=1, own_read=1, muted=True)
    saved = conversation("c", version=2, updated_at=later(3), member_count=1)
    await store.save(saved, put=[me])
    empty = Membership(conversation=saved, member=me, last_seq=0, own_sent=0, active_at=later(3))
    assert await store.membership("c", "alice") == empty
    sent = [draft(created_at=later(9)), draft(sender_id="bob", created_at=later(8))]
    await send(store, *sent)
    expected = Membership(conversation=saved, member=me, last_seq=2, own_sent=1, active_at=later(8))
    assert await store.membership("c", "alice") == expected
    assert list(await store.memberships("alice")) == [expected]
    assert await store.membership("c", "bob") is None
    assert await store.membership("nowhere", "alice") is None


async def test_memberships_are_all_of_a_users_and_of_nobody_else(store: Store) -> None:
    mine = [fresh_id("mine") for _ in range(30)]
    for where in mine:
        await store.save(conversation(where), put=[member("alice", where), member("bob", where)])
    await store.save(conversation("theirs"), put=[member("bob", "theirs")])
    got = await store.memberships("alice")
    assert sorted(one.conversation.id for one in got) == sorted(mine)
    assert {one.member.user_id for one in got} == {"alice"}
    assert len(await store.memberships("bob")) == 31
    assert list(await store.memberships("nobody")) == []


actions = st.lists(st.tuples(st.sampled_from(USERS), st.none() | st.integers(0, 12)), max_size=25)


@over_examples
@given(actions=actions)
async def test_unread_is_the_number_of_messages_of_others_past_the_cursor(
    store: Store, actions: list[tuple[str, int | None]]
) -> None:
    where = fresh_id()
    await store.save(conversation(where), put=[member(user, where) for user in USERS])
    senders: list[str] = []
    cursors = dict.fromkeys(USERS, 0)
    for user, read in actions:
        if read is None:
            await send(store, draft(conversation_id=where, sender_id=user))
            senders.append(user)
            continue
        seq = min(read, len(senders))
        own = await store.own_sent(where, user, up_to=seq)
        await store.mark_read(mark(user, seq, conversation_id=where), own_read=own, keep=False)
        cursors[user] = max(cursors[user], seq)
    for user in USERS:
        membership = await store.membership(where, user)
        assert membership is not None
        assert membership.unread == sum(sender != user for sender in senders[cursors[user] :])
        assert (membership.last_seq, membership.own_sent) == (len(senders), senders.count(user))
