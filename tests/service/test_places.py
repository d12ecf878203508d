"""What a conversation is to one of its members: archived, muted, marked unread."""

from __future__ import annotations

import pytest

from messaging.domain.commands import (
    Actor,
    Command,
    ListConversations,
    MarkConversationRead,
    MarkRead,
    MarkUnread,
    SendMessage,
    SetArchived,
    SetMuted,
)
from messaging.domain.errors import PermissionDenied, RoomNotFound
from messaging.domain.events import MessagesRead, PlaceChanged
from messaging.domain.models import Membership
from messaging.domain.replies import ConversationList, ConversationReply, Marked, Sent
from messaging.service.conversations import ensure_room
from tests.stage import Stage, service

ALL: list[Command] = [
    SetArchived(conversation_id="g", archived=True),
    SetArchived(conversation_id="g", archived=False),
    SetMuted(conversation_id="g", muted=True),
    SetMuted(conversation_id="g", muted=False),
    MarkUnread(conversation_id="g"),
]


async def pair(stage: Stage) -> tuple[Actor, Actor]:
    """alice and bob in group g, in which alice has said something that bob has read."""
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g")
    await stage.do(bob, MarkConversationRead(conversation_id="g"))
    stage.events.clear()
    return alice, bob


def archive(archived: bool = True) -> SetArchived:
    return SetArchived(conversation_id="g", archived=archived)


def mute(muted: bool = True) -> SetMuted:
    return SetMuted(conversation_id="g", muted=muted)


async def mine(stage: Stage, actor: Actor, command: Command) -> Membership:
    """What the conversation is to the user after a command, as it answers."""
    reply = await stage.do(actor, command)
    assert isinstance(reply, ConversationReply)
    assert reply.view.mine is not None
    return reply.view.mine


async def listed(stage: Stage, actor: Actor, *, archived: bool = False) -> list[str]:
    reply = await stage.do(actor, ListConversations(archived=archived))
    assert isinstance(reply, ConversationList)
    return [view.conversation.id for view in reply.conversations]


async def total(stage: Stage, actor: Actor) -> int:
    reply = await stage.do(actor, ListConversations())
    assert isinstance(reply, ConversationList)
    return reply.total_unread


async def test_an_archived_conversation_is_in_the_other_list_of_that_user_alone(stage: Stage) -> None:
    alice, bob = await pair(stage)
    assert (await mine(stage, bob, archive())).archived
    assert (await listed(stage, bob), await listed(stage, bob, archived=True)) == ([], ["g"])
    assert await listed(stage, alice) == ["g"]
    assert not (await mine(stage, bob, archive(archived=False))).archived
    assert await listed(stage, bob) == ["g"]


@pytest.mark.parametrize("sender", ["alice", "bob"])
async def test_a_new_message_brings_an_archived_conversation_back(stage: Stage, sender: str) -> None:
    people = dict(zip(("alice", "bob"), await pair(stage), strict=True))
    await stage.do(people["bob"], archive())
    await stage.send(people[sender], "g")
    assert await listed(stage, people["bob"]) == ["g"]
    await stage.do(people["bob"], archive())
    assert await listed(stage, people["bob"]) == []


async def test_a_muted_one_stays_archived(stage: Stage) -> None:
    alice, bob = await pair(stage)
    await stage.do(bob, archive())
    await stage.do(bob, mute())
    await stage.send(alice, "g")
    assert await listed(stage, bob, archived=True) == ["g"]
    await stage.do(bob, mute(muted=False))
    assert await listed(stage, bob) == ["g"]


async def test_a_muted_conversation_does_not_count_in_the_total(stage: Stage) -> None:
    alice, bob = await pair(stage)
    await stage.send(alice, "g")
    assert await total(stage, bob) == 1
    assert (await mine(stage, bob, mute())).unread == 1
    assert await total(stage, bob) == 0
    await mine(stage, bob, mute(muted=False))
    assert await total(stage, bob) == 1


async def test_what_is_marked_unread_counts_as_one_message(stage: Stage) -> None:
    alice, bob = await pair(stage)
    seen = await mine(stage, bob, MarkUnread(conversation_id="g"))
    assert (seen.marked_unread, seen.unread, await total(stage, bob)) == (True, 1, 1)
    await stage.send(alice, "g")
    assert await total(stage, bob) == 1
    await stage.send(alice, "g")
    assert await total(stage, bob) == 2
    await stage.do(bob, MarkConversationRead(conversation_id="g"))
    assert await total(stage, bob) == 0


async def test_marking_read_where_nothing_is_left_to_read_ends_the_mark(stage: Stage) -> None:
    alice, bob = await pair(stage)
    message = await stage.send(alice, "g")
    commands = (
        MarkConversationRead(conversation_id="g", count_unread=True),
        MarkRead(message_ids=(message.id,), count_unread=True),
    )
    await stage.do(bob, commands[0])
    for command in commands:
        await stage.do(bob, MarkUnread(conversation_id="g"))
        stage.events.clear()
        reply = await stage.do(bob, command)
        assert isinstance(reply, Marked)
        assert (reply.total_unread, await total(stage, bob)) == (0, 0)
        (told,) = stage.events
        assert isinstance(told, PlaceChanged)
        assert told.view.mine is not None
        assert not told.view.mine.marked_unread


async def test_a_conversation_without_messages_can_be_marked_too(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("g", "alice")
    assert (await mine(stage, alice, MarkUnread(conversation_id="g"))).unread == 1
    await stage.do(alice, MarkConversationRead(conversation_id="g"))
    assert await total(stage, alice) == 0


async def test_reading_tells_nothing_of_places_where_nothing_was_marked(stage: Stage) -> None:
    alice, bob = await pair(stage)
    message = await stage.send(alice, "g")
    for _ in range(2):
        await stage.do(bob, MarkRead(message_ids=(message.id,)))
    assert [type(event) for event in stage.events if not hasattr(event, "message")] == [MessagesRead]


async def test_each_change_is_told_once_with_its_position(stage: Stage) -> None:
    _, bob = await pair(stage)
    before = (await stage.ctx.store.inbox_positions(["bob"]))["bob"]
    for command in ALL:
        await stage.do(bob, command)
        await stage.do(bob, command)
    told = [event for event in stage.events if isinstance(event, PlaceChanged)]
    assert [event.position for event in told] == [before + 1, before + 2, before + 3, before + 4, before + 5]
    assert {event.user_id for event in told} == {"bob"}


@pytest.mark.parametrize("command", ALL, ids=repr)
async def test_others_cannot(stage: Stage, command: Command) -> None:
    await pair(stage)
    with pytest.raises(RoomNotFound):
        await stage.do(await stage.user("carol"), command)
    with pytest.raises(PermissionDenied):
        await stage.do(service(), command)


async def test_a_public_room_is_nobodys(stage: Stage) -> None:
    await ensure_room(stage.ctx, "lobby")
    with pytest.raises(PermissionDenied):
        await stage.do(await stage.user("alice"), SetMuted(conversation_id="lobby", muted=True))


async def test_a_direct_conversation_has_a_place_for_each_of_the_two(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    sent = await stage.do(alice, SendMessage(to_user="bob", content="hello"))
    assert isinstance(sent, Sent)
    await stage.do(bob, SetArchived(conversation_id=sent.conversation.id, archived=True))
    assert (await listed(stage, bob), await listed(stage, alice)) == ([], [sent.conversation.id])
