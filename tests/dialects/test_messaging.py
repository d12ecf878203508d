"""`/messaging` word for word: what its clients emit, and what they are told."""

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
    ListConversations,
    ListOnlineUsers,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
    SendMessage,
    SetStatus,
    SetTyping,
)
from messaging.domain.errors import MessageNotFound, RateLimited
from messaging.domain.events import (
    ConversationDeleted,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageSent,
    PresenceChanged,
    TypingChanged,
    UnreadChanged,
)
from messaging.domain.models import Attachment, Identity, Status
from messaging.domain.replies import (
    Authenticated,
    ConversationList,
    Done,
    HistoryPage,
    Joined,
    Left,
    Marked,
    OnlineUsers,
    Reply,
    Sent,
)
from tests.dialects.examples import (
    ALICE,
    BARE_VIEW,
    BOB,
    FULL,
    GROUP,
    HOST,
    NOW,
    NOW_TEXT,
    PLAIN,
    READ,
    SPOKEN,
    VIEW,
    VIEWS,
)

MESSAGING = DIALECTS["messaging"]
LATER_TEXT = "2025-10-23T09:30:01.120Z"

SEED: list[tuple[str, object, Command]] = [
    ("join-conversation", {"conversationId": "abc123"}, JoinConversation(conversation_id="abc123")),
    (
        "join-conversation",
        {"conversationId": 1, "limit": 999, "after": 0},
        JoinConversation(conversation_id="1", limit=200, after=0),
    ),
    ("leave-conversation", {"conversationId": "abc123"}, LeaveConversation(conversation_id="abc123")),
    (
        "send-message",
        {"conversationId": "abc123", "content": "Bonjour!", "attachments": []},
        SendMessage(conversation_id="abc123", content="Bonjour!"),
    ),
    (
        "send-message",
        {
            "conversationId": "a",
            "attachments": ["https://example.com/a.pdf"],
            "replyTo": "7",
            "clientMessageId": "c",
        },
        SendMessage(
            conversation_id="a",
            attachments=(Attachment(id="0", url="https://example.com/a.pdf", file_name="a.pdf"),),
            reply_to=7,
            client_message_id="c",
        ),
    ),
    ("user-typing", {"conversationId": "a"}, SetTyping(conversation_id="a", active=True)),
    ("user-stopped-typing", {"conversationId": "a"}, SetTyping(conversation_id="a", active=False)),
    ("mark-as-read", {"messageId": "123"}, MarkRead(message_ids=(123,))),
    ("mark-conversation-as-read", {"conversationId": "a"}, MarkConversationRead(conversation_id="a")),
    (
        "load-history",
        {"conversationId": "a", "before": 5},
        LoadHistory(conversation_id="a", before=5),
    ),
    ("list-conversations", None, ListConversations()),
    (
        "list-conversations",
        {"limit": 5, "next": "x", "archived": True},
        ListConversations(limit=5, next="x", archived=True),
    ),
    ("list-online-users", {"conversationId": "a"}, ListOnlineUsers(conversation_id="a")),
    ("set-status", {"status": "away"}, SetStatus(status=Status.AWAY)),
    ("authenticate", {"token": "x.y.z"}, Authenticate(token="x.y.z")),
]

