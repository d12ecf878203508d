"""Editing, deleting and reacting: who may, what becomes of the message, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from messaging.domain.commands import (
    Actor,
    Command,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    ListEdits,
    PutMember,
    RemoveMember,
    SendMessage,
    SetReaction,
)
from messaging.domain.emoji import is_emoji
from messaging.domain.errors import (
    ClientError,
    Conflict,
    InvalidFormat,
    MessageNotFound,
    MessageTooLong,
    PermissionDenied,
    RateLimited,
    RoomNotFound,
    Unavailable,
)
from messaging.domain.events import MessageDeleted, MessageEdited, ReactionChanged
from messaging.domain.models import Attachment, Edit, Kind, Message, Reaction, Role
from messaging.domain.replies import ChangedMessage, EditList, Sent
from messaging.service.hooks import MESSAGE_DELETED, MESSAGE_EDITED
from messaging.stores.sqlite import SqliteStore
from tests.stage import NO_RULES, Stage, service, staged


def edit(message: Message, content: str = "other") -> EditMessage:
    return EditMessage(message_id=message.id, content=content)


def delete(message: Message) -> DeleteMessage:
    return DeleteMessage(message_id=message.id)


def react(message: Message, emoji: str = "👍", *, present: bool = True, **place: str) -> SetReaction:
    return SetReaction(message_id=message.id, emoji=emoji, present=present, **place)


async def changed(stage: Stage, actor: Actor, command: Command) -> ChangedMessage:
    reply = await stage.do(actor, command)
    assert isinstance(reply, ChangedMessage)
    return reply


async def group(stage: Stage) -> tuple[Actor, Actor, Message]:
    """alice and bob in group g, and what alice said there."""
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    message = await stage.send(alice, "g", "first")
    stage.events.clear()
    return alice, bob, message


# --- editing ------------------------------------------------------------------------------------------


async def test_who_wrote_a_message_edits_it_and_everybody_is_told(stage: Stage) -> None:
    alice, _, message = await group(stage)
    stage.clock.pass_by(5)
    reply = await changed(stage, alice, edit(message, "second"))
    stored = await stage.ctx.store.message(message.id)
    assert stored == reply.view.message
    assert (stored.content, stored.edited_at, stored.rev) == ("second", stage.clock(), 1)
    (event,) = stage.events
    assert isinstance(event, MessageEdited)
    assert (event.message, event.rev, event.user_id, event.sender) == (
        *(stored, 1, "alice"),
        alice.identity.profile,
    )
    assert not reply.repeated


async def test_what_it_said_before_is_for_who_wrote_it_and_for_who_may_delete_it(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    carol = await stage.user("carol")
    await stage.do(alice, edit(message, "second"))
    await stage.do(service(), edit(message, "third"))
    expected = EditList(
        message_id=message.id,
        edits=(
            Edit(content="first", user_id="alice", at=stage.clock(), rev=1),
            Edit(content="second", user_id="host", at=stage.clock(), rev=2),
        ),
    )
    look = ListEdits(message_id=message.id)
    assert await stage.do(alice, look) == await stage.do(service(), look) == expected
    with pytest.raises(PermissionDenied):
        await stage.do(bob, look)
    with pytest.raises(MessageNotFound):
        await stage.do(carol, look)
    await stage.do(service(), PutMember(conversation_id="g", user_id="bob", role=Role.ADMIN))
    assert await stage.do(bob, look) == expected


async def test_an_edit_that_says_the_same_changes_nothing_and_is_told_to_nobody_else(stage: Stage) -> None:
    alice, _, message = await group(stage)
    reply = await changed(stage, alice, edit(message, "first"))
    assert reply.repeated
    assert isinstance(reply.event, MessageEdited)
    assert stage.events == []
    assert await stage.ctx.store.message(message.id) == message


async def test_a_message_is_edited_by_the_rules_for_sending(stage: Stage) -> None:
    alice, _, message = await group(stage)
    with pytest.raises(InvalidFormat):
        await stage.do(alice, edit(message, " \n"))
    with pytest.raises(MessageTooLong):
        await stage.do(alice, edit(message, "x" * 4001))
    file = Attachment(id="0", url="/a", file_name="a")
    reply = await stage.do(alice, SendMessage(conversation_id="g", content="look", attachments=(file,)))
    assert isinstance(reply, Sent)
    bare = await changed(stage, alice, edit(reply.view.message, ""))
    assert (bare.view.message.content, bare.view.message.attachments) == ("", (file,))


@pytest.mark.parametrize("command", [edit, delete, react])
async def test_nobody_changes_what_they_may_not_see(
    stage: Stage, command: Callable[[Message], Command]
) -> None:
    alice, bob, message = await group(stage)
    carol = await stage.user("carol")
    with pytest.raises(MessageNotFound):
        await stage.do(carol, command(message))
    await stage.do(bob, RemoveMember(conversation_id="g", user_id="bob"))
    with pytest.raises(MessageNotFound):
        await stage.do(bob, command(message))
    with pytest.raises(MessageNotFound):
        await stage.do(alice, EditMessage(message_id=message.id + 1, content="x"))


async def test_only_who_wrote_a_message_edits_it_not_even_the_owner(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(service(), PutMember(conversation_id="g", user_id="bob", role=Role.OWNER))
    with pytest.raises(PermissionDenied):
        await stage.do(bob, edit(message))
    spoken = await stage.do(service(), SendMessage(conversation_id="g", content="hi", system=True))
    assert isinstance(spoken, Sent)
    with pytest.raises(PermissionDenied):
        await stage.do(alice, edit(spoken.view.message))
    await stage.do(service(), edit(spoken.view.message))


# --- deleting -----------------------------------------------------------------------------------------


async def test_a_deleted_message_keeps_its_place_and_nothing_of_what_it_said(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(alice, edit(message))
    await stage.do(bob, react(message))
    stage.events.clear()
    reply = await changed(stage, alice, delete(message))
    gone = reply.view.message
    assert (gone.id, gone.seq, gone.content, gone.reactions) == (message.id, 1, "", ())
    assert gone.deleted_at == stage.clock()
    (event,) = stage.events
    assert isinstance(event, MessageDeleted)
    assert (event.user_id, event.rev) == ("alice", 3)
    assert await stage.do(alice, ListEdits(message_id=message.id)) == EditList(
        message_id=message.id, edits=()
    )


async def test_what_was_deleted_cannot_be_changed_but_deleted_again(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(alice, delete(message))
    stage.events.clear()
    for command in (edit(message), react(message), react(message, present=False)):
        with pytest.raises(MessageNotFound):
            await stage.do(alice, command)
    assert (await changed(stage, alice, delete(message))).repeated
    assert stage.events == []
    with pytest.raises(PermissionDenied):
        await stage.do(bob, delete(message))


async def test_admins_delete_what_others_wrote_and_members_do_not(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    with pytest.raises(PermissionDenied):
        await stage.do(bob, delete(message))
    await stage.do(service(), PutMember(conversation_id="g", user_id="bob", role=Role.ADMIN))
    assert (await changed(stage, bob, delete(message))).event.rev == 1
    theirs = await stage.send(bob, "g")
    with pytest.raises(PermissionDenied):
        await stage.do(alice, delete(theirs))


async def test_in_a_room_and_between_two_everybody_deletes_only_their_own(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="open"))
    in_room = await stage.send(bob, "open")
    sent = await stage.do(bob, SendMessage(to_user="alice", content="hi"))
    assert isinstance(sent, Sent)
    for message in (in_room, sent.view.message):
        with pytest.raises(PermissionDenied):
            await stage.do(alice, delete(message))
        await stage.do(alice, react(message))
        await stage.do(bob, delete(message))


# --- reacting -----------------------------------------------------------------------------------------


async def test_users_react_once_with_each_emoji_in_the_order_in_which_they_came(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(bob, react(message))
    await stage.do(alice, react(message, "❤️"))
    reply = await changed(stage, alice, react(message))
    assert reply.view.message.reactions == (
        Reaction(emoji="👍", user_ids=("bob", "alice")),
        Reaction(emoji="❤️", user_ids=("alice",)),
    )
    assert (await changed(stage, alice, react(message))).repeated
    reply = await changed(stage, bob, react(message, present=False))
    assert reply.view.message.reactions[0] == Reaction(emoji="👍", user_ids=("alice",))
    assert (await changed(stage, bob, react(message, present=False))).repeated
    told = [(e.user.id, e.emoji, e.added, e.rev) for e in stage.events if isinstance(e, ReactionChanged)]
    assert told == [
        *(("bob", "👍", True, 1), ("alice", "❤️", True, 2)),
        *(("alice", "👍", True, 3), ("bob", "👍", False, 4)),
    ]


async def test_a_message_has_at_most_twenty_kinds_of_reactions(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    kinds = [chr(0x1F600 + number) for number in range(21)]
    for emoji in kinds[:20]:
        await stage.do(alice, react(message, emoji))
    with pytest.raises(Conflict):
        await stage.do(bob, react(message, kinds[20]))
    await stage.do(bob, react(message, kinds[0]))
    await stage.do(alice, react(message, kinds[1], present=False))
    await stage.do(bob, react(message, kinds[20]))


async def test_reactions_of_many_at_once_are_all_there(stage: Stage) -> None:
    _, _, message = await group(stage)
    users = [await stage.user(f"u{number}") for number in range(30)]
    await stage.group("g", *(user.user_id for user in users))
    await asyncio.gather(*(stage.do(user, react(message)) for user in users))
    stored = await stage.ctx.store.message(message.id)
    assert stored is not None
    assert set(stored.reactions[0].user_ids) == {user.user_id for user in users}
    assert sorted(e.rev for e in stage.events if isinstance(e, ReactionChanged)) == list(range(1, 31))


async def test_events_carry_the_first_fifty_who_reacted_and_how_many_there_are(stage: Stage) -> None:
    _, _, message = await group(stage)
    users = [await stage.user(f"u{number:02}") for number in range(60)]
    await stage.group("g", *(user.user_id for user in users))
    for user in users:
        reply = await changed(stage, user, react(message))
    (whole,), (told,) = reply.view.message.reactions, reply.event.message.reactions
    assert (len(whole.user_ids), whole.count) == (60, 60)
    assert (told.user_ids, told.count) == (whole.user_ids[:50], 60)


@pytest.mark.parametrize(
    "no_emoji", ["a", "+1", "👍👍", "🇫", "👍 ", "1", "\u200d", "", "👍\ufe0f\ufe0f", "👩‍👩‍" * 9]
)
async def test_what_is_no_emoji_is_no_reaction(stage: Stage, no_emoji: str) -> None:
    alice, _, message = await group(stage)
    with pytest.raises(InvalidFormat):
        await stage.do(alice, react(message, no_emoji))


@pytest.mark.parametrize(
    "emoji", ["👍", "👍🏽", "❤", "❤️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "‼️", "©️", "⏰"]
)
def test_one_grapheme_is_one_emoji(emoji: str) -> None:
    assert is_emoji(emoji)


async def test_a_reaction_that_names_a_place_is_only_made_there(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(alice, react(message, conversation_id="g"))
    sent = await stage.do(bob, SendMessage(to_user="alice", content="hi"))
    assert isinstance(sent, Sent)
    await stage.do(alice, react(sent.view.message, to_user="bob"))
    for wrong in (react(message, to_user="bob"), react(sent.view.message, conversation_id="g")):
        with pytest.raises(MessageNotFound):
            await stage.do(alice, wrong)


class Away(SqliteStore):
    """A store that can be away, and counts how often it is asked to change something."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.away, self.asked = False, 0

    async def change(self, *args: Any, **named: Any) -> Any:
        self.asked += 1
        if self.away:
            raise Unavailable
        return await super().change(*args, **named)


