"""`/ws` word for word: how commands are answered and events are told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from messaging.dialects.base import Dialect, Frame, Request
from messaging.dialects.shapes import time
from messaging.dialects.unified import ROWS, Unified
from messaging.domain.events import (
    ConversationChanged,
    ConversationDeleted,
    DeviceChanged,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageSent,
    Notified,
    PresenceChanged,
    RoomEntered,
    RoomLeft,
    TypingChanged,
    UnreadChanged,
)
from messaging.domain.models import (
    SYSTEM,
    Conversation,
    Identity,
    Kind,
    Message,
    MessageView,
    Notification,
    Status,
)
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    ConversationReply,
    Done,
    Marked,
    Pong,
    Reply,
    Sent,
)
from tests.dialects.examples import (
    ALICE,
    BARE_VIEW,
    BOB,
    DELETED,
    FULL,
    GROUP,
    LATER,
    NOW,
    NOW_TEXT,
    PAIR,
    PLAIN,
    READ,
    SHARED_VIEW,
    SPOKEN,
    edited,
)

UNIFIED: Dialect = Unified()
LATER_TEXT = "2025-10-23T09:30:01.120Z"
SECOND = 1761211800
Told = tuple[str, dict[str, Any], dict[str, Any]]
"""A frame's type, payload, and what its meta has beyond the time of NOW."""

IN_PAIR = replace(PLAIN, conversation_id=PAIR.id)
PLAIN_SHOWN = {
    "message_id": 123,
    "conversation_id": 1,
    "seq": 7,
    "content": "Bonjour!",
    "content_type": "text",
    "attachments": [],
    "created_at": NOW_TEXT,
    "group_id": 1,
}
PAIR_SHOWN = {key: value for key, value in PLAIN_SHOWN.items() if key != "group_id"} | {
    "conversation_id": "dm:5:bob"
}
FILES = [
    {"id": "0", "url": "https://example.com/a.pdf", "file_name": "a.pdf", "file_size": 0},
    {
        "id": "v",
        "url": "/v.ogg",
        "file_name": "v.ogg",
        "file_size": 9,
        "mime_type": "audio/ogg",
        "duration": 1.5,
    },
]
FULL_SHOWN = PLAIN_SHOWN | {
    "message_id": 124,
    "seq": 8,
    "content": "Voici",
    "attachments": FILES,
    "media_url": "https://example.com/a.pdf",
    "reply_to": 123,
    "client_message_id": "42",
    "edited_at": LATER_TEXT,
}
VOICE = replace(PLAIN, attachments=FULL.attachments[1:])
VOICE_SHOWN = PLAIN_SHOWN | {
    "attachments": FILES[1:],
    "media_url": "/v.ogg",
    "media_type": "audio/ogg",
    "duration": 1.5,
}
FROM_BOB = {"sender_id": "bob", "target_id": 1}
FROM_ALICE = {"sender_id": 5, "target_id": 1}
RECEIPTS: list[Told] = [
    ("read_receipt", {"message_id": message_id, "conversation_id": 1, "read_at": NOW_TEXT}, FROM_ALICE)
    for message_id in (123, 126)
]
GROUP_SHOWN = {
    "group_id": 1,
    "kind": "group",
    "private": True,
    "created_at": NOW_TEXT,
    "updated_at": LATER_TEXT,
    "last_seq": 8,
    "member_count": 2,
    "name": "Salon",
    "last_message": {key: value for key, value in FULL_SHOWN.items() if key != "group_id"} | {"sender_id": 5},
    "members": [
        {
            "user_id": 5,
            "member_role": "owner",
            "first_name": "Alice",
            "last_name": "Martin",
            "salon_name": "InkStudio",
            "name": "Alice",
            "username": "alice",
            "image": "/alice.png",
        },
        {"user_id": "host", "member_role": "member"},
    ],
}
UPDATED: Told = ("group_updated", GROUP_SHOWN, {"target_id": 1})


def said(message: Message, conversation: Conversation = GROUP) -> MessageSent:
    return MessageSent(conversation=conversation, message=message, sender=BOB)


