"""Reading: joining, windows of history, and how far somebody has read, held against naive models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.commands import (
    Actor,
    CreateConversation,
    JoinConversation,
    ListConversations,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
    SendMessage,
)
from messaging.domain.errors import (
    InvalidFormat,
    MessageNotFound,
    PermissionDenied,
    RoomNotFound,
    Unavailable,
)
from messaging.domain.events import MessagesRead
from messaging.domain.models import Kind, Membership, Message, MessageView, ReadMark, Tail
from messaging.domain.replies import ConversationList, HistoryPage, Joined, Marked
from messaging.service.policy import MAX_RECEIPTS, MISSED_PAGE, Policy
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, service, staged


def seqs(views: Sequence[MessageView]) -> list[int]:
    return [view.message.seq for view in views]


async def filled(stage: Stage, count: int, *user_ids: str) -> tuple[list[Actor], list[Message]]:
    """Group 1 of these users, in which the first one has said `count` things."""
    actors = [await stage.user(user_id) for user_id in user_ids]
    await stage.group("1", *user_ids)
    return actors, list(await asyncio.gather(*(stage.send(actors[0], "1") for _ in range(count))))


async def join(stage: Stage, actor: Actor, limit: int = 50, after: int | None = None) -> Joined:
    reply = await stage.do(actor, JoinConversation(conversation_id="1", limit=limit, after=after))
    assert isinstance(reply, Joined)
    return reply


async def history(stage: Stage, actor: Actor, command: LoadHistory) -> HistoryPage:
    reply = await stage.do(actor, command)
    assert isinstance(reply, HistoryPage)
    return reply


async def unread(stage: Stage, actor: Actor) -> int:
    reply = await stage.do(actor, ListConversations())
    assert isinstance(reply, ConversationList)
    assert reply.total_unread == sum(view.mine.unread for view in reply.conversations if view.mine)
    return reply.total_unread


# --- joining ---


@pytest.mark.parametrize(
    ("limit", "after", "expected", "more"),
    [
        (3, None, [8, 9, 10], True),
        (10, None, list(range(1, 11)), False),
        (50, None, list(range(1, 11)), False),
        (0, None, [], False),
        (3, 0, list(range(1, 11)), False),
        (3, 7, [8, 9, 10], False),
        (3, 10, [], False),
        (3, 99, [], False),
    ],
)
async def test_joining_gives_the_last_messages_or_all_that_was_missed(
    stage: Stage, limit: int, after: int | None, expected: list[int], more: bool
) -> None:
    [_, bob], _ = await filled(stage, 10, "alice", "bob")
    joined = await join(stage, bob, limit, after)
    assert seqs(joined.messages) == expected
    assert (joined.has_more, joined.missing, joined.last_seq) == (more, False, 10)


async def test_what_was_missed_and_does_not_fit_into_one_page_is_announced_as_missing(stage: Stage) -> None:
    [_, bob], _ = await filled(stage, MISSED_PAGE + 1, "alice", "bob")
    joined = await join(stage, bob, after=0)
    assert seqs(joined.messages) == list(range(1, MISSED_PAGE + 1))
    assert (joined.missing, joined.last_seq) == (True, MISSED_PAGE + 1)
    rest = await join(stage, bob, after=MISSED_PAGE)
    assert (seqs(rest.messages), rest.missing) == ([MISSED_PAGE + 1], False)


async def test_joining_an_empty_conversation_gives_an_empty_history(stage: Stage) -> None:
    [alice], _ = await filled(stage, 0, "alice")
    for after in (None, 0, 7):
        joined = await join(stage, alice, after=after)
        assert (joined.messages, joined.has_more, joined.missing, joined.last_seq) == ((), False, False, 0)


class Growing(SqliteStore):
    """A store in which a message is written right behind every look at the history."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.other: Stage | None = None
        self.written = asyncio.Event()

    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        """As Store.history."""
        found = await super().history(conversation_id, before=before, after=after, offset=offset, limit=limit)
        if self.other is not None:
            await self.other.do(
                service(), SendMessage(conversation_id=conversation_id, content="x", system=True)
            )
            self.other = None
            self.written.set()
        return found

    async def tails(self, conversation_ids: Collection[str]) -> Mapping[str, Tail]:
        """As Store.tails, behind that message."""
        if self.other is not None:
            await self.written.wait()
        return await super().tails(conversation_ids)


