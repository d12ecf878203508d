"""Blocking: two of whom one wants nothing to do with the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from messaging.domain.commands import (
    Actor,
    BlockUser,
    Command,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    GetStatus,
    InviteMember,
    ListBlocks,
    ListContacts,
    ListOnlineUsers,
    LoadHistory,
    PutMember,
    SendMessage,
    SetReaction,
    SetStatus,
    UnblockUser,
)
from messaging.domain.errors import Conflict, InvalidFormat, PermissionDenied, UserNotFound
from messaging.domain.events import BlocksChanged
from messaging.domain.ids import direct_id
from messaging.domain.models import Kind, Message, Role, Status
from messaging.domain.replies import (
    BlockList,
    BlockReply,
    ContactList,
    HistoryPage,
    OnlineUsers,
    Sent,
    UserStatus,
)
from messaging.service import blocking, presence
from messaging.service.conversations import ensure_room
from messaging.service.ports import ONLINE
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, service, staged

PAIR = direct_id("alice", "bob")


@pytest.fixture
async def town(stage: Stage) -> tuple[Actor, Actor]:
    """alice and bob, who have spoken; alice has blocked bob. Both, and carol, are online."""
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.user("carol")
    for user_id in ("alice", "bob", "carol"):
        await stage.ctx.presence.enter(ONLINE, user_id)
    await stage.do(alice, SendMessage(to_user="bob", content="hello", client_message_id="first"))
    await stage.do(alice, BlockUser(user_id="bob"))
    return alice, bob


async def test_neither_can_write_to_the_other(stage: Stage, town: tuple[Actor, Actor]) -> None:
    for sender, other in (town, town[::-1]):
        with pytest.raises(PermissionDenied, match="write"):
            await stage.do(sender, SendMessage(to_user=other.user_id, content="x"))
        with pytest.raises(PermissionDenied, match="write"):
            await stage.do(sender, SendMessage(conversation_id=PAIR, content="x"))
        command = SendMessage(conversation_id=PAIR, content="x", sender_id=sender.user_id)
        with pytest.raises(PermissionDenied, match="write"):
            await stage.do(service(), command)
    assert len(await stage.ctx.store.history(PAIR, limit=9)) == 1


async def test_what_was_sent_before_is_answered_again_and_stays(
    stage: Stage, town: tuple[Actor, Actor]
) -> None:
    alice, bob = town
    again = await stage.do(alice, SendMessage(to_user="bob", content="hello", client_message_id="first"))
    assert isinstance(again, Sent)
    assert again.repeated
    page = await stage.do(bob, LoadHistory(conversation_id=PAIR))
    assert isinstance(page, HistoryPage)
    assert [view.message.content for view in page.messages] == ["hello"]


async def test_the_system_may_still_speak(stage: Stage, town: tuple[Actor, Actor]) -> None:
    await stage.do(service(), SendMessage(conversation_id=PAIR, content="x", system=True))
    assert len(await stage.ctx.store.history(PAIR, limit=9)) == 2


async def test_a_first_message_is_refused_too_and_makes_nothing(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, BlockUser(user_id="bob"))
    with pytest.raises(PermissionDenied):
        await stage.do(bob, SendMessage(to_user="alice", content="x"))
    assert await stage.ctx.store.conversation(PAIR) is None


async def test_nor_is_anything_said_by_changing_what_was_sent_before(
    stage: Stage, town: tuple[Actor, Actor]
) -> None:
    alice, bob = town
    (message,) = await stage.ctx.store.history(PAIR, limit=9)
    put = SetReaction(message_id=message.id, emoji="👍", present=True)
    for actor, command in ((alice, EditMessage(message_id=message.id, content="x")), (bob, put)):
        with pytest.raises(PermissionDenied, match="write"):
            await stage.do(actor, command)
    await stage.do(bob, replace(put, present=False))
    await stage.do(alice, DeleteMessage(message_id=message.id))


async def test_in_a_group_both_go_on_speaking(stage: Stage, town: tuple[Actor, Actor]) -> None:
    await stage.group("g", "alice", "bob")
    sent: list[Message] = [await stage.send(each, "g") for each in town]
    assert [message.seq for message in sent] == [1, 2]


async def test_neither_brings_the_other_into_a_group(stage: Stage, town: tuple[Actor, Actor]) -> None:
    for actor, other in (town, town[::-1]):
        group = f"g-{actor.user_id}"
        await stage.group(group, actor.user_id)
        await stage.do(service(), PutMember(conversation_id=group, user_id=actor.user_id, role=Role.OWNER))
        commands: list[Command] = [
            InviteMember(conversation_id=group, user_id=other.user_id),
            PutMember(conversation_id=group, user_id=other.user_id),
            CreateConversation(kind=Kind.GROUP, member_ids=(other.user_id,)),
            CreateConversation(kind=Kind.GROUP, member_ids=("carol", other.user_id)),
        ]
        for command in commands:
            with pytest.raises(PermissionDenied, match="bring"):
                await stage.do(actor, command)
        await stage.do(service(), PutMember(conversation_id=group, user_id=other.user_id))
        assert not await stage.ctx.store.invited(group, other.user_id)


async def test_neither_sees_where_the_other_is(stage: Stage, town: tuple[Actor, Actor]) -> None:
    await stage.group("g", "alice", "bob", "carol")
    room = await ensure_room(stage.ctx, "lobby")
    assert room is not None
    for user_id in ("alice", "bob"):
        await stage.ctx.presence.enter("lobby", user_id)
    for actor, other in (town, town[::-1]):
        seen = await stage.do(actor, GetStatus(user_id=other.user_id))
        assert isinstance(seen, UserStatus)
        assert seen.status is Status.OFFLINE
        contacts = await stage.do(actor, ListContacts())
        assert isinstance(contacts, ContactList)
        assert [each.user_id for each in contacts.statuses] == ["carol"]
        for where, there in (("g", {actor.user_id, "carol"}), ("lobby", {actor.user_id})):
            online = await stage.do(actor, ListOnlineUsers(conversation_id=where))
            assert isinstance(online, OnlineUsers)
            assert set(online.user_ids) == there
    everybody = await stage.do(service(), ListOnlineUsers(conversation_id="g"))
    assert isinstance(everybody, OnlineUsers)
    assert set(everybody.user_ids) == {"alice", "bob", "carol"}


@pytest.mark.parametrize("there", [True, False])
async def test_who_is_blocked_sees_what_they_would_see_of_somebody_invisible(
    stage: Stage, *, there: bool
) -> None:
    alice, bob, carol = [await stage.user(name) for name in ("alice", "bob", "carol")]
    both, here = (alice, carol), stage.ctx.presence

    async def come_and_go(*, stay: bool) -> None:
        for each in both:
            await here.enter(ONLINE, each.user_id)
            await presence.came_online(stage.ctx, each.user_id)
        stage.clock.pass_by(60)
        for each in () if stay else both:
            await here.leave(ONLINE, each.user_id)
            await presence.went_offline(stage.ctx, each.user_id)
        stage.clock.pass_by(60)

    async def seen() -> list[tuple[Status, datetime | None]]:
        found = [await stage.do(bob, GetStatus(user_id=each.user_id)) for each in both]
        return [(each.status, each.last_seen) for each in found if isinstance(each, UserStatus)]

    for each in both:
        await stage.do(each, SendMessage(to_user="bob", content="hello"))
    await come_and_go(stay=False)
    if there:
        await come_and_go(stay=True)
    await stage.do(alice, BlockUser(user_id="bob"))
    await stage.do(carol, SetStatus(status=Status.OFFLINE))
    first = await seen()
    assert first[0] == first[1]
    assert first[0][1] is not None
    await come_and_go(stay=False)
    assert await seen() == first
    await stage.do(bob, BlockUser(user_id="alice"))
    of_alice = (await seen())[0]
    await stage.do(alice, UnblockUser(user_id="bob"))
    assert (await seen())[0] == of_alice


async def test_both_are_told_with_their_positions_and_nobody_twice(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    for _ in range(2):
        await stage.do(alice, BlockUser(user_id="bob"))
    for _ in range(2):
        await stage.do(alice, UnblockUser(user_id="bob"))
    told = [event for event in stage.events if isinstance(event, BlocksChanged)]
    assert [(e.user_id, e.other_id, e.blocked, e.position) for e in told] == [
        ("alice", "bob", True, 1),
        ("bob", "alice", True, 1),
        ("alice", "bob", False, 2),
        ("bob", "alice", False, 2),
    ]


async def test_unblocking_ends_it_unless_both_had_blocked(stage: Stage, town: tuple[Actor, Actor]) -> None:
    alice, bob = town
    await stage.do(bob, BlockUser(user_id="alice"))
    await stage.do(alice, UnblockUser(user_id="bob"))
    with pytest.raises(PermissionDenied):
        await stage.do(alice, SendMessage(to_user="bob", content="x"))
    await stage.do(bob, UnblockUser(user_id="alice"))
    await stage.do(alice, SendMessage(to_user="bob", content="x"))


async def test_blocks_are_listed_for_their_user_alone(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob", name="Bob")
    await stage.user("carol")
    made = await stage.do(alice, BlockUser(user_id="bob"))
    again = await stage.do(alice, BlockUser(user_id="bob"))
    assert isinstance(made, BlockReply)
    assert isinstance(again, BlockReply)
    assert (made.created, again.created, again.view) == (True, False, made.view)
    await stage.do(alice, BlockUser(user_id="carol"))
    page = await stage.do(alice, ListBlocks(limit=1))
    assert isinstance(page, BlockList)
    assert (page.blocks, page.next) == ((made.view,), "bob")
    rest = await stage.do(alice, ListBlocks(limit=1, next=page.next))
    assert isinstance(rest, BlockList)
    assert ([view.profile.id for view in rest.blocks], rest.next) == (["carol"], None)
    assert await stage.do(bob, ListBlocks()) == BlockList(blocks=())


async def test_nobody_blocks_themselves_or_somebody_unknown(stage: Stage) -> None:
    alice = await stage.user("alice")
    with pytest.raises(InvalidFormat):
        await stage.do(alice, BlockUser(user_id="alice"))
    with pytest.raises(UserNotFound):
        await stage.do(alice, BlockUser(user_id="nobody"))
    await stage.do(alice, UnblockUser(user_id="nobody"))


async def test_the_number_of_blocks_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "MAX_BLOCKS", 1)
    alice = await stage.user("alice")
    for user_id in ("bob", "carol"):
        await stage.user(user_id)
    await stage.do(alice, BlockUser(user_id="bob"))
    with pytest.raises(Conflict):
        await stage.do(alice, BlockUser(user_id="carol"))


class Counting(SqliteStore):
    """A store that counts how often it is asked for blocks."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.asked = 0

    async def blocked_between(self, one: str, other: str) -> bool:
        self.asked += 1
        return await super().blocked_between(one, other)


async def test_sending_asks_the_store_once_for_many_messages_and_never_in_groups() -> None:
    store = Counting()
    async with staged(store=store) as stage:
        alice = await stage.user("alice")
        await stage.user("bob")
        await stage.group("g", "alice", "bob")
        for _ in range(50):
            await stage.send(alice, "g")
        assert store.asked == 0
        for _ in range(50):
            await stage.do(alice, SendMessage(to_user="bob", content="x"))
        assert store.asked == 1