def seen(status: Status) -> PresenceChanged:
    return PresenceChanged(
        user=ALICE,
        status=status,
        crossed=False,
        last_seen=NOW if status is Status.OFFLINE else None,
        conversations=(),
        at=NOW,
    )


def device(event: str) -> tuple[Event, list[Told]]:
    happened = DeviceChanged(user_id="5", device="phone", connected=event == "connected", at=NOW)
    payload = {"event": event, "client_id": "phone", "user_id": 5}
    return happened, [("connection_event", payload, {"client_id": "phone"})]


def notified(kind: str, **data: str) -> Notified:
    told = Notification(id="9", type=kind, title="Salon", data=json.dumps(data), created_at=NOW)
    return Notified(user_id="bob", notification=told, at=NOW)


EVENTS: list[tuple[Event, list[Told]]] = [
    (said(PLAIN), [("group_message", PLAIN_SHOWN, FROM_BOB)]),
    (said(FULL), [("group_message", FULL_SHOWN, FROM_ALICE | {"client_id": "phone"})]),
    (said(VOICE), [("group_message", VOICE_SHOWN, FROM_BOB)]),
    (said(IN_PAIR, PAIR), [("chat_message", PAIR_SHOWN, {"sender_id": "bob", "target_id": 5})]),
    (
        said(replace(IN_PAIR, sender_id="5"), PAIR),
        [("chat_message", PAIR_SHOWN, {"sender_id": 5, "target_id": "bob"})],
    ),
    (
        said(replace(IN_PAIR, sender_id=SYSTEM.id), PAIR),
        [("chat_message", PAIR_SHOWN, {"sender_id": "system"})],
    ),
    (
        said(SPOKEN),
        [
            (
                "group_message",
                PLAIN_SHOWN | {"message_id": 126, "seq": 10, "content": "Bob joined"},
                {"sender_id": "system", "target_id": 1},
            )
        ],
    ),
    (
        said(DELETED),
        [
            (
                "group_message",
                PLAIN_SHOWN | {"message_id": 125, "seq": 9, "content": "", "deleted_at": LATER_TEXT},
                FROM_ALICE,
            )
        ],
    ),
    (
        TypingChanged(conversation=GROUP, user=ALICE, active=True, at=NOW),
        [("typing_indicator", {"conversation_id": 1, "group_id": 1, "is_typing": True}, FROM_ALICE)],
    ),
    (
        TypingChanged(conversation=PAIR, user=BOB, active=False, at=NOW),
        [
            (
                "typing_indicator",
                {"conversation_id": "dm:5:bob", "is_typing": False},
                {"sender_id": "bob", "target_id": 5},
            )
        ],
    ),
    (READ, RECEIPTS),
    (replace(READ, receipts=()), []),
    (seen(Status.AWAY), [("status_update", {"user_id": 5, "status": "away"}, {"sender_id": 5})]),
    (
        seen(Status.OFFLINE),
        [
            (
                "status_update",
                {"user_id": 5, "status": "offline", "last_seen": NOW_TEXT},
                {"sender_id": 5},
            )
        ],
    ),
    (MemberAdded(user_id="5", since=0, view=SHARED_VIEW, at=NOW), [UPDATED]),
    (ConversationChanged(view=SHARED_VIEW, at=NOW), [UPDATED]),
    (MemberAdded(user_id="5", since=0, view=BARE_VIEW, at=NOW), []),
    (ConversationChanged(view=BARE_VIEW, at=NOW), []),
    (
        MemberRemoved(user_id="5", conversation=GROUP, at=NOW),
        [("group_updated", {"group_id": 1, "removed": True}, {"target_id": 1})],
    ),
    (
        ConversationDeleted(conversation=GROUP, at=NOW),
        [("group_updated", {"group_id": 1, "deleted_at": NOW_TEXT}, {"target_id": 1})],
    ),
    device("connected"),
    device("disconnected"),
    (
        notified("group_invite", group_id="12", **{"from": "5"}),
        [
            (
                "notification",
                {
                    "id": 9,
                    "type": "group_invite",
                    "group_id": 12,
                    "data": {"group_id": "12", "from": "5"},
                    "created_at": NOW_TEXT,
                    "title": "Salon",
                },
                {"sender_id": 5, "target_id": "bob"},
            )
        ],
    ),
    (
        notified("like", group_id="12", **{"from": "5"}),
        [
            (
                "notification",
                {
                    "id": 9,
                    "type": "like",
                    "data": {"group_id": "12", "from": "5"},
                    "created_at": NOW_TEXT,
                    "title": "Salon",
                },
                {"target_id": "bob"},
            )
        ],
    ),
    (UnreadChanged(user_id="5", total=3, at=NOW), []),
    (RoomEntered(conversation=GROUP, user=ALICE, at=NOW), []),
    (RoomLeft(conversation=GROUP, user=ALICE, at=NOW), []),
]