@pytest.mark.parametrize("count", [0, 3, MISSED_PAGE])
@pytest.mark.parametrize("back", [None, 0, 1])
async def test_a_message_that_comes_while_joining_is_in_the_history_or_past_its_end(
    count: int, back: int | None
) -> None:
    store = Growing()
    async with staged(store=store) as stage:
        [alice], _ = await filled(stage, count, "alice")
        store.other = stage
        after = None if back is None else max(0, count - back)
        joined = await join(stage, alice, after=after)
        end = joined.messages[-1].message.seq if joined.messages else (after or 0)
        assert joined.last_seq == end or joined.missing


async def test_a_public_room_is_made_by_joining_where_that_is_asked_for(stage: Stage) -> None:
    eve = await stage.user("eve")
    with pytest.raises(RoomNotFound):
        await stage.do(eve, JoinConversation(conversation_id="lobby"))
    for _ in range(2):
        reply = await stage.do(eve, JoinConversation(conversation_id="lobby", create=True))
        assert isinstance(reply, Joined)
        assert reply.conversation.kind is Kind.ROOM


async def test_joining_by_name_tells_no_stranger_that_a_group_is_there(stage: Stage) -> None:
    await filled(stage, 1, "alice")
    eve = await stage.user("eve")
    for name in ("1", "no room name", "dm:alice:bob"):
        with pytest.raises(PermissionDenied):
            await stage.do(eve, JoinConversation(conversation_id=name, create=True))
        with pytest.raises(RoomNotFound):
            await stage.do(eve, JoinConversation(conversation_id=name))


# --- history ---


@given(
    count=st.integers(0, 12),
    limit=st.integers(1, 14),
    bound=st.integers(0, 14),
    way=st.sampled_from(["before", "after", "offset"]),
)
@settings(max_examples=60, deadline=None)
async def test_a_window_of_history_is_a_slice_of_all_messages(
    count: int, limit: int, bound: int, way: str
) -> None:
    async with staged() as stage:
        [alice], _ = await filled(stage, count, "alice")
        every = list(range(1, count + 1))
        match way:
            case "before":
                command = LoadHistory(conversation_id="1", before=bound, limit=limit)
                part = [seq for seq in every if seq < bound][-limit:]
            case "after":
                command = LoadHistory(conversation_id="1", after=bound, limit=limit)
                part = [seq for seq in every if seq > bound][:limit]
            case _:
                command = LoadHistory(conversation_id="1", offset=bound, limit=limit)
                part = every[: max(0, count - bound)][-limit:]
        page = await history(stage, alice, command)
        assert seqs(page.messages) == part
        assert page.last_seq == count
        beyond = part and (part[-1] < count if way == "after" else part[0] > 1)
        assert page.has_more == bool(beyond)


async def test_before_and_after_do_not_go_together(stage: Stage) -> None:
    [alice], _ = await filled(stage, 1, "alice")
    with pytest.raises(InvalidFormat):
        await stage.do(alice, LoadHistory(conversation_id="1", before=3, after=1))


