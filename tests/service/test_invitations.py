"""Invitations: a member lets somebody in, who comes by themselves."""

from __future__ import annotations

import json

import pytest

from messaging.domain.commands import (
    AcceptInvitation,
    Command,
    CreateConversation,
    InviteMember,
    PutConversation,
    PutMember,
    RemoveMember,
    SendMessage,
)
from messaging.domain.errors import InvalidFormat, PermissionDenied, RateLimited, RoomNotFound, UserNotFound
from messaging.domain.events import MemberAdded, Notified
from messaging.domain.models import Kind, Role
from messaging.domain.replies import ConversationReply, Done
from messaging.service.context import Outcome
from tests.stage import NO_RULES, Stage, service, staged


async def test_who_is_invited_is_told_and_may_join_once(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice")
    with pytest.raises(RoomNotFound):
        await stage.do(bob, AcceptInvitation(conversation_id="g"))
    await stage.do(alice, InviteMember(conversation_id="g", user_id="bob"))
    told = [event for event in stage.events if isinstance(event, Notified) and event.user_id == "bob"]
    assert [(event.user_id, event.notification.type) for event in told] == [("bob", "group_invite")]
    assert json.loads(told[0].notification.data) == {"group_id": "g", "from": "alice"}
    reply = await stage.do(bob, AcceptInvitation(conversation_id="g"))
    assert isinstance(reply, ConversationReply)
    assert reply.view.conversation.member_count == 2
    assert [e.user_id for e in stage.events if isinstance(e, MemberAdded)][-1] == "bob"
    assert not await stage.ctx.store.invited("g", "bob")


async def test_joining_again_or_inviting_a_member_changes_nothing(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    stage.events.clear()
    await stage.do(alice, InviteMember(conversation_id="g", user_id="bob"))
    await stage.do(bob, AcceptInvitation(conversation_id="g"))
    assert stage.events == []


async def test_inviting_again_tells_nobody_again(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    await stage.group("g", "alice")
    stage.events.clear()
    for _ in range(2):
        await stage.do(alice, InviteMember(conversation_id="g", user_id="bob"))
    assert [type(event) for event in stage.events].count(Notified) == 1


@pytest.mark.parametrize(
    "add",
    [
        PutMember(conversation_id="g", user_id="bob"),
        PutConversation(conversation_id="g", member_ids=("bob",)),
    ],
)
async def test_who_was_added_and_removed_does_not_come_back_by_an_old_invitation(
    stage: Stage, add: Command
) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice")
    await stage.do(alice, InviteMember(conversation_id="g", user_id="bob"))
    await stage.do(service(), add)
    assert not await stage.ctx.store.invited("g", "bob")
    await stage.ctx.store.invite("g", "bob", by="alice", at=stage.clock())  # at the moment that he was added
    await stage.do(service(), RemoveMember(conversation_id="g", user_id="bob"))
    with pytest.raises(RoomNotFound):
        await stage.do(bob, AcceptInvitation(conversation_id="g"))


async def test_removing_who_is_only_invited_revokes_the_invitation(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice")
    await stage.do(alice, InviteMember(conversation_id="g", user_id="bob"))
    remove = RemoveMember(conversation_id="g", user_id="bob")
    with pytest.raises(PermissionDenied):
        await stage.do(alice, remove)
    await stage.do(service(), PutMember(conversation_id="g", user_id="alice", role=Role.ADMIN))
    assert await stage.outcome(alice, remove) == Outcome(reply=Done())
    with pytest.raises(RoomNotFound):
        await stage.do(bob, AcceptInvitation(conversation_id="g"))
    with pytest.raises(UserNotFound):
        await stage.do(alice, remove)


async def test_accepting_counts_as_a_query() -> None:
    async with staged(rules={**NO_RULES, "queries": "1/minute"}) as stage:
        bob = await stage.user("bob")
        for error in (RoomNotFound, RateLimited):
            with pytest.raises(error):
                await stage.do(bob, AcceptInvitation(conversation_id="g"))


async def test_only_a_member_invites_and_only_whom_there_is_into_a_group(stage: Stage) -> None:
    alice, eve = await stage.user("alice"), await stage.user("eve")
    await stage.user("bob")
    await stage.group("g", "alice")
    with pytest.raises(RoomNotFound):
        await stage.do(eve, InviteMember(conversation_id="g", user_id="bob"))
    with pytest.raises(UserNotFound):
        await stage.do(alice, InviteMember(conversation_id="g", user_id="nobody"))
    await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="lobby"))
    await stage.do(alice, SendMessage(to_user="bob", content="hi"))
    for conversation_id in ("lobby", "dm:alice:bob"):
        with pytest.raises((InvalidFormat, PermissionDenied)):
            await stage.do(alice, InviteMember(conversation_id=conversation_id, user_id="eve"))