SENDER = {
    "id": "5",
    "firstName": "Alice",
    "lastName": "Martin",
    "salonName": "InkStudio",
    "name": "Alice",
    "username": "alice",
    "image": "/alice.png",
    "role": "CLIENT",
}
PLAIN_SHOWN = {
    "id": "123",
    "conversationId": "1",
    "seq": 7,
    "content": "Bonjour!",
    "senderId": "bob",
    "type": "USER",
    "contentType": "text",
    "isRead": False,
    "createdAt": NOW_TEXT,
    "attachments": [],
    "reactions": [],
    "sender": {"id": "bob", "role": "user"},
}
FULL_SHOWN = {
    "id": "124",
    "conversationId": "1",
    "seq": 8,
    "content": "Voici",
    "senderId": "5",
    "type": "USER",
    "contentType": "text",
    "isRead": True,
    "readAt": LATER_TEXT,
    "createdAt": NOW_TEXT,
    "editedAt": LATER_TEXT,
    "replyTo": "123",
    "clientMessageId": "42",
    "attachments": [
        {"id": "0", "url": "https://example.com/a.pdf", "fileName": "a.pdf", "fileSize": 0},
        {
            "id": "v",
            "url": "/v.ogg",
            "fileName": "v.ogg",
            "fileSize": 9,
            "mimeType": "audio/ogg",
            "duration": 1.5,
        },
    ],
    "reactions": [{"emoji": "👍", "count": 60, "userIds": [str(n) for n in range(50)]}],
    "sender": SENDER,
}
PLAIN_CONVERSATION = {
    "id": "dm:5:bob",
    "kind": "direct",
    "private": False,
    "createdAt": NOW_TEXT,
    "updatedAt": NOW_TEXT,
    "lastSeq": 0,
    "memberCount": 2,
}
SHARED_CONVERSATION = {
    "id": "1",
    "kind": "group",
    "name": "Salon",
    "private": True,
    "createdAt": NOW_TEXT,
    "updatedAt": LATER_TEXT,
    "lastSeq": 8,
    "lastMessage": FULL_SHOWN,
    "memberCount": 2,
    "members": [
        SENDER | {"memberRole": "owner"},
        {"id": "host", "role": "user", "memberRole": "member"},
    ],
}
OWN_CONVERSATION = SHARED_CONVERSATION | {
    "memberRole": "owner",
    "unread": 1,
    "archived": False,
    "muted": False,
}
RECEIPTS: list[tuple[str, object]] = [
    (
        "message-read",
        {"messageId": message_id, "readAt": NOW_TEXT, "conversationId": "1", "userId": "5", "seq": seq},
    )
    for message_id, seq in (("123", 7), ("126", 10))
]

ANSWERS: list[tuple[str, Reply, dict[str, Any], list[tuple[str, object]]]] = [
    (
        "join-conversation",
        Joined(conversation=GROUP, messages=VIEWS[:2], has_more=True, last_seq=8),
        {"conversationId": "1", "lastSeq": 8},
        [
            (
                "conversation-history",
                {
                    "conversationId": "1",
                    "messages": [PLAIN_SHOWN, FULL_SHOWN],
                    "hasMore": True,
                    "lastSeq": 8,
                },
            )
        ],
    ),
    ("leave-conversation", Left(conversation_id="1"), {}, []),
    ("send-message", Sent(conversation=GROUP, view=VIEWS[1]), {"message": FULL_SHOWN}, []),
    ("user-typing", Done(), {}, []),
    ("mark-as-read", Marked(total_unread=2), {}, []),
    ("mark-as-read", Marked(total_unread=2, again=(READ,)), {}, RECEIPTS),
    (
        "load-history",
        HistoryPage(conversation=GROUP, messages=VIEWS[:1], has_more=False, last_seq=8),
        {"messages": [PLAIN_SHOWN], "hasMore": False},
        [],
    ),
    (
        "list-conversations",
        ConversationList(conversations=(VIEW, BARE_VIEW), total_unread=1, next="x"),
        {"conversations": [OWN_CONVERSATION, PLAIN_CONVERSATION], "totalUnread": 1, "next": "x"},
        [],
    ),
    (
        "list-online-users",
        OnlineUsers(conversation_id="1", user_ids=("5", "bob")),
        {"onlineUsers": ["5", "bob"]},
        [],
    ),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE, expires_at=NOW)),
        {"expiresAt": NOW_TEXT},
        [],
    ),
]


def seen(user: Any, status: Status, **more: Any) -> PresenceChanged:
    values: dict[str, Any] = {"crossed": True, "last_seen": None, "conversations": (), "at": NOW} | more
    return PresenceChanged(user=user, status=status, **values)


EVENTS: list[tuple[Event, list[tuple[str, object]]]] = [
    (MessageSent(conversation=GROUP, message=PLAIN, sender=BOB), [("new-message", PLAIN_SHOWN)]),
    (
        TypingChanged(conversation=GROUP, user=ALICE, active=True, at=NOW),
        [("user-typing", {"conversationId": "1", "userId": "5", "userName": "Alice"})],
    ),
    (
        TypingChanged(conversation=GROUP, user=ALICE, active=False, at=NOW),
        [("user-stopped-typing", {"conversationId": "1", "userId": "5"})],
    ),
    (READ, RECEIPTS),
    (replace(READ, receipts=()), []),
    (seen(ALICE, Status.ONLINE), [("user-online", {"userId": "5", "status": "online"})]),
    (seen(ALICE, Status.AWAY, crossed=False), [("user-online", {"userId": "5", "status": "away"})]),
    (seen(ALICE, Status.BUSY, crossed=False), [("user-online", {"userId": "5", "status": "busy"})]),
    (
        seen(ALICE, Status.OFFLINE, last_seen=NOW),
        [("user-offline", {"userId": "5", "status": "offline", "lastSeen": NOW_TEXT})],
    ),
    (
        MemberAdded(user_id="5", since=0, view=replace(VIEW, mine=None), at=NOW),
        [("conversation-updated", SHARED_CONVERSATION)],
    ),
    (
        MemberRemoved(user_id="5", conversation=GROUP, at=NOW),
        [("conversation-updated", {"id": "1", "removed": True})],
    ),
    (
        ConversationDeleted(conversation=GROUP, at=NOW),
        [("conversation-updated", {"id": "1", "deletedAt": NOW_TEXT})],
    ),
    (UnreadChanged(user_id="5", total=3, at=NOW), [("unread-count-updated", {"totalUnread": 3})]),
    (
        UnreadChanged(user_id="5", total=3, conversation_id="1", unread=0, at=NOW),
        [("unread-count-updated", {"totalUnread": 3, "conversationId": "1", "unread": 0})],
    ),
]