async def test_while_the_storage_is_away_nobody_waits_for_more_than_one_try() -> None:
    store = Away()
    async with staged(store=store) as stage:
        alice, bob, message = await group(stage)
        store.away = True
        wishes = [react(message, chr(0x1F600 + number)) for number in range(10)]
        made = await asyncio.gather(
            *(stage.do(user, wish) for wish in wishes for user in (alice, bob)), return_exceptions=True
        )
        assert all(isinstance(each, Unavailable) for each in made)
        assert store.asked <= 2
        store.away = False
        await stage.do(alice, wishes[0])


# --- limits, webhooks, replies ------------------------------------------------------------------------


async def test_changes_count_as_messages_and_what_changes_nothing_does_not() -> None:
    async with staged(rules={**NO_RULES, "messages": "4/minute"}) as stage:
        alice, _, message = await group(stage)
        await stage.do(alice, edit(message))
        for _ in range(5):
            assert (await changed(stage, alice, edit(message))).repeated
        await stage.do(alice, react(message))
        await stage.do(alice, react(message, present=False))
        with pytest.raises(RateLimited):
            await stage.do(alice, delete(message))


async def test_webhooks_are_told_of_edits_and_deletions() -> None:
    async with staged() as stage:
        stage.ctx.hooks.wanted = frozenset({MESSAGE_EDITED, MESSAGE_DELETED})
        alice, bob, message = await group(stage)
        await stage.do(alice, edit(message))
        await stage.do(bob, react(message))
        await stage.do(alice, delete(message))
        kept = await stage.ctx.store.hooks("g", limit=9)
        assert [(hook.type, hook.message_id) for hook in kept] == [
            (MESSAGE_EDITED, message.id),
            (MESSAGE_DELETED, message.id),
        ]


async def test_a_deleted_message_can_still_be_replied_to_but_not_from_elsewhere(stage: Stage) -> None:
    alice, bob, message = await group(stage)
    await stage.do(alice, delete(message))
    await stage.do(bob, SendMessage(conversation_id="g", content="why?", reply_to=message.id))
    await stage.group("other", "bob")
    with pytest.raises(ClientError) as refused:
        await stage.do(bob, SendMessage(conversation_id="other", content="?", reply_to=message.id))
    assert isinstance(refused.value, MessageNotFound | RoomNotFound)
