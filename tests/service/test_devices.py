"""What came while a device was away: the newest that it has not confirmed, oldest first."""

from __future__ import annotations

from dataclasses import replace

from messaging.domain.commands import Actor, CatchUp, SendMessage
from messaging.domain.replies import Missed
from messaging.service.policy import Policy
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
    assert dict(reply.positions) == {"dm:alice:bob": 1, "g": 1}
    assert not reply.more


async def test_each_device_goes_on_from_its_own_position(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for number in range(4):
        await stage.send(alice, "g", str(number))
    now = stage.clock()
    await stage.ctx.store.keep_positions("bob", "phone", {"g": 1}, at=now)
    await stage.ctx.store.keep_positions("bob", "desk", {"g": 3}, at=now)
    assert contents(await missed(stage, bob, device="phone")) == ["1", "2", "3"]
    assert contents(await missed(stage, bob, device="desk")) == ["3"]
    assert contents(await missed(stage, bob, device="new")) == ["3"], "since any of them was there"


async def test_a_device_whose_name_is_still_in_use_goes_on_from_its_position(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for number in range(4):
        await stage.send(alice, "g", str(number))
    await stage.ctx.store.keep_positions("bob", "phone", {"g": 1}, at=stage.clock())
    await stage.ctx.store.keep_positions("bob", "desk", {"g": 4}, at=stage.clock())
    assert contents(await missed(stage, bob, device="fresh", resumes="phone")) == ["1", "2", "3"]
    assert contents(await missed(stage, bob, device="other", resumes="never seen")) == []


async def test_a_new_device_that_never_answers_begins_there_again(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await missed(stage, bob, device="phone")
    await stage.send(alice, "g", "lost on the way")
    await stage.ctx.store.keep_positions("bob", "desk", {"g": 1}, at=stage.clock())
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
