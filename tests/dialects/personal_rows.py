"""Requests to the routes of what concerns one user alone, for the tables of test_rest.py."""

from __future__ import annotations

from messaging.domain.commands import (
    Command,
    ListNotifications,
    MarkNotificationsRead,
    MarkUnread,
    Notify,
    SetArchived,
    SetMuted,
)

THERE = {"id": "42"}
REQUESTS: list[tuple[str, dict[str, str], dict[str, str], object, Command]] = [
    ("archiveConversation", THERE, {}, None, SetArchived(conversation_id="42", archived=True)),
    ("unarchiveConversation", THERE, {}, None, SetArchived(conversation_id="42", archived=False)),
    ("muteConversation", THERE, {}, None, SetMuted(conversation_id="42", muted=True)),
    ("unmuteConversation", THERE, {}, None, SetMuted(conversation_id="42", muted=False)),
    ("unreadConversation", THERE, {}, None, MarkUnread(conversation_id="42")),
    ("listNotifications", {}, {}, None, ListNotifications()),
    (
        "listNotifications",
        {},
        {"limit": "5", "next": "7", "unread": "true"},
        None,
        ListNotifications(limit=5, next="7", unread=True),
    ),
    ("notify", {}, {}, {"userId": 2, "type": "booking"}, Notify(user_id="2", type="booking")),
    ("notify", {}, {}, {"userId": 2, "type": "b", "id": "b-7"}, Notify(user_id="2", type="b", id="b-7")),
    (
        "notify",
        {},
        {},
        {
            "userId": "2",
            "type": "b",
            "title": "T",
            "body": "1\n2",
            "data": {"$set": [1, None], "é": {}},
        },
        Notify(user_id="2", type="b", title="T", body="1\n2", data='{"$set":[1,null],"é":{}}'),
    ),
    ("markNotificationsRead", {}, {}, {"ids": ["1", "2"]}, MarkNotificationsRead(ids=("1", "2"))),
    ("markNotificationsRead", {}, {}, {"all": True}, MarkNotificationsRead(ids=None)),
]
REFUSED: list[tuple[str, dict[str, str], dict[str, str], object]] = [
    ("archiveConversation", {"id": "dm:1"}, {}, None),
    ("listNotifications", {}, {"unread": "perhaps"}, None),
    ("notify", {}, {}, None),
    ("notify", {}, {}, {"userId": "2"}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "id": 7}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "id": "x" * 65}),
    ("notify", {}, {}, {"userId": "system", "type": "b"}),
    ("notify", {}, {}, {"userId": "2", "type": "x" * 65}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "title": "two\nlines"}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "body": "x" * 2001}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "body": "a\x00b"}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "data": ["no object"]}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "data": {"x": "é" * 4096}}),
    ("markNotificationsRead", {}, {}, {}),
    ("markNotificationsRead", {}, {}, {"all": False}),
    ("markNotificationsRead", {}, {}, {"all": True, "ids": ["1"]}),
    ("markNotificationsRead", {}, {}, {"ids": []}),
    ("markNotificationsRead", {}, {}, {"ids": ["1"] * 201}),
]