def pairs(frames: tuple[Frame, ...]) -> list[tuple[str, object]]:
    return [(frame.name, frame.payload) for frame in frames]


@pytest.mark.parametrize(("name", "payload", "command"), SEED)
def test_what_clients_emit_is_understood(name: str, payload: object, command: Command) -> None:
    (request,) = MESSAGING.requests(Frame(name, payload))
    assert request.error is None
    assert request.command == command


@pytest.mark.parametrize(("name", "reply", "ack", "frames"), ANSWERS)
def test_commands_are_acked_as_the_contract_says(
    name: str, reply: Reply, ack: dict[str, Any], frames: list[tuple[str, object]]
) -> None:
    (request,) = MESSAGING.requests(Frame(name, {"conversationId": "1"}))
    answer = MESSAGING.reply(request, reply, NOW)
    assert answer.ack is not None
    text = answer.ack["message"]
    assert answer.ack == {"success": True, "message": text, **ack}
    assert isinstance(text, str) or name == "send-message"
    assert pairs(answer.frames) == frames


@pytest.mark.parametrize(("event", "frames"), EVENTS)
def test_events_are_told_as_the_contract_says(event: Event, frames: list[tuple[str, object]]) -> None:
    assert pairs(MESSAGING.render(event)) == frames


def test_a_connection_hears_only_what_it_joined() -> None:
    assert MESSAGING.hears is Hears.JOINED
    assert not MESSAGING.writes_need_join


def test_further_pages_of_what_was_missed_are_events_without_an_ack() -> None:
    (request,) = MESSAGING.requests(Frame("join-conversation", {"conversationId": "1", "after": 0}))
    page = HistoryPage(conversation=GROUP, messages=VIEWS[:1], has_more=False, last_seq=8)
    answer = MESSAGING.reply(request, page, NOW)
    assert answer.ack is None
    shown = {"conversationId": "1", "messages": [PLAIN_SHOWN], "hasMore": False, "lastSeq": 8}
    assert pairs(answer.frames) == [("conversation-history", shown)]


def test_a_refusal_is_acked_and_emitted_with_all_that_was_named() -> None:
    (request,) = MESSAGING.requests(
        Frame("send-message", {"conversationId": 1, "content": "x", "clientMessageId": "c", "replyTo": 9})
    )
    answer = MESSAGING.refusal(request, MessageNotFound("Gone."), NOW)
    details = {"conversationId": "1", "replyTo": "9", "clientMessageId": "c"}
    told = {"message": "Gone.", "code": "MESSAGE_NOT_FOUND", "details": details}
    assert answer.ack == {"success": False, **told}
    assert pairs(answer.frames) == [("error", told)]


def test_a_refusal_says_when_to_try_again() -> None:
    (frame,) = MESSAGING.refusal(None, RateLimited(retryAfter=3), NOW).frames
    assert frame.payload["code"] == "RATE_LIMITED"
    assert frame.payload["details"] == {"retryAfter": 3}


def test_a_service_speaks_as_a_user_like_any_other() -> None:
    (frame,) = MESSAGING.render(MessageSent(conversation=GROUP, message=FULL, sender=HOST))
    assert frame.payload["sender"] == {"id": "host", "role": "user"}


def test_the_system_speaks_as_the_system() -> None:
    (frame,) = MESSAGING.render(MessageSent(conversation=GROUP, message=SPOKEN, sender=VIEWS[3].sender))
    assert frame.payload["type"] == "SYSTEM"
    assert frame.payload["sender"] == {"id": "system", "role": "system"}
