"""What came while a device was away: the newest that it has not confirmed, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.commands import Actor, CatchUp, SendMessage
from messaging.domain.ids import INBOX
from messaging.domain.models import Message, Position
from messaging.domain.replies import Missed
from messaging.service.policy import Policy
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, staged


async def missed(
    stage: Stage,
    actor: Actor,
    *,
    device: str | None = None,
    resumes: str | None = None,
    after: int | None = None,
) -> Missed:
    reply = await stage.do(replace(actor, device=device, resumes=resumes), CatchUp(after=after))
    assert isinstance(reply, Missed)
    return reply


def contents(reply: Missed) -> list[str]:
    return [view.message.content for _, view in reply.messages]


async def test_a_user_who_was_never_connected_gets_what_was_sent_to_them(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, SendMessage(to_user="bob", content="hi"))
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g", "there")
    reply = await missed(stage, bob, device="phone")
    assert contents(reply) == ["hi", "there"]
    ends = {"dm:alice:bob": Position(1), "g": Position(1), INBOX: Position(1)}
    assert dict(reply.positions) == ends
    assert not reply.more


async def test_each_device_goes_on_from_its_own_position(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for number in range(4):
        await stage.send(alice, "g", str(number))
    now = stage.clock()
    await stage.ctx.store.keep_positions("bob", "phone", {"g": Position(1)}, at=now)
    await stage.ctx.store.keep_positions("bob", "desk", {"g": Position(3)}, at=now)
    assert contents(await missed(stage, bob, device="phone")) == ["1", "2", "3"]
    assert contents(await missed(stage, bob, device="desk")) == ["3"]
    assert contents(await missed(stage, bob, device="new")) == ["3"], "since any of them was there"


async def test_a_device_whose_name_is_still_in_use_goes_on_from_its_position(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for number in range(4):
        await stage.send(alice, "g", str(number))
    await stage.ctx.store.keep_positions("bob", "phone", {"g": Position(1)}, at=stage.clock())
    await stage.ctx.store.keep_positions("bob", "desk", {"g": Position(4)}, at=stage.clock())
    assert contents(await missed(stage, bob, device="fresh", resumes="phone")) == ["1", "2", "3"]
    assert contents(await missed(stage, bob, device="other", resumes="never seen")) == []


async def test_a_new_device_that_never_answers_begins_there_again(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await missed(stage, bob, device="phone")
    await stage.send(alice, "g", "lost on the way")
    await stage.ctx.store.keep_positions("bob", "desk", {"g": Position(1)}, at=stage.clock())
    assert contents(await missed(stage, bob, device="phone")) == ["lost on the way"]


async def test_after_a_message_comes_what_was_sent_later_anywhere(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.group("h", "alice", "bob")
    await stage.send(alice, "h", "before")
    known = await stage.send(alice, "g", "known")
    stage.clock.pass_by(1)
    await stage.send(alice, "h", "later")
    await stage.send(alice, "g", "last")
    assert contents(await missed(stage, bob, after=known.id)) == ["later", "last"]


class Counting(SqliteStore):
    """A store that says which conversations' histories were read, and how many at the same time."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.read: list[str] = []
        self.reading = self.most = 0

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
        self.read.append(conversation_id)
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            return await super().history(
                conversation_id, before=before, after=after, offset=offset, limit=limit
            )
        finally:
            self.reading -= 1


async def test_of_many_conversations_only_those_are_read_that_may_have_the_newest() -> None:
    store = Counting()
    async with staged(store=store, policy=Policy(offline_queue_limit=3)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        sent = []
        for number in range(60):
            stage.clock.pass_by(3600)
            await stage.group(f"g{number}", "alice", "bob")
            sent.append(await stage.send(alice, f"g{number}", str(number)))
        store.read.clear()
        reply = await missed(stage, bob, device="phone")
        assert contents(reply) == ["57", "58", "59"]
        assert reply.more
        assert len(dict(reply.positions).keys() - {INBOX}) == 60
        assert len(store.read) <= 16
        store.read.clear()
        reply = await missed(stage, bob, after=sent[57].id)
        assert contents(reply) == ["58", "59"]
        assert not reply.more
        assert set(store.read) == {"g56", "g57", "g58", "g59"}, "two hours for clocks that differ"


async def test_conversations_are_read_few_at_a_time() -> None:
    store = Counting()
    async with staged(store=store) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        for number in range(40):
            await stage.group(f"g{number}", "alice", "bob")
            await stage.send(alice, f"g{number}", str(number))
        store.read.clear()
        store.most = 0
        assert contents(await missed(stage, bob, device="phone")) == [str(number) for number in range(40)]
        assert (len(store.read), store.most) == (40, 16)


steps = st.lists(st.tuples(st.integers(0, 39), st.sampled_from([0.0, 0.001, 30, 4000])), max_size=60)


@given(steps=steps, limit=st.integers(0, 6), after=st.none() | st.integers(0, 59))
@settings(max_examples=60, deadline=None)
async def test_what_was_missed_is_the_newest_of_all_conversations(
    steps: list[tuple[int, float]], limit: int, after: int | None
) -> None:
    async with staged(policy=Policy(offline_queue_limit=limit)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        for group in {group for group, _ in steps}:
            await stage.group(str(group), "alice", "bob")
        stage.clock.pass_by(1)  # to have been added is news, too, but older than every message
        sent = []
        for group, pause in steps:
            stage.clock.pass_by(pause)
            sent.append((await stage.send(alice, str(group))).id)
        known = sent[after] if after is not None and after < len(sent) else None
        reply = await missed(stage, bob, device="phone", after=known)
        new = [message_id for message_id in sent if known is None or message_id > known]
        assert [view.message.id for _, view in reply.messages] == (new[-limit:] if limit else [])
        invited = len({group for group, _ in steps})  # of which bob was notified
        assert reply.more or len(new) <= limit
        assert not reply.more or max(len(new), invited) > limit


async def test_the_newest_are_kept_ready_and_it_is_said_when_there_was_more() -> None:
    async with staged(policy=Policy(offline_queue_limit=2)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        for group in ("g", "h"):
            await stage.group(group, "alice", "bob")
            for number in range(3):
                await stage.send(alice, group, f"{group}{number}")
        reply = await missed(stage, bob, device="phone")
        assert contents(reply) == ["h1", "h2"]
        assert reply.more