async def test_the_history_with_a_contact_is_empty_until_they_talk(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    page = await history(stage, alice, LoadHistory(with_user="bob"))
    assert (page.conversation, page.messages, page.has_more) == (None, (), False)
    await stage.send(alice, "dm:alice:bob")
    assert seqs((await history(stage, alice, LoadHistory(with_user="bob"))).messages) == [1]


async def test_a_strangers_history_does_not_exist(stage: Stage) -> None:
    await filled(stage, 1, "alice")
    eve = await stage.user("eve")
    with pytest.raises(RoomNotFound):
        await stage.do(eve, LoadHistory(conversation_id="1"))


# --- how far somebody has read ---


async def test_a_mark_tells_of_all_newly_read_messages_of_others_by_rising_seq(stage: Stage) -> None:
    [alice, bob], messages = await filled(stage, 3, "alice", "bob")
    own = await stage.send(bob, "1")
    last = await stage.send(alice, "1")
    [told] = (await stage.outcome(bob, MarkRead(message_ids=(last.id,)))).events
    assert isinstance(told, MessagesRead)
    assert [receipt.seq for receipt in told.receipts] == [1, 2, 3, 5]
    assert own.id not in [receipt.message_id for receipt in told.receipts]
    assert (told.cursor, told.own_read, told.pushed) == (5, 1, True)
    assert {receipt.sender_id for receipt in told.receipts} == {"alice"}
    assert messages[0].id == told.receipts[0].message_id


async def test_at_most_the_newest_fifty_are_told(stage: Stage) -> None:
    [_, bob], _ = await filled(stage, MAX_RECEIPTS + 10, "alice", "bob")
    [told] = (await stage.outcome(bob, MarkConversationRead(conversation_id="1"))).events
    assert isinstance(told, MessagesRead)
    assert [receipt.seq for receipt in told.receipts] == list(range(11, MAX_RECEIPTS + 11))


async def test_marking_again_is_answered_to_the_caller_alone_and_nothing_goes_back(stage: Stage) -> None:
    [_, bob], messages = await filled(stage, 3, "alice", "bob")
    await stage.do(bob, MarkRead(message_ids=(messages[2].id,)))
    for message in messages:
        outcome = await stage.outcome(bob, MarkRead(message_ids=(message.id,)))
        assert outcome.events == ()
        assert isinstance(outcome.reply, Marked)
        [again] = outcome.reply.again
        assert [receipt.message_id for receipt in again.receipts] == [message.id]
    assert await stage.ctx.store.cursor("1", "bob") == 3
    whole = await stage.outcome(bob, MarkConversationRead(conversation_id="1"))
    assert whole.events == ()


async def test_only_marking_reads(stage: Stage) -> None:
    [_, bob], _ = await filled(stage, 3, "alice", "bob")
    await join(stage, bob)
    await history(stage, bob, LoadHistory(conversation_id="1"))
    await stage.send(bob, "1")
    assert await unread(stage, bob) == 3


async def test_one_command_marks_in_several_conversations(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    for conversation_id in ("1", "2"):
        await stage.group(conversation_id, "alice", "bob")
    messages = [await stage.send(alice, c) for c in ("1", "2", "2", "1", "2")]
    marked = (messages[0].id, messages[2].id, messages[1].id)
    outcome = await stage.outcome(bob, MarkRead(message_ids=marked, count_unread=True))
    assert isinstance(outcome.reply, Marked)
    assert outcome.reply.total_unread == await unread(stage, bob) == 2
    cursors = {e.conversation.id: e.cursor for e in outcome.events if isinstance(e, MessagesRead)}
    assert cursors == {"1": 1, "2": 2}


class Refusing(SqliteStore):
    """A store that refuses to move cursors in some conversations, and then to count what is unread."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.refuses: set[str] = set()
        self.counts = True

    async def mark_read(self, mark: ReadMark, *, own_read: int, keep: bool) -> int | None:
        """As Store.mark_read."""
        if mark.conversation_id in self.refuses:
            raise Unavailable
        return await super().mark_read(mark, own_read=own_read, keep=keep)

    async def memberships(self, user_id: str) -> Sequence[Membership]:
        """As Store.memberships."""
        if not self.counts:
            raise Unavailable
        return await super().memberships(user_id)


@pytest.mark.parametrize("counts", [True, False])
async def test_what_moved_is_told_even_where_something_else_failed(counts: bool) -> None:
    store = Refusing()
    async with staged(store=store) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        for group in ("1", "2", "3"):
            await stage.group(group, "alice", "bob")
        mark = MarkRead(
            message_ids=tuple([(await stage.send(alice, g)).id for g in "123"]), count_unread=True
        )
        store.refuses, store.counts = {"1", "2", "3"}, counts
        with pytest.raises(Unavailable):
            await stage.do(bob, mark)
        store.refuses = {"1", "3"}
        outcome = await stage.outcome(bob, mark)
        assert [e.conversation.id for e in outcome.events if isinstance(e, MessagesRead)] == ["2"]
        assert outcome.reply == Marked(total_unread=2 if counts else None)


async def test_a_message_that_one_may_not_see_cannot_be_marked_and_nothing_is(stage: Stage) -> None:
    [_, bob], messages = await filled(stage, 1, "alice", "bob")
    eve = await stage.user("eve")
    for actor, message_ids in ((eve, (messages[0].id,)), (bob, (messages[0].id, 12345))):
        with pytest.raises(MessageNotFound):
            await stage.do(actor, MarkRead(message_ids=message_ids))
    assert await stage.ctx.store.cursor("1", "bob") == 0
    with pytest.raises(RoomNotFound):
        await stage.do(eve, MarkConversationRead(conversation_id="1"))


async def test_an_empty_conversation_can_be_marked(stage: Stage) -> None:
    [alice], _ = await filled(stage, 0, "alice")
    outcome = await stage.outcome(alice, MarkConversationRead(conversation_id="1", count_unread=True))
    assert outcome.events == ()
    assert outcome.reply == Marked(total_unread=0)


async def test_receipts_of_large_conversations_are_not_pushed() -> None:
    async with staged(policy=Policy(receipts_max_members=2)) as stage:
        for conversation_id, members in (("small", ("alice", "bob")), ("large", ("alice", "bob", "carol"))):
            for user_id in members:
                await stage.user(user_id)
            await stage.group(conversation_id, *members)
            message = await stage.send(await stage.user("alice"), conversation_id)
            mark = MarkRead(message_ids=(message.id,))
            [told] = (await stage.outcome(await stage.user("bob"), mark)).events
            assert isinstance(told, MessagesRead)
            assert told.pushed == (conversation_id == "small")


async def test_receipts_of_a_public_room_are_pushed_while_few_watch_it() -> None:
    async with staged(policy=Policy(receipts_max_members=2)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="lobby"))
        for pushed in (True, False):
            message = await stage.send(alice, "lobby")
            [told] = (await stage.outcome(bob, MarkRead(message_ids=(message.id,)))).events
            assert isinstance(told, MessagesRead)
            assert told.pushed == pushed
            for user_id in ("alice", "bob", "carol"):
                await stage.ctx.presence.enter("lobby", user_id)


async def test_a_room_has_no_unread_counts(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="lobby"))
    await stage.send(alice, "lobby")
    assert await unread(stage, bob) == 0


# --- marks that come together ---


async def test_marks_that_come_together_are_all_acked_and_the_highest_is_written_and_told(
    stage: Stage,
) -> None:
    [_, bob], messages = await filled(stage, 20, "alice", "bob")
    stage.events.clear()
    outcomes = await asyncio.gather(
        *(stage.outcome(bob, MarkRead(message_ids=(message.id,))) for message in messages)
    )
    assert all(isinstance(outcome.reply, Marked) for outcome in outcomes)
    told = [event for event in stage.events if isinstance(event, MessagesRead)]
    assert len(told) <= 3
    assert max(event.cursor for event in told) == 20
    receipts = [receipt.seq for event in told for receipt in event.receipts]
    assert sorted(receipts) == list(range(1, 21))
    assert all(a.cursor < b.cursor for a, b in pairwise(sorted(told, key=lambda e: e.cursor)))
    assert await stage.ctx.store.cursor("1", "bob") == 20
    assert await unread(stage, bob) == 0


async def test_marks_of_different_users_do_not_wait_for_one_another(stage: Stage) -> None:
    actors, messages = await filled(stage, 2, "alice", "bob", "carol", "dave")
    mark = MarkRead(message_ids=(messages[1].id,))
    outcomes = await asyncio.gather(*(stage.outcome(actor, mark) for actor in actors[1:]))
    assert [len(outcome.events) for outcome in outcomes] == [1, 1, 1]


class Overtaking(SqliteStore):
    """A store where another process moves the cursor to `seq` just before this one does."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.seq = 0

    async def mark_read(self, mark: ReadMark, *, own_read: int, keep: bool) -> int | None:
        """As Store.mark_read."""
        if self.seq:
            await super().mark_read(replace(mark, seq=self.seq), own_read=0, keep=True)
        return await super().mark_read(mark, own_read=own_read, keep=keep)


@pytest.mark.parametrize(("overtaken", "told"), [(2, [3, 4]), (4, []), (9, [])])
async def test_what_another_process_told_to_be_read_is_not_told_again(
    overtaken: int, told: list[int]
) -> None:
    store = Overtaking()
    async with staged(store=store) as stage:
        [_, bob], messages = await filled(stage, 9, "alice", "bob")
        store.seq = overtaken
        events = (await stage.outcome(bob, MarkRead(message_ids=(messages[3].id,)))).events
        assert [r.seq for e in events if isinstance(e, MessagesRead) for r in e.receipts] == told
        assert await store.cursor("1", "bob") == max(4, overtaken)


# --- against naive models ---

USERS = ("u0", "u1", "u2", "u3")
Step = tuple[str, int, int]
"""What is done, by which user, and up to how far back from the end."""
steps = st.lists(
    st.tuples(st.sampled_from(["send", "send", "mark", "end"]), st.integers(0, 3), st.integers(0, 6)),
    max_size=40,
)


@dataclass
class Naive:
    """Who has read what and when, one entry for each reader and message."""

    senders: list[str] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(USERS, 0))
    reads: dict[tuple[int, str], datetime] = field(default_factory=dict)

    def mark(self, user_id: str, seq: int, at: datetime) -> list[int]:
        new = range(self.cursors[user_id] + 1, seq + 1)
        self.cursors[user_id] = max(self.cursors[user_id], seq)
        told = [n for n in new if self.senders[n - 1] != user_id]
        self.reads |= {(n, user_id): at for n in told}
        return told

    def read_at(self, seq: int) -> datetime | None:
        return min((at for (n, _), at in self.reads.items() if n == seq), default=None)

    def unread(self, user_id: str) -> int:
        return sum(sender != user_id for sender in self.senders[self.cursors[user_id] :])


async def play(stage: Stage, actors: dict[str, Actor], sent: list[Message], naive: Naive, step: Step) -> None:
    what, number, back = step
    actor, seq = actors[USERS[number]], len(sent) - back
    if what == "send":
        sent.append(await stage.send(actor, "1"))
        naive.senders.append(actor.user_id)
        return
    if what == "mark" and seq < 1:
        return
    target = seq if what == "mark" else len(sent)
    command = (
        MarkRead(message_ids=(sent[seq - 1].id,))
        if what == "mark"
        else MarkConversationRead(conversation_id="1")
    )
    events = (await stage.outcome(actor, command)).events
    told = [r.seq for event in events if isinstance(event, MessagesRead) for r in event.receipts]
    assert told == naive.mark(actor.user_id, target, stage.clock())[-MAX_RECEIPTS:]


@given(steps, st.lists(st.floats(0.001, 100), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
async def test_first_reads_and_unread_counts_are_those_of_a_naive_model(
    sequence: list[Step], pauses: list[float]
) -> None:
    async with staged() as stage:
        actors = {user_id: await stage.user(user_id) for user_id in USERS}
        await stage.group("1", *USERS)
        naive, sent = Naive(), list[Message]()
        for number, step in enumerate(sequence):
            stage.clock.pass_by(round(pauses[number % len(pauses)], 3))
            await play(stage, actors, sent, naive, step)
        page = await history(stage, actors["u0"], LoadHistory(conversation_id="1", limit=200))
        assert [view.read_at for view in page.messages] == [naive.read_at(n + 1) for n in range(len(sent))]
        for user_id, actor in actors.items():
            assert await unread(stage, actor) == naive.unread(user_id)


async def test_a_mark_that_cannot_be_anybodys_first_is_not_kept(stage: Stage) -> None:
    actors, messages = await filled(stage, 5, "alice", "bob", "carol", "dave")
    for actor in actors[1:]:
        stage.clock.pass_by(1)
        await stage.do(actor, MarkRead(message_ids=(messages[4].id,)))
    marks: Sequence[ReadMark] = await stage.ctx.store.read_marks("1", after=0, up_to=5)
    assert {mark.reader_id for mark in marks} == {"bob", "carol"}


async def test_the_view_of_a_conversation_says_whether_its_last_message_is_read(stage: Stage) -> None:
    [alice, bob], _ = await filled(stage, 2, "alice", "bob")
    await stage.do(bob, MarkConversationRead(conversation_id="1"))
    reply = await stage.do(alice, ListConversations())
    assert isinstance(reply, ConversationList)
    [view] = reply.conversations
    assert view.last_message is not None
    assert view.last_message.read_at == stage.clock()
