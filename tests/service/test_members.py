"""Members: adding, removing, roles, who inherits a group, and what a member finds on coming back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from messaging.domain.commands import (
    Actor,
    Command,
    CreateConversation,
    ListConversations,
    LoadHistory,
    MarkConversationRead,
    PutMember,
    RemoveMember,
)
from messaging.domain.errors import (
    ClientError,
    Conflict,
    InvalidFormat,
    PermissionDenied,
    RoomNotFound,
    UserNotFound,
)
from messaging.domain.events import Announcement, ConversationChanged, MemberAdded, MemberRemoved, Notified
from messaging.domain.models import Kind, Member, Role
from messaging.domain.replies import ConversationList, ConversationReply, HistoryPage
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, service, staged


async def made(stage: Stage, owner: Actor, *others: str) -> str:
    """A group that `owner` made; the others joined it a second after one another."""
    reply = await stage.do(owner, CreateConversation(kind=Kind.GROUP))
    assert isinstance(reply, ConversationReply)
    group_id = reply.view.conversation.id
    for user_id in others:
        stage.clock.pass_by(1)
        await stage.user(user_id)
        await stage.do(owner, PutMember(conversation_id=group_id, user_id=user_id))
    return group_id


async def roles(stage: Stage, group_id: str) -> dict[str, Role]:
    members = await stage.ctx.store.members(group_id, limit=100)
    conversation = await stage.ctx.store.conversation(group_id)
    assert conversation is not None
    assert conversation.member_count == len(members)
    return {member.user_id: member.role for member in members}


def put(group_id: str, user_id: str, role: Role | None = None) -> PutMember:
    return PutMember(conversation_id=group_id, user_id=user_id, role=role)


def remove(group_id: str, user_id: str) -> RemoveMember:
    return RemoveMember(conversation_id=group_id, user_id=user_id)


def kinds(events: Sequence[Announcement]) -> list[type[Announcement]]:
    return [type(event) for event in events]


async def test_who_makes_a_group_owns_it_and_who_is_added_is_a_member(stage: Stage) -> None:
    group_id = await made(stage, await stage.user("alice"), "bob")
    assert await roles(stage, group_id) == {"alice": Role.OWNER, "bob": Role.MEMBER}


async def test_adding_tells_the_new_member_and_then_the_others_once(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    group_id = await made(stage, alice)
    first = await stage.outcome(alice, put(group_id, "bob"))
    again = await stage.outcome(alice, put(group_id, "bob"))
    assert kinds(first.events) == [MemberAdded, Notified, ConversationChanged]
    assert again.events == ()
    assert [r.created for r in (first.reply, again.reply) if isinstance(r, ConversationReply)] == [
        True,
        False,
    ]


async def test_removing_tells_the_removed_one_and_then_the_others(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice, "bob")
    outcome = await stage.outcome(alice, remove(group_id, "bob"))
    assert kinds(outcome.events) == [MemberRemoved, ConversationChanged]
    assert await roles(stage, group_id) == {"alice": Role.OWNER}
    with pytest.raises(UserNotFound):
        await stage.do(alice, remove(group_id, "bob"))


async def test_members_neither_add_nor_remove_and_admins_give_no_roles(stage: Stage) -> None:
    alice, bob, carol = [await stage.user(user_id) for user_id in ("alice", "bob", "carol")]
    await stage.user("dave")
    group_id = await made(stage, alice, "bob", "carol")
    await stage.do(alice, put(group_id, "bob", Role.ADMIN))
    refused: list[tuple[Actor, Command]] = [
        (carol, put(group_id, "dave")),
        (carol, put(group_id, "carol", Role.OWNER)),
        (carol, remove(group_id, "bob")),
        (bob, put(group_id, "carol", Role.ADMIN)),
        (bob, put(group_id, "bob", Role.OWNER)),
        (bob, put(group_id, "dave", Role.ADMIN)),
        (bob, remove(group_id, "alice")),
    ]
    for actor, command in refused:
        with pytest.raises(PermissionDenied):
            await stage.do(actor, command)
    await stage.do(bob, put(group_id, "dave"))
    await stage.do(bob, remove(group_id, "carol"))
    assert await roles(stage, group_id) == {"alice": Role.OWNER, "bob": Role.ADMIN, "dave": Role.MEMBER}


async def test_for_a_stranger_the_group_does_not_exist(stage: Stage) -> None:
    group_id = await made(stage, await stage.user("alice"), "bob")
    eve = await stage.user("eve")
    for command in (put(group_id, "eve"), remove(group_id, "bob"), remove(group_id, "eve"), put("no", "eve")):
        with pytest.raises(RoomNotFound):
            await stage.do(eve, command)


async def test_only_those_who_exist_are_added_unless_a_service_names_them(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice)
    with pytest.raises(UserNotFound):
        await stage.do(alice, put(group_id, "nobody"))
    await stage.do(service(), put(group_id, "zoe", Role.ADMIN))
    assert await roles(stage, group_id) == {"alice": Role.OWNER, "zoe": Role.ADMIN}


async def test_only_groups_have_members_that_come_and_go(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(bob, CreateConversation(kind=Kind.ROOM, name="lobby"))
    await stage.send(alice, "dm:alice:bob")
    cases: list[tuple[Actor, str, type[ClientError]]] = [
        (alice, "lobby", PermissionDenied),
        (service(), "lobby", InvalidFormat),
        (alice, "dm:alice:bob", PermissionDenied),
        (service(), "dm:alice:bob", PermissionDenied),
    ]
    for actor, conversation_id, error in cases:
        for command in (put(conversation_id, "bob"), remove(conversation_id, "bob")):
            with pytest.raises(error):
                await stage.do(actor, command)


@pytest.mark.parametrize(
    ("admins", "heir"), [((), "bob"), (("carol",), "carol"), (("dave", "carol"), "carol")]
)
async def test_when_the_owner_leaves_the_oldest_admin_else_the_oldest_member_inherits(
    stage: Stage, admins: Sequence[str], heir: str
) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice, "bob", "carol", "dave")
    for user_id in admins:
        await stage.do(alice, put(group_id, user_id, Role.ADMIN))
    await stage.do(alice, remove(group_id, "alice"))
    after = await roles(stage, group_id)
    assert [user_id for user_id, role in after.items() if role is Role.OWNER] == [heir]
    assert "alice" not in after


async def test_nobody_inherits_while_there_is_another_owner(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice, "bob", "carol")
    await stage.do(alice, put(group_id, "carol", Role.OWNER))
    await stage.do(alice, remove(group_id, "alice"))
    assert await roles(stage, group_id) == {"bob": Role.MEMBER, "carol": Role.OWNER}


async def test_an_owner_who_steps_down_is_followed_by_another(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice, "bob")
    await stage.do(alice, put(group_id, "alice", Role.MEMBER))
    assert await roles(stage, group_id) == {"alice": Role.MEMBER, "bob": Role.OWNER}


async def test_the_only_one_in_a_group_stays_its_owner(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice)
    with pytest.raises(Conflict):
        await stage.do(alice, put(group_id, "alice", Role.MEMBER))
    assert await roles(stage, group_id) == {"alice": Role.OWNER}


async def test_the_last_one_may_leave(stage: Stage) -> None:
    alice = await stage.user("alice")
    group_id = await made(stage, alice)
    await stage.do(alice, remove(group_id, "alice"))
    assert await roles(stage, group_id) == {}
    with pytest.raises(RoomNotFound):
        await stage.send(alice, group_id)


async def listed(stage: Stage, actor: Actor) -> dict[str, int]:
    reply = await stage.do(actor, ListConversations())
    assert isinstance(reply, ConversationList)
    return {view.conversation.id: view.mine.unread for view in reply.conversations if view.mine is not None}


async def test_who_is_added_again_sees_the_history_and_has_nothing_unread(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    group_id = await made(stage, alice, "bob")
    for sender in (alice, bob, bob, alice):
        await stage.send(sender, group_id)
    assert await listed(stage, bob) == {group_id: 2}
    await stage.do(bob, remove(group_id, "bob"))
    assert await listed(stage, bob) == {}
    await stage.send(alice, group_id)
    await stage.do(alice, put(group_id, "bob"))
    assert await listed(stage, bob) == {group_id: 0}
    reply = await stage.do(bob, LoadHistory(conversation_id=group_id))
    assert isinstance(reply, HistoryPage)
    assert [view.message.seq for view in reply.messages] == [1, 2, 3, 4, 5]
    await stage.send(alice, group_id)
    await stage.send(bob, group_id)
    assert await listed(stage, bob) == {group_id: 1}
    await stage.do(bob, MarkConversationRead(conversation_id=group_id))
    assert await listed(stage, bob) == {group_id: 0}


async def test_who_is_removed_sees_and_writes_nothing_from_then_on(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    group_id = await made(stage, alice, "bob")
    await stage.send(bob, group_id)
    await stage.do(alice, remove(group_id, "bob"))
    with pytest.raises(RoomNotFound):
        await stage.do(bob, LoadHistory(conversation_id=group_id))
    with pytest.raises(RoomNotFound):
        await stage.send(bob, group_id)


async def test_changes_at_the_same_moment_are_all_made_and_counted(stage: Stage) -> None:
    alice = await stage.user("alice")
    others = [f"u{number}" for number in range(6)]
    for user_id in others:
        await stage.user(user_id)
    group_id = await made(stage, alice)
    await asyncio.gather(*(stage.do(alice, put(group_id, user_id)) for user_id in others))
    await asyncio.gather(*(stage.do(alice, remove(group_id, user_id)) for user_id in others[:3]))
    assert set(await roles(stage, group_id)) == {"alice", *others[3:]}


async def test_two_who_add_the_same_user_at_the_same_moment_add_one(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    group_id = await made(stage, alice)
    await asyncio.gather(*(stage.do(alice, put(group_id, "bob")) for _ in range(5)))
    assert await roles(stage, group_id) == {"alice": Role.OWNER, "bob": Role.MEMBER}
    assert [type(event) for event in stage.events].count(MemberAdded) == 2


async def test_owners_who_leave_at_the_same_moment_leave_an_owner_behind(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    group_id = await made(stage, alice, "bob", "carol")
    await stage.do(alice, put(group_id, "bob", Role.OWNER))
    await asyncio.gather(stage.do(alice, remove(group_id, "alice")), stage.do(bob, remove(group_id, "bob")))
    assert await roles(stage, group_id) == {"carol": Role.OWNER}


class Meddling(SqliteStore):
    """A store where another process removes or adds a member behind the first look at one."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.other: Stage | None = None
        self.meddle: Command | None = None

    async def member(self, conversation_id: str, user_id: str) -> Member | None:
        """As Store.member."""
        found = await super().member(conversation_id, user_id)
        if self.meddle is not None and self.other is not None and self.meddle_with(user_id):
            command, self.meddle = self.meddle, None
            await self.other.do(service(), command)
        return found

    def meddle_with(self, user_id: str) -> bool:
        """Whether this look is the one."""
        return isinstance(self.meddle, PutMember | RemoveMember) and self.meddle.user_id == user_id


async def test_a_member_who_is_removed_meanwhile_does_not_come_back_with_a_new_role() -> None:
    store = Meddling()
    async with staged(store=store) as stage:
        alice = await stage.user("alice")
        group_id = await made(stage, alice, "bob")
        store.other, store.meddle = stage, remove(group_id, "bob")
        await stage.do(alice, put(group_id, "bob", Role.ADMIN))
        after = await roles(stage, group_id)  # which also counts them
        assert after == {"alice": Role.OWNER, "bob": Role.ADMIN}
        added = [event for event in stage.events if isinstance(event, MemberAdded)]
        assert [event.user_id for event in added] == ["alice", "bob", "bob"]


async def test_a_member_who_is_added_meanwhile_is_counted_once() -> None:
    store = Meddling()
    async with staged(store=store) as stage:
        alice = await stage.user("alice")
        await stage.user("bob")
        group_id = await made(stage, alice)
        store.other, store.meddle = stage, put(group_id, "bob")
        await stage.do(alice, put(group_id, "bob"))
        assert await roles(stage, group_id) == {"alice": Role.OWNER, "bob": Role.MEMBER}
