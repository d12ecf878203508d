"""Presence: who is listed as online, who is told, and who may ask."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from messaging.domain.commands import (
    Actor,
    CreateConversation,
    GetStatus,
    JoinConversation,
    ListOnlineUsers,
    SetStatus,
)
from messaging.domain.errors import RoomNotFound, Unavailable, UserNotFound
from messaging.domain.events import PresenceChanged
from messaging.domain.models import Kind, Status
from messaging.domain.replies import Joined, OnlineUsers, UserStatus
from messaging.service import presence
from messaging.service.policy import Policy
from messaging.service.ports import ONLINE
from messaging.stores.sqlite import SqliteStore
from tests.stage import NO_RULES, Clock, Stage, service, staged


@pytest.fixture
async def town(stage: Stage) -> Stage:
    """alice and bob share a group; eve is alone. All are online."""
    for user_id in ("alice", "bob", "eve"):
        await stage.user(user_id)
        await stage.ctx.presence.enter(ONLINE, user_id)
    await stage.group("1", "alice", "bob", "carol")
    return stage


async def online(stage: Stage, actor: Actor, conversation_id: str) -> tuple[str, ...]:
    reply = await stage.do(actor, ListOnlineUsers(conversation_id=conversation_id))
    assert isinstance(reply, OnlineUsers)
    return reply.user_ids


async def status(stage: Stage, actor: Actor, user_id: str) -> UserStatus:
    reply = await stage.do(actor, GetStatus(user_id=user_id))
    assert isinstance(reply, UserStatus)
    return reply


async def test_the_online_users_of_a_group_are_its_connected_members(town: Stage) -> None:
    alice = await town.user("alice")
    assert await online(town, alice, "1") == ("alice", "bob")
    assert await online(town, service(), "1") == ("alice", "bob")


async def test_a_stranger_does_not_learn_who_is_online(town: Stage) -> None:
    with pytest.raises(RoomNotFound):
        await online(town, await town.user("eve"), "1")


async def test_the_online_users_of_a_public_room_are_those_who_watch_it(town: Stage) -> None:
    eve = await town.user("eve")
    await town.do(eve, CreateConversation(kind=Kind.ROOM, name="lobby"))
    assert await online(town, eve, "lobby") == ()
    await town.ctx.presence.enter("lobby", "bob")
    await town.ctx.presence.enter("lobby", "eve")
    assert await online(town, eve, "lobby") == ("bob", "eve")


async def test_who_joins_and_asks_is_shown_who_is_online_there(town: Stage) -> None:
    alice, eve = await town.user("alice"), await town.user("eve")
    await town.do(eve, CreateConversation(kind=Kind.ROOM, name="lobby"))
    for user_id in ("bob", "eve"):
        await town.ctx.presence.enter("lobby", user_id)

    async def shown(conversation_id: str, *, ask: bool = True) -> tuple[str, ...]:
        reply = await town.do(alice, JoinConversation(conversation_id=conversation_id, show_online=ask))
        assert isinstance(reply, Joined)
        return reply.online

    assert await shown("lobby") == ("alice", "bob", "eve")
    assert await shown("1") == ("alice", "bob")
    assert await shown("1", ask=False) == ()
    await town.do(await town.user("bob"), SetStatus(status=Status.OFFLINE))
    assert await shown("lobby") == ("alice", "eve")
    assert await shown("1") == ("alice",)


async def test_who_is_invisible_is_offline_to_everybody_but_themselves(town: Stage) -> None:
    alice, bob = await town.user("alice"), await town.user("bob")
    await town.do(await town.user("eve"), CreateConversation(kind=Kind.ROOM, name="lobby"))
    await town.ctx.presence.enter("lobby", "bob")
    await town.do(bob, SetStatus(status=Status.OFFLINE))
    assert await online(town, alice, "1") == ("alice",)
    assert await online(town, alice, "lobby") == ()
    assert await online(town, bob, "1") == ("alice", "bob")
    assert await online(town, bob, "lobby") == ("bob",)
    assert (await status(town, alice, "bob")).status is Status.OFFLINE
    assert (await status(town, service(), "bob")).status is Status.OFFLINE


async def test_an_invisible_user_comes_and_goes_unseen(town: Stage) -> None:
    bob = await town.user("bob")
    [told] = (await town.outcome(bob, SetStatus(status=Status.OFFLINE))).events
    assert isinstance(told, PresenceChanged)
    assert (told.status, told.crossed) == (Status.OFFLINE, True)
    assert await presence.came_online(town.ctx, "bob") == ()
    assert await presence.went_offline(town.ctx, "bob") == ()


async def test_a_change_of_status_is_told_once_with_the_conversations_that_it_concerns(town: Stage) -> None:
    bob = await town.user("bob")
    [away] = (await town.outcome(bob, SetStatus(status=Status.AWAY))).events
    again = (await town.outcome(bob, SetStatus(status=Status.AWAY))).events
    assert isinstance(away, PresenceChanged)
    assert (away.status, away.crossed, away.conversations, away.last_seen) == (
        Status.AWAY,
        False,
        ("1",),
        None,
    )
    assert again == ()


async def test_a_status_that_is_set_while_nobody_is_connected_is_kept_and_not_told(town: Stage) -> None:
    carol, alice = await town.user("carol"), await town.user("alice")
    assert (await town.outcome(carol, SetStatus(status=Status.BUSY))).events == ()
    assert (await status(town, alice, "carol")).status is Status.OFFLINE
    await town.ctx.presence.enter(ONLINE, "carol")
    [came] = await presence.came_online(town.ctx, "carol")
    assert (came.status, came.crossed) == (Status.BUSY, True)
    assert (await status(town, alice, "carol")).status is Status.BUSY


async def test_going_offline_is_told_with_the_time_and_remembered(town: Stage) -> None:
    alice = await town.user("alice")
    [gone] = await presence.went_offline(town.ctx, "bob")
    assert (gone.status, gone.crossed, gone.last_seen) == (Status.OFFLINE, True, town.clock())
    assert (await status(town, alice, "bob")).last_seen == town.clock()


async def test_what_is_told_and_what_is_kept_is_the_same_moment(town: Stage) -> None:
    class Passing(Clock):
        """A clock that goes on by a millisecond whenever somebody looks."""

        def __call__(self) -> datetime:
            self.pass_by(0.001)
            return self.now

    alice, bob = await town.user("alice"), await town.user("bob")
    town.ctx = replace(town.ctx, clock=Passing())
    [told] = (await town.outcome(bob, SetStatus(status=Status.OFFLINE))).events
    assert isinstance(told, PresenceChanged)
    assert (await status(town, alice, "bob")).last_seen == told.last_seen == told.at
    [gone] = await presence.went_offline(town.ctx, "alice")
    assert (await status(town, bob, "alice")).last_seen == gone.last_seen


async def test_who_is_invisible_was_last_seen_when_they_became_so(town: Stage) -> None:
    alice, bob = await town.user("alice"), await town.user("bob")
    [told] = (await town.outcome(bob, SetStatus(status=Status.OFFLINE))).events
    assert isinstance(told, PresenceChanged)
    assert told.last_seen == town.clock()
    town.clock.pass_by(60)
    assert await presence.went_offline(town.ctx, "bob") == ()
    assert (await status(town, alice, "bob")).last_seen == told.last_seen


class Forgetful(SqliteStore):
    """A store that cannot keep when users were last seen."""

    async def set_last_seen(self, user_id: str, at: datetime) -> None:
        """Fail."""
        del user_id, at
        raise Unavailable


async def test_going_offline_is_told_even_where_its_time_cannot_be_kept() -> None:
    async with staged(store=Forgetful(":memory:")) as stage:
        await stage.user("alice")
        await stage.group("1", "alice")
        [gone] = await presence.went_offline(stage.ctx, "alice")
        assert (gone.status, gone.last_seen) == (Status.OFFLINE, stage.clock())


async def test_only_contacts_and_services_learn_a_status(town: Stage) -> None:
    alice, eve = await town.user("alice"), await town.user("eve")
    assert (await status(town, alice, "bob")).status is Status.ONLINE
    assert (await status(town, alice, "alice")).status is Status.ONLINE
    assert (await status(town, service(), "eve")).status is Status.ONLINE
    for user_id in ("bob", "nobody"):
        with pytest.raises(UserNotFound):
            await status(town, eve, user_id)


async def test_two_who_talk_directly_are_contacts_from_the_first_message(town: Stage) -> None:
    eve = await town.user("eve")
    with pytest.raises(UserNotFound):
        await status(town, eve, "alice")
    await town.send(eve, "dm:alice:eve")
    assert (await status(town, eve, "alice")).status is Status.ONLINE


async def test_members_of_a_large_group_are_no_contacts_but_can_be_listed() -> None:
    async with staged(policy=Policy(presence_max_members=1)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        await stage.group("1", "alice", "bob")
        await stage.ctx.presence.enter(ONLINE, "bob")
        with pytest.raises(UserNotFound):
            await status(stage, alice, "bob")
        [told] = (await stage.outcome(bob, SetStatus(status=Status.AWAY))).events
        assert isinstance(told, PresenceChanged)
        assert told.conversations == ()
        assert await online(stage, alice, "1") == ("alice", "bob")


async def test_presence_can_be_switched_off() -> None:
    async with staged(policy=Policy(presence=False)) as stage:
        alice, bob = await stage.user("alice"), await stage.user("bob")
        await stage.group("1", "alice", "bob")
        for user_id in ("alice", "bob"):
            await stage.ctx.presence.enter(ONLINE, user_id)
        assert (await stage.outcome(bob, SetStatus(status=Status.AWAY))).events == ()
        assert await presence.came_online(stage.ctx, "bob") == ()
        assert await presence.went_offline(stage.ctx, "bob") == ()
        assert (await status(stage, alice, "bob")).status is Status.OFFLINE
        assert await online(stage, alice, "1") == ("alice",)


async def test_a_status_signal_over_the_limit_is_acknowledged_and_dropped() -> None:
    async with staged(rules={**NO_RULES, "signals": "1/minute"}) as stage:
        alice = await stage.user("alice")
        await stage.ctx.presence.enter(ONLINE, "alice")
        assert (await stage.outcome(alice, SetStatus(status=Status.AWAY))).events
        assert not (await stage.outcome(alice, SetStatus(status=Status.BUSY))).events
        assert (await status(stage, alice, "alice")).status is Status.AWAY


async def test_the_list_of_online_users_has_a_limit_and_always_the_caller(stage: Stage) -> None:
    zoe = await stage.user("zoe")
    await stage.do(zoe, CreateConversation(kind=Kind.ROOM, name="lobby"))
    crowd = [f"a{number}" for number in range(1_200)]
    for user_id in crowd:
        await stage.user(user_id)
    await stage.group("1", *crowd, "zoe")
    for user_id in (*crowd, "zoe"):
        await stage.ctx.presence.enter("lobby", user_id)
        await stage.ctx.presence.enter(ONLINE, user_id)
    for conversation_id in ("lobby", "1"):
        listed = await online(stage, zoe, conversation_id)
        assert len(listed) == 1_000
        assert "zoe" in listed
