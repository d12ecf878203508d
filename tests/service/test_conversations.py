"""Conversations: making, putting, changing, deleting and listing them, and who may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.commands import (
    Actor,
    ChangeConversation,
    Command,
    CreateConversation,
    DeleteConversation,
    GetConversation,
    ListConversations,
    LoadHistory,
    PutConversation,
)
from messaging.domain.errors import (
    ClientError,
    Conflict,
    InvalidFormat,
    PermissionDenied,
    RateLimited,
    RoomNotFound,
    UserNotFound,
)
from messaging.domain.events import ConversationChanged, ConversationDeleted, MemberAdded, Notified
from messaging.domain.models import ConversationView, Kind, Role
from messaging.domain.replies import ConversationList, ConversationReply, Reply
from tests.stage import NO_RULES, Stage, service, staged


def view_of(reply: Reply) -> ConversationView:
    assert isinstance(reply, ConversationReply)
    return reply.view


async def get(stage: Stage, actor: Actor, conversation_id: str) -> ConversationView:
    return view_of(await stage.do(actor, GetConversation(conversation_id=conversation_id)))


async def page(stage: Stage, actor: Actor, **asked: object) -> ConversationList:
    reply = await stage.do(actor, replace(ListConversations(), **asked))  # type: ignore[arg-type]
    assert isinstance(reply, ConversationList)
    return reply


def shown(listed: ConversationList) -> list[str]:
    return [view.conversation.id for view in listed.conversations]


# --- creating ---


async def test_who_creates_a_group_owns_it_and_all_members_are_told(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    command = CreateConversation(kind=Kind.GROUP, name="Team", member_ids=("bob", "alice", "bob"))
    outcome = await stage.outcome(alice, command)
    view = view_of(outcome.reply)
    assert (view.conversation.name, view.conversation.member_count) == ("Team", 2)
    assert view.members is not None
    assert {m.profile.id: m.role for m in view.members} == {"alice": Role.OWNER, "bob": Role.MEMBER}
    assert view.mine is not None
    assert view.mine.member.role is Role.OWNER
    assert [event.user_id for event in outcome.events if isinstance(event, MemberAdded)] == ["alice", "bob"]


async def test_a_group_of_people_who_do_not_exist_is_refused_whole(stage: Stage) -> None:
    alice = await stage.user("alice")
    with pytest.raises(UserNotFound):
        await stage.do(alice, CreateConversation(kind=Kind.GROUP, member_ids=("nobody",)))
    assert shown(await page(stage, alice)) == []


async def test_a_service_creates_a_group_that_nobody_owns_yet(stage: Stage) -> None:
    view = view_of(await stage.do(service(), CreateConversation(kind=Kind.GROUP, member_ids=("zoe",))))
    assert [member.role for member in view.members or ()] == [Role.MEMBER]


async def test_anybody_makes_a_public_room_and_the_second_one_finds_it(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    command = CreateConversation(kind=Kind.ROOM, name="lobby")
    replies = [await stage.do(actor, command) for actor in (alice, bob)]
    assert [r.created for r in replies if isinstance(r, ConversationReply)] == [True, False]
    assert {view_of(reply).conversation.kind for reply in replies} == {Kind.ROOM}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (CreateConversation(kind=Kind.DIRECT, member_ids=("bob",)), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM, name="dm:a:b"), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM, name="x" * 65), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM, name="lobby", private=True), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM, name="lobby", member_ids=("bob",)), InvalidFormat),
        (CreateConversation(kind=Kind.ROOM, name="taken"), Conflict),
    ],
)
async def test_what_cannot_be_created_is_refused(
    stage: Stage, command: Command, error: type[ClientError]
) -> None:
    alice = await stage.user("alice")
    await stage.group("taken", "bob")
    with pytest.raises(error):
        await stage.do(alice, command)


# --- putting ---


async def test_putting_makes_then_adds_and_renames_and_never_removes(stage: Stage) -> None:
    put = PutConversation(conversation_id="7", name="Team", member_ids=("a", "b"))
    await stage.do(service(), put)
    outcome = await stage.outcome(service(), replace(put, name="Crew", member_ids=("b", "c")))
    view = view_of(outcome.reply)
    assert view.conversation.name == "Crew"
    assert {member.profile.id for member in view.members or ()} == {"a", "b", "c"}
    assert [type(event) for event in outcome.events] == [MemberAdded, Notified, ConversationChanged]
    kept = view_of(await stage.do(service(), PutConversation(conversation_id="7")))
    assert (kept.conversation.name, kept.conversation.member_count) == ("Crew", 3)


async def test_putting_the_same_again_changes_and_tells_nothing(stage: Stage) -> None:
    put = PutConversation(conversation_id="7", name="Team", private=True, member_ids=("a",))
    first = view_of(await stage.do(service(), put))
    again = await stage.outcome(service(), put)
    assert again.events == ()
    assert view_of(again.reply).conversation == first.conversation


async def test_only_a_service_chooses_an_id(stage: Stage) -> None:
    with pytest.raises(PermissionDenied):
        await stage.do(await stage.user("alice"), PutConversation(conversation_id="7"))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (PutConversation(conversation_id="group", kind=Kind.ROOM), Conflict),
        (PutConversation(conversation_id="room", kind=Kind.GROUP), Conflict),
        (PutConversation(conversation_id="new", kind=Kind.DIRECT), InvalidFormat),
        (PutConversation(conversation_id="dm:a:b"), InvalidFormat),
        (PutConversation(conversation_id="no room", kind=Kind.ROOM), InvalidFormat),
        (PutConversation(conversation_id="new", kind=Kind.ROOM, member_ids=("a",)), InvalidFormat),
        (PutConversation(conversation_id="new", kind=Kind.ROOM, private=True), InvalidFormat),
    ],
)
async def test_what_cannot_be_put_is_refused(
    stage: Stage, command: Command, error: type[ClientError]
) -> None:
    await stage.group("group", "a")
    await stage.do(service(), PutConversation(conversation_id="room", kind=Kind.ROOM))
    with pytest.raises(error):
        await stage.do(service(), command)


async def test_puts_at_the_same_moment_all_succeed_and_add_everybody(stage: Stage) -> None:
    users = [f"u{number}" for number in range(6)]
    puts = [PutConversation(conversation_id="7", member_ids=(user_id, "all")) for user_id in users]
    await asyncio.gather(*(stage.do(service(), put) for put in puts))
    view = await get(stage, service(), "7")
    assert {member.profile.id for member in view.members or ()} == {*users, "all"}
    assert view.conversation.member_count == 7


# --- changing and deleting ---


async def test_admins_rename_and_members_do_not(stage: Stage) -> None:
    alice, bob, eve = [await stage.user(user_id) for user_id in ("alice", "bob", "eve")]
    made = view_of(await stage.do(alice, CreateConversation(kind=Kind.GROUP, member_ids=("bob",))))
    rename = ChangeConversation(conversation_id=made.conversation.id, name="Crew")
    outcome = await stage.outcome(alice, rename)
    assert [type(event) for event in outcome.events] == [ConversationChanged]
    assert view_of(outcome.reply).conversation.version == made.conversation.version + 1
    with pytest.raises(PermissionDenied):
        await stage.do(bob, rename)
    with pytest.raises(RoomNotFound):
        await stage.do(eve, rename)


async def test_changes_at_the_same_moment_do_not_undo_each_other(stage: Stage) -> None:
    await stage.group("7", "a")
    changes = [
        ChangeConversation(conversation_id="7", name="Crew"),
        ChangeConversation(conversation_id="7", private=True),
    ]
    await asyncio.gather(*(stage.do(service(), change) for change in changes))
    conversation = (await get(stage, service(), "7")).conversation
    assert (conversation.name, conversation.private, conversation.version) == ("Crew", True, 3)


async def test_changing_nothing_tells_nothing(stage: Stage) -> None:
    await stage.group("7", "a")
    before = (await get(stage, service(), "7")).conversation
    outcome = await stage.outcome(service(), ChangeConversation(conversation_id="7", private=False))
    assert outcome.events == ()
    assert view_of(outcome.reply).conversation == before


async def test_a_public_room_cannot_become_private(stage: Stage) -> None:
    await stage.do(service(), PutConversation(conversation_id="lobby", kind=Kind.ROOM))
    with pytest.raises(InvalidFormat):
        await stage.do(service(), ChangeConversation(conversation_id="lobby", private=True))


async def test_an_owner_deletes_a_group_with_all_that_is_in_it(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    made = view_of(await stage.do(alice, CreateConversation(kind=Kind.GROUP, member_ids=("bob",))))
    group_id = made.conversation.id
    await stage.send(alice, group_id)
    with pytest.raises(PermissionDenied):
        await stage.do(bob, DeleteConversation(conversation_id=group_id))
    outcome = await stage.outcome(alice, DeleteConversation(conversation_id=group_id))
    assert [type(event) for event in outcome.events] == [ConversationDeleted]
    for command in (
        GetConversation(conversation_id=group_id),
        LoadHistory(conversation_id=group_id),
        DeleteConversation(conversation_id=group_id),
    ):
        with pytest.raises(RoomNotFound):
            await stage.do(alice, command)
    with pytest.raises(RoomNotFound):
        await stage.send(alice, group_id)


async def test_nobody_deletes_or_changes_a_direct_conversation(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    await stage.send(alice, "dm:alice:bob")
    for actor in (alice, service()):
        for command in (
            DeleteConversation(conversation_id="dm:alice:bob"),
            ChangeConversation(conversation_id="dm:alice:bob", name="us"),
        ):
            with pytest.raises(PermissionDenied):
                await stage.do(actor, command)


async def test_a_conversation_that_is_made_again_under_its_id_begins_anew(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("7", "alice")
    await stage.send(alice, "7")
    await stage.do(service(), DeleteConversation(conversation_id="7"))
    await stage.group("7", "alice")
    assert (await stage.send(alice, "7")).seq == 1


# --- getting and listing ---


async def test_a_stranger_gets_no_group_and_everybody_gets_a_room(stage: Stage) -> None:
    eve = await stage.user("eve")
    await stage.group("7", "a")
    await stage.do(service(), PutConversation(conversation_id="lobby", kind=Kind.ROOM))
    with pytest.raises(RoomNotFound):
        await get(stage, eve, "7")
    assert (await get(stage, eve, "lobby")).members is None


async def test_members_of_large_conversations_are_not_shown(stage: Stage) -> None:
    for size, members_are_shown in ((100, True), (101, False)):
        await stage.group(str(size), *(f"u{number}" for number in range(size)))
        view = await get(stage, service(), str(size))
        assert (view.members is not None) == members_are_shown
        assert view.conversation.member_count == size


async def test_the_list_begins_with_what_was_active_last(stage: Stage) -> None:
    alice = await stage.user("alice")
    for conversation_id in ("1", "2", "3"):
        stage.clock.pass_by(1)
        await stage.group(conversation_id, "alice")
    stage.clock.pass_by(1)
    await stage.send(alice, "2")
    assert shown(await page(stage, alice)) == ["2", "3", "1"]


async def test_a_direct_conversation_is_listed_once_it_has_a_message(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    assert shown(await page(stage, bob)) == []
    await stage.send(alice, "dm:alice:bob", "hi")
    listed = await page(stage, bob)
    assert (shown(listed), listed.total_unread) == (["dm:alice:bob"], 1)
    [view] = listed.conversations
    assert view.last_message is not None
    assert view.last_message.message.content == "hi"


@given(st.integers(0, 9), st.integers(1, 4), st.lists(st.integers(0, 2), min_size=9, max_size=9))
@settings(max_examples=40, deadline=None)
async def test_pages_hold_every_conversation_once_in_order(
    count: int, limit: int, pauses: Sequence[int]
) -> None:
    async with staged() as stage:
        alice = await stage.user("alice")
        for number in range(count):
            stage.clock.pass_by(pauses[number])
            await stage.group(f"g{number}", "alice")
        whole = shown(await page(stage, alice, limit=50))
        assert sorted(whole) == [f"g{number}" for number in range(count)]
        collected: list[str] = []
        position: str | None = None
        for _ in range(count + 1):
            listed = await page(stage, alice, limit=limit, next=position)
            collected += shown(listed)
            position = listed.next
            if position is None:
                break
        assert collected == whole


async def test_a_page_goes_on_where_it_was_while_conversations_are_active(stage: Stage) -> None:
    alice = await stage.user("alice")
    for number in range(4):
        stage.clock.pass_by(1)
        await stage.group(f"g{number}", "alice")
    first = await page(stage, alice, limit=2)
    stage.clock.pass_by(1)
    await stage.send(alice, "g3")
    second = await page(stage, alice, limit=2, next=first.next)
    assert shown(first) + shown(second) == ["g3", "g2", "g1", "g0"]


@pytest.mark.parametrize(
    "position", ["", "x", "é", "AAAA", "MTIz", "OTk5OTk5OTk5OTk5OTk5OTk5OSBh", "==", "\n"]
)
async def test_a_place_where_no_list_went_on_is_refused(stage: Stage, position: str) -> None:
    alice = await stage.user("alice")
    with pytest.raises(InvalidFormat):
        await page(stage, alice, next=position)


async def test_creating_and_listing_are_counted() -> None:
    async with staged(rules={**NO_RULES, "queries": "1/minute"}) as stage:
        alice = await stage.user("alice")
        await page(stage, alice)
        for command in (ListConversations(), CreateConversation(kind=Kind.GROUP)):
            with pytest.raises(RateLimited):
                await stage.do(alice, command)
