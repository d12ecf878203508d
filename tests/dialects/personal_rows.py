"""Requests to the routes of what concerns one user alone, for the tables of test_rest.py."""

from __future__ import annotations

from messaging.domain.commands import (
    BlockUser,
    Command,
    GetPushKey,
    ListBlocks,
    ListNotifications,
    ListReports,
    MarkNotificationsRead,
    MarkUnread,
    Notify,
    ReportMessage,
    SetArchived,
    SetMuted,
    SubscribePush,
    UnblockUser,
    UnsubscribePush,
)

THERE = {"id": "42"}
ENDPOINT = "https://push.example.com/send/abc?x=1"
POINT, AUTH = "B" * 86 + "A", "A" * 22
WRONG_ENDPOINTS = (
    *("http://push.example.com/1", "https://", "https:///1", "https://a b/", "https://u:p@push.example.com/"),
    *("https://push.example.com/#x", "HTTPS://push.example.com/1", "https://push.example.com\\@inside/"),
    *("https://é.example.com/", "javascript:1", "", "https://x/" + "y" * 2048, "https://x/\r\nHost: y"),
)
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
    ("notify", {}, {}, {"userId": 2, "type": "b", "id": 7}, Notify(user_id="2", type="b", id="7")),
    ("markNotificationsRead", {}, {}, {"ids": ["1", 2]}, MarkNotificationsRead(ids=("1", "2"))),
    ("markNotificationsRead", {}, {}, {"all": True}, MarkNotificationsRead(ids=None)),
    ("listBlocks", {}, {"limit": "5", "next": "7"}, None, ListBlocks(limit=5, next="7")),
    ("blockUser", {"userId": "7"}, {}, None, BlockUser(user_id="7")),
    ("unblockUser", {"userId": "7"}, {}, None, UnblockUser(user_id="7")),
    ("reportMessage", {"id": "7"}, {}, None, ReportMessage(message_id=7)),
    ("reportMessage", {"id": "7"}, {}, {"reason": "1\n2"}, ReportMessage(message_id=7, reason="1\n2")),
    ("listReports", {}, {"limit": "5", "next": "7"}, None, ListReports(limit=5, next="7")),
    ("getPushKey", {}, {}, None, GetPushKey()),
    (
        "subscribePush",
        {},
        {},
        {"endpoint": ENDPOINT, "expirationTime": None, "keys": {"p256dh": POINT + "=", "auth": AUTH}},
        SubscribePush(endpoint=ENDPOINT, p256dh=POINT, auth=AUTH),
    ),
    ("unsubscribePush", {}, {}, {"endpoint": ENDPOINT}, UnsubscribePush(endpoint=ENDPOINT)),
    ("unsubscribePush", {}, {"endpoint": ENDPOINT}, None, UnsubscribePush(endpoint=ENDPOINT)),
]
REFUSED: list[tuple[str, dict[str, str], dict[str, str], object]] = [
    ("archiveConversation", {"id": "dm:1"}, {}, None),
    ("listNotifications", {}, {"unread": "perhaps"}, None),
    ("notify", {}, {}, None),
    ("notify", {}, {}, {"userId": "2"}),
    ("notify", {}, {}, {"userId": "2", "type": "b", "id": True}),
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
    ("blockUser", {"userId": "system"}, {}, None),
    ("blockUser", {"userId": "a/b"}, {}, None),
    ("unblockUser", {"userId": " a"}, {}, None),
    ("reportMessage", {"id": "x"}, {}, None),
    ("reportMessage", {"id": "7"}, {}, {"reason": "x" * 2001}),
    ("listReports", {}, {"limit": "many"}, None),
    ("subscribePush", {}, {}, {"endpoint": ENDPOINT}),
    ("subscribePush", {}, {}, {"keys": {"p256dh": POINT, "auth": AUTH}}),
    ("subscribePush", {}, {}, {"endpoint": ENDPOINT, "keys": {"p256dh": POINT[:-2], "auth": AUTH}}),
    ("subscribePush", {}, {}, {"endpoint": ENDPOINT, "keys": {"p256dh": POINT, "auth": "?"}}),
    ("subscribePush", {}, {}, {"endpoint": ENDPOINT, "keys": [POINT, AUTH]}),
    *(
        ("subscribePush", {}, {}, {"endpoint": endpoint, "keys": {"p256dh": POINT, "auth": AUTH}})
        for endpoint in WRONG_ENDPOINTS
    ),
    ("unsubscribePush", {}, {}, None),
    ("unsubscribePush", {}, {"endpoint": "x"}, None),
]