ROOM = replace(GROUP, kind=Kind.ROOM, private=False)
SENT = MessageView(message=PLAIN, sender=BOB)


def changed(where: Conversation, *, repeated: bool = False) -> ChangedMessage:
    return ChangedMessage(view=SENT, event=edited(where, SENT), repeated=repeated)


EDITED: Told = (
    "message_edited",
    PLAIN_SHOWN | {"edited_at": time(LATER)},
    {"timestamp": int(LATER.timestamp()), "sender_id": "bob", "target_id": 1},
)
ANSWERS: list[tuple[str, Reply, list[Told]]] = [
    ("group_message", Sent(conversation=GROUP, view=SENT), []),
    (
        "group_message",
        Sent(conversation=GROUP, view=SENT, repeated=True),
        [("group_message", PLAIN_SHOWN, FROM_BOB)],
    ),
    ("group_message", Sent(conversation=ROOM, view=SENT), [("group_message", PLAIN_SHOWN, FROM_BOB)]),
    ("chat_message", Sent(conversation=PAIR, view=SENT), []),
    (
        "chat_message",
        Sent(conversation=PAIR, view=MessageView(message=IN_PAIR, sender=BOB), repeated=True),
        [("chat_message", PAIR_SHOWN, {"sender_id": "bob", "target_id": 5})],
    ),
    ("typing_indicator", Done(), []),
    ("read_receipt", Marked(), []),
    ("read_receipt", Marked(again=(READ,)), RECEIPTS),
    ("message_edit", changed(GROUP), []),
    ("message_edit", changed(GROUP, repeated=True), [EDITED]),
    ("message_edit", changed(ROOM), [EDITED]),
    ("message_delete", changed(GROUP), []),
    ("message_react", changed(GROUP), []),
    ("status_update", Done(), []),
    ("notification", Done(), []),
    ("group_join", ConversationReply(view=SHARED_VIEW), [UPDATED]),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE, expires_at=NOW)),
        [("authenticated", {"expires_at": NOW_TEXT}, {})],
    ),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE)),
        [("authenticated", {"expires_at": None}, {})],
    ),
    ("ping", Pong(), [("pong", {}, {})]),
]


def whole(told: Told) -> Frame:
    name, payload, meta = told
    empty = {"timestamp": SECOND, "sender_id": None, "target_id": None, "client_id": None}
    return Frame(name, {"type": name, "payload": payload, "meta": empty | meta})


@pytest.mark.parametrize(("event", "frames"), EVENTS, ids=lambda value: type(value).__name__)
def test_events_are_told_as_the_contract_says(event: Event, frames: list[Told]) -> None:
    assert UNIFIED.render(event) == tuple(whole(told) for told in frames)


@pytest.mark.parametrize(("name", "reply", "frames"), ANSWERS)
def test_commands_are_answered_as_the_contract_says(name: str, reply: Reply, frames: list[Told]) -> None:
    answer = UNIFIED.reply(Request(name=name), reply, NOW)
    assert answer.ack is None
    assert answer.frames == tuple(whole(told) for told in frames)


def test_every_command_has_an_answer() -> None:
    assert {name for name, *_ in ANSWERS} == {row.name for row in ROWS}
