"""`/chat` word for word: what its clients emit, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from messaging.dialects import DIALECTS
from messaging.dialects.base import Frame, Hears
from messaging.domain.commands import (
    Authenticate,
    Command,
    JoinConversation,
    LeaveConversation,
    ListOnlineUsers,
    LoadHistory,
    MarkRead,
    SendMessage,
    SetTyping,
)
from messaging.domain.errors import RoomNotFound
from messaging.domain.events import Event, MessageSent, PresenceChanged, TypingChanged, UnreadChanged
from messaging.domain.models import Attachment, Status
from messaging.domain.replies import Done, HistoryPage, Joined, Left, Marked, OnlineUsers, Reply, Sent
from tests.dialects.examples import ALICE, BOB, FULL, GROUP, NOW, NOW_TEXT, PAIR, PLAIN, READ, VIEWS

CHAT = DIALECTS["chat"]
LATER_TEXT = "2025-10-23T09:30:01.120Z"

SEED: list[tuple[str, object, Command]] = [
    ("conversation:join", {"conversationId": 1}, JoinConversation(conversation_id="1", limit=0)),
    ("conversation:leave", {"conversationId": 1}, LeaveConversation(conversation_id="1")),
    (
        "message:send",
        {
            "conversationId": 1,
            "content": "Bonjour, je souhaite prendre rendez-vous...",
            "attachments": ["https://example.com/document.pdf"],
        },
        SendMessage(
            conversation_id="1",
            content="Bonjour, je souhaite prendre rendez-vous...",
            attachments=(
                Attachment(id="0", url="https://example.com/document.pdf", file_name="document.pdf"),
            ),
        ),
    ),
    (
        "message:typing",
        {"conversationId": 1, "isTyping": True},
        SetTyping(conversation_id="1", active=True),
    ),
    (
        "message:typing",
        {"conversationId": 1, "isTyping": False},
        SetTyping(conversation_id="1", active=False),
    ),
    ("message:read", {"messageId": 123}, MarkRead(message_ids=(123,))),
    ("conversation:users:online", {"conversationId": 1}, ListOnlineUsers(conversation_id="1")),
    (
        "conversation:history",
        {"conversationId": "abc", "after": 3, "limit": 5},
        LoadHistory(conversation_id="abc", after=3, limit=5),
    ),
    ("authenticate", {"token": "x.y.z"}, Authenticate(token="x.y.z")),
]

PLAIN_SHOWN = {
    "id": 123,
    "conversationId": 1,
    "seq": 7,
    "senderId": "bob",
    "content": "Bonjour!",
    "attachments": [],
    "sentAt": NOW_TEXT,
    "type": "USER",
    "contentType": "text",
    "reactions": [],
    "senderName": "bob",
}
FULL_SHOWN = {
    "id": 124,
    "conversationId": 1,
    "seq": 8,
    "senderId": 5,
    "content": "Voici",
    "attachments": ["https://example.com/a.pdf", "/v.ogg"],
    "sentAt": NOW_TEXT,
    "readAt": LATER_TEXT,
    "editedAt": LATER_TEXT,
    "replyTo": 123,
    "type": "USER",
    "contentType": "text",
    "reactions": [{"emoji": "👍", "count": 60, "userIds": list(range(50))}],
    "clientMessageId": "42",
    "senderName": "Alice",
}
RECEIPTS: list[tuple[str, object]] = [
    ("message:read:ack", {"messageId": message_id, "conversationId": 1, "readBy": 5, "readAt": NOW_TEXT})
    for message_id in (123, 126)
]

ANSWERS: list[tuple[str, Reply, dict[str, Any], list[tuple[str, object]]]] = [
    (
        "conversation:join",
        Joined(conversation=GROUP, last_seq=8),
        {"conversationId": 1, "lastSeq": 8},
        [],
    ),
    (
        "conversation:join",
        Joined(conversation=PAIR, messages=VIEWS, missing=True),
        {"conversationId": "dm:5:bob", "lastSeq": 0},
        [],
    ),
    ("conversation:leave", Left(conversation_id="1"), {}, []),
    ("message:send", Sent(conversation=GROUP, view=VIEWS[1]), {"message": FULL_SHOWN}, []),
    ("message:typing", Done(), {}, []),
    ("message:read", Marked(total_unread=2, again=(READ,)), {}, RECEIPTS),
    (
        "conversation:users:online",
        OnlineUsers(conversation_id="1", user_ids=("1", "5", "8", "bob", "08")),
        {"onlineUsers": [1, 5, 8, "bob", "08"]},
        [],
    ),
    (
        "conversation:history",
        HistoryPage(conversation=GROUP, messages=VIEWS[:2], has_more=True, last_seq=8),
        {"messages": [PLAIN_SHOWN, FULL_SHOWN], "hasMore": True},
        [],
    ),
]


def seen(status: Status, *, crossed: bool) -> PresenceChanged:
    return PresenceChanged(
        user=ALICE, status=status, crossed=crossed, last_seen=NOW, conversations=(), at=NOW
    )


EVENTS: list[tuple[Event, list[tuple[str, object]]]] = [
    (
        MessageSent(conversation=GROUP, message=PLAIN, sender=BOB),
        [("message:new", {"message": PLAIN_SHOWN, "timestamp": NOW_TEXT})],
    ),
    (
        TypingChanged(conversation=GROUP, user=ALICE, active=True, at=NOW),
        [("user:typing", {"conversationId": 1, "userId": 5, "isTyping": True})],
    ),
    (
        TypingChanged(conversation=GROUP, user=BOB, active=False, at=NOW),
        [("user:typing", {"conversationId": 1, "userId": "bob", "isTyping": False})],
    ),
    (READ, RECEIPTS),
    (replace(READ, receipts=()), []),
    (seen(Status.ONLINE, crossed=True), [("user:online", {"userId": 5})]),
    (seen(Status.AWAY, crossed=True), [("user:online", {"userId": 5})]),
    (seen(Status.AWAY, crossed=False), []),
    (seen(Status.OFFLINE, crossed=True), [("user:offline", {"userId": 5})]),
    (UnreadChanged(user_id="5", total=3, at=NOW), []),
]


def pairs(frames: tuple[Frame, ...]) -> list[tuple[str, object]]:
    return [(frame.name, frame.payload) for frame in frames]


@pytest.mark.parametrize(("name", "payload", "command"), SEED)
def test_what_clients_emit_is_understood(name: str, payload: object, command: Command) -> None:
    (request,) = CHAT.requests(Frame(name, payload))
    assert request.error is None
    assert request.command == command


@pytest.mark.parametrize(("name", "reply", "ack", "frames"), ANSWERS)
def test_commands_are_acked_as_the_contract_says(
    name: str, reply: Reply, ack: dict[str, Any], frames: list[tuple[str, object]]
) -> None:
    (request,) = CHAT.requests(Frame(name, {"conversationId": 1}))
    answer = CHAT.reply(request, reply, NOW)
    assert answer.ack is not None
    text = answer.ack["message"]
    assert answer.ack == {"success": True, "message": text, **ack}
    assert isinstance(text, str) or name == "message:send"
    assert pairs(answer.frames) == frames


@pytest.mark.parametrize(("event", "frames"), EVENTS)
def test_events_are_told_as_the_contract_says(event: Event, frames: list[tuple[str, object]]) -> None:
    assert pairs(CHAT.render(event)) == frames


def test_a_connection_hears_only_what_it_joined() -> None:
    assert CHAT.hears is Hears.JOINED
    assert not CHAT.writes_need_join


def test_a_refusal_names_ids_as_numbers_and_other_words_as_they_are() -> None:
    (request,) = CHAT.requests(
        Frame("message:send", {"conversationId": "1", "content": "x", "clientMessageId": "42"})
    )
    answer = CHAT.refusal(request, RoomNotFound(), NOW)
    told = {
        "message": "There is no such conversation.",
        "code": "ROOM_NOT_FOUND",
        "details": {"conversationId": 1, "clientMessageId": "42"},
    }
    assert answer.ack == {"success": False, **told}
    assert pairs(answer.frames) == [("error", told)]


def test_an_id_above_what_javascript_keeps_stays_a_string() -> None:
    large = replace(FULL, conversation_id=str(2**53), sender_id=str(2**53 - 1))
    (frame,) = CHAT.render(MessageSent(conversation=GROUP, message=large, sender=ALICE))
    assert frame.payload["message"]["conversationId"] == "9007199254740992"
    assert frame.payload["message"]["senderId"] == 9007199254740991
