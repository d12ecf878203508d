"""Exporting conversations: all of it, for who may read it, as long as they may."""

from __future__ import annotations

import pytest

from messaging.domain.commands import (
    Actor,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    ExportConversation,
    ExportUser,
    RemoveMember,
)
from messaging.domain.errors import RoomNotFound
from messaging.domain.forgetting import Record
from messaging.domain.models import Kind
from messaging.domain.replies import ConversationExport, UserExport
from messaging.service import exporting
from tests.stage import Stage, service


async def begun(stage: Stage, actor: Actor, conversation_id: str) -> ConversationExport:
    reply = await stage.do(actor, ExportConversation(conversation_id=conversation_id))
    assert isinstance(reply, ConversationExport)
    return reply


async def test_an_export_has_all_that_was_said_until_it_began_page_by_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXPORT_PAGE", 3)
    alice = await stage.user("alice")
    await stage.group("g", "alice")
    for number in range(8):
        await stage.send(alice, "g", str(number))
    export = await begun(stage, alice, "g")
    await stage.send(alice, "g", "later")
    pages = [[view.message.content for view in page] async for page in export.pages]
    assert pages == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]


async def test_members_and_services_may_export_and_a_room_may_anybody(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice")
    await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="lobby"))
    with pytest.raises(RoomNotFound):
        await begun(stage, bob, "g")
    for actor, where in ((alice, "g"), (service(), "g"), (bob, "lobby")):
        assert [page async for page in (await begun(stage, actor, where)).pages] == []


async def test_what_a_user_said_before_is_exported_with_their_messages_page_by_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXPORT_PAGE", 2)
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    mine, taken_back, his = [await stage.send(who, "g", "0") for who in (alice, alice, bob)]
    for number in range(1, 6):
        await stage.do(alice, EditMessage(message_id=mine.id, content=str(number)))
    await stage.do(alice, EditMessage(message_id=taken_back.id, content="1"))
    await stage.do(alice, DeleteMessage(message_id=taken_back.id))
    await stage.do(bob, EditMessage(message_id=his.id, content="1"))
    export = await stage.do(alice, ExportUser(user_id="alice"))
    assert isinstance(export, UserExport)
    pages = [
        [dict(item.values) for item in page if isinstance(item, Record) and item.kind == "edits"]
        async for page in export.pages
    ]
    edits = [edit for page in pages for edit in page]
    assert [edit["content"] for edit in edits] == ["0", "1", "2", "3", "4"]
    assert {edit["messageId"] for edit in edits} == {str(mine.id)}
    assert (edits[0]["conversationId"], edits[0]["editedBy"]) == ("g", "alice")
    assert edits[0]["editedAt"] == stage.clock()
    assert max(map(len, pages)) == 2


async def test_an_export_ends_when_its_reader_is_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXPORT_PAGE", 1)
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for _ in range(3):
        await stage.send(alice, "g")
    export = await begun(stage, bob, "g")
    await anext(export.pages)
    await stage.do(service(), RemoveMember(conversation_id="g", user_id="bob"))
    with pytest.raises(RoomNotFound):
        await anext(export.pages)
