"""Edits, deletions and reactions: what each dialect understands, and how it tells them."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.dialects import DIALECTS, shapes
from messaging.dialects.base import Frame
from messaging.domain.commands import Command, DeleteMessage, EditMessage, SetReaction
from messaging.domain.events import MessageChange, MessageDeleted, ReactionChanged
from messaging.domain.models import Conversation
from tests.dialects.examples import BOB, DELETED, FULL, GROUP, LATER, NOW_TEXT, PAIR, VIEWS, edited

AT = shapes.time(LATER)
EDIT = edited(GROUP, VIEWS[0])
PAIR_EDIT = edited(PAIR, VIEWS[0])
FIFTY = [str(n) for n in range(50)]


def deleted(where: Conversation = GROUP) -> MessageDeleted:
    return MessageDeleted(conversation=where, message=DELETED, user_id="5", rev=4, at=LATER)


def reaction(where: Conversation = GROUP, *, added: bool = True) -> ReactionChanged:
    return ReactionChanged(
        conversation=where, message=FULL, user=BOB, emoji="👍", added=added, rev=5, at=LATER
    )


UNDERSTOOD: list[tuple[str, str, dict[str, Any], Command]] = [
    ("messaging", "edit-message", {"messageId": "7", "content": "x"}, EditMessage(message_id=7, content="x")),
    ("messaging", "delete-message", {"messageId": 7}, DeleteMessage(message_id=7)),
    (
        "messaging",
        "add-reaction",
        {"messageId": 7, "emoji": "👍"},
        SetReaction(message_id=7, emoji="👍", present=True),
    ),
    (
        "messaging",
        "remove-reaction",
        {"messageId": 7, "emoji": "👍"},
        SetReaction(message_id=7, emoji="👍", present=False),
    ),
    ("chat", "message:edit", {"messageId": 7, "content": "x"}, EditMessage(message_id=7, content="x")),
    ("chat", "message:delete", {"messageId": 7}, DeleteMessage(message_id=7)),
    (
        "chat",
        "message:react",
        {"messageId": 7, "emoji": "👍"},
        SetReaction(message_id=7, emoji="👍", present=True),
    ),
    (
        "chat",
        "message:unreact",
        {"messageId": 7, "emoji": "👍"},
        SetReaction(message_id=7, emoji="👍", present=False),
    ),
    ("ws-chat", "edit_message", {"message_id": 7, "content": "x"}, EditMessage(message_id=7, content="x")),
    ("ws-chat", "delete_message", {"message_id": "7"}, DeleteMessage(message_id=7)),
    (
        "ws-chat",
        "room_message",
        {
            "room": "general",
            "message_type": "reaction",
            "content": "👍",
            "reply_to": 7,
            "client_message_id": "c",
        },
        SetReaction(message_id=7, emoji="👍", present=True, conversation_id="general"),
    ),
    (
        "ws-chat",
        "direct_message",
        {"to_user_id": 2, "message_type": "reaction", "content": "👍", "reply_to": "7"},
        SetReaction(message_id=7, emoji="👍", present=True, to_user="2"),
    ),
    (
        "ws-chat",
        "reaction_removed",
        {"message_id": 7, "content": "👍"},
        SetReaction(message_id=7, emoji="👍", present=False),
    ),
]


@pytest.mark.parametrize(("dialect", "name", "body", "command"), UNDERSTOOD)
def test_what_clients_send_is_understood(
    dialect: str, name: str, body: dict[str, Any], command: Command
) -> None:
    payload = {"type": name, "data": body} if dialect == "ws-chat" else body
    (request,) = DIALECTS[dialect].requests(Frame(name, payload))
    assert request.error is None
    assert request.command == command


def ws(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": name, "data": data, "timestamp": AT}


def put(spelling: str, users: list[Any]) -> list[dict[str, Any]]:
    return [{"emoji": "👍", "count": 60, spelling: users}]


IN_ROOM = {"id": 123, "seq": 7, "room": "1", "user_id": "bob", "username": "bob", "content": "Bonjour!"}
IN_ROOM |= {"message_type": "text", "created_at": NOW_TEXT, "edited_at": AT}

TOLD: list[tuple[str, MessageChange, str | None, str, dict[str, Any]]] = [
    (
        "messaging",
        EDIT,
        None,
        "message-edited",
        shapes.message(EDIT.message, BOB) | {"editedAt": AT},
    ),
    (
        "messaging",
        deleted(),
        None,
        "message-deleted",
        {"messageId": "125", "conversationId": "1", "seq": 9, "deletedAt": AT},
    ),
    (
        "messaging",
        reaction(),
        None,
        "reaction-updated",
        {"messageId": "124", "conversationId": "1", "reactions": put("userIds", FIFTY)},
    ),
    (
        "chat",
        deleted(),
        None,
        "message:deleted",
        {"messageId": 125, "conversationId": 1, "seq": 9, "deletedAt": AT},
    ),
    (
        "chat",
        reaction(added=False),
        None,
        "message:reaction",
        {"messageId": 124, "conversationId": 1, "reactions": put("userIds", list(range(50)))},
    ),
    ("ws-chat", EDIT, None, "message_edited", ws("message_edited", {"message_id": 123, **IN_ROOM})),
    (
        "ws-chat",
        PAIR_EDIT,
        "5",
        "message_edited",
        ws(
            "message_edited",
            {
                "message_id": 123,
                "id": 123,
                "seq": 7,
                "from_user_id": "bob",
                "from_username": "bob",
                "to_user_id": 5,
                "content": "Bonjour!",
                "message_type": "text",
                "created_at": NOW_TEXT,
                "edited_at": AT,
            },
        ),
    ),
    (
        "ws-chat",
        deleted(),
        None,
        "message_deleted",
        ws("message_deleted", {"message_id": 125, "seq": 9, "user_id": 5, "deleted_at": AT, "room": "1"}),
    ),
    (
        "ws-chat",
        deleted(PAIR),
        "bob",
        "message_deleted",
        ws("message_deleted", {"message_id": 125, "seq": 9, "user_id": 5, "deleted_at": AT, "with_user": 5}),
    ),
    (
        "ws-chat",
        reaction(),
        None,
        "room_message",
        ws(
            "room_message",
            {
                "id": 124,
                "seq": 8,
                "room": "1",
                "user_id": "bob",
                "username": "bob",
                "content": "👍",
                "message_type": "reaction",
                "created_at": AT,
                "reply_to": 124,
            },
        ),
    ),
    (
        "ws-chat",
        reaction(PAIR),
        "5",
        "direct_message",
        ws(
            "direct_message",
            {
                "id": 124,
                "seq": 8,
                "from_user_id": "bob",
                "from_username": "bob",
                "to_user_id": 5,
                "content": "👍",
                "message_type": "reaction",
                "created_at": AT,
                "reply_to": 124,
            },
        ),
    ),
    (
        "ws-chat",
        reaction(PAIR, added=False),
        "5",
        "reaction_removed",
        ws("reaction_removed", {"message_id": 124, "user_id": "bob", "content": "👍", "with_user": "bob"}),
    ),
    (
        "rooms",
        PAIR_EDIT,
        "5",
        "message_edited",
        {
            "type": "message_edited",
            "id": "123",
            "seq": 7,
            "to": "5",
            "from": "bob",
            "content": "Bonjour!",
            "timestamp": NOW_TEXT,
            "edited_at": AT,
        },
    ),
    (
        "rooms",
        deleted(),
        None,
        "message_deleted",
        {"type": "message_deleted", "id": "125", "seq": 9, "room": "1", "by": "5", "deleted_at": AT},
    ),
    (
        "rooms",
        reaction(PAIR, added=False),
        "5",
        "reaction",
        {
            "type": "reaction",
            "id": "124",
            "seq": 8,
            "with": "bob",
            "from": "bob",
            "emoji": "👍",
            "added": False,
            "reactions": put("user_ids", FIFTY),
        },
    ),
]


@pytest.mark.parametrize(("dialect", "event", "viewer", "name", "payload"), TOLD)
def test_changes_are_told_as_the_contract_says(
    dialect: str, event: MessageChange, viewer: str | None, name: str, payload: dict[str, Any]
) -> None:
    assert DIALECTS[dialect].render(event, viewer) == (Frame(name, payload),)


def test_chat_tells_an_edited_message_as_it_tells_a_new_one() -> None:
    (frame,) = DIALECTS["chat"].render(EDIT)
    assert frame.name == "message:edited"
    assert frame.payload["senderName"] == BOB.display_name
    assert frame.payload["editedAt"] == AT


def test_unified_tells_who_changed_a_message_in_its_envelope() -> None:
    (gone,), (put_on,) = DIALECTS["unified"].render(deleted(PAIR)), DIALECTS["unified"].render(reaction())
    which = {"message_id": 125, "conversation_id": PAIR.id, "seq": 9}
    assert gone.payload["payload"] == which | {"deleted_at": AT}
    assert (gone.payload["meta"]["sender_id"], gone.payload["meta"]["target_id"]) == (5, "bob")
    which = {"message_id": 124, "conversation_id": 1, "group_id": 1, "seq": 8}
    told = {"emoji": "👍", "added": True, "reactions": put("user_ids", list(range(50)))}
    assert put_on.payload["payload"] == which | told
    assert (put_on.payload["meta"]["sender_id"], put_on.payload["meta"]["target_id"]) == ("bob", 1)
