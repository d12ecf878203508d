"""What the routes of what concerns one user alone serve and refuse, for the tables of test_rest.py."""

from __future__ import annotations

from messaging.dialects.routes_push import PUSH_ROUTES
from tests.acceptance.stage import Json

GROUP = "/api/conversations/<group>"
NOTE = {"userId": "<bob>", "type": "booking", "title": "Tomorrow", "data": {"booking": 7}}
ENDPOINT = "https://push.example.com/send/1"
BROWSER = next(route.example for route in PUSH_ROUTES if route.name == "subscribePush")
PLACES = ("archive", "unarchive", "mute", "unmute", "unread")

SERVED: dict[str, list[tuple[str, str, Json, int, set[str]]]] = {
    **{
        f"{word}Conversation": [("bob", f"POST {GROUP}/{word}", None, 200, {"conversation"})]
        for word in PLACES
    },
    "listNotifications": [
        ("bob", "GET /api/notifications?limit=5&unread=true", None, 200, {"notifications", "unread", "next"})
    ],
    "notify": [
        ("service", "POST /api/notifications", NOTE, 201, {"notification"}),
        ("service", "POST /api/notifications", {**NOTE, "userId": "<new>"}, 201, {"notification"}),
    ],
    "markNotificationsRead": [
        ("bob", "POST /api/notifications/read", {"ids": ["1"]}, 200, {"success", "unread"}),
        ("bob", "POST /api/notifications/read", {"all": True}, 200, {"success", "unread"}),
    ],
    "listBlocks": [("bob", "GET /api/blocks?limit=5", None, 200, {"blocks", "next"})],
    "blockUser": [("bob", "PUT /api/blocks/<alice>", None, 201, {"block"})],
    "unblockUser": [("bob", "DELETE /api/blocks/<alice>", None, 200, {"success"})],
    "reportMessage": [
        ("bob", "POST /api/messages/<message>/report", None, 201, {"report"}),
        ("bob", "POST /api/messages/<message>/report", {"reason": "spam"}, 201, {"report"}),
    ],
    "listReports": [("service", "GET /api/admin/reports?limit=5", None, 200, {"reports", "next"})],
    "getPushKey": [("bob", "GET /api/push/key", None, 200, {"publicKey"})],
    "subscribePush": [("bob", "POST /api/push/subscriptions", BROWSER, 201, {"subscription"})],
    "unsubscribePush": [
        ("bob", "DELETE /api/push/subscriptions", {"endpoint": ENDPOINT}, 200, {"success"}),
        ("bob", f"DELETE /api/push/subscriptions?endpoint={ENDPOINT}", None, 200, {"success"}),
    ],
}
REFUSED: dict[str, list[tuple[str | None, str, Json, int, str]]] = {
    **{
        f"{word}Conversation": [
            ("stranger", f"POST {GROUP}/{word}", None, 404, "ROOM_NOT_FOUND"),
            ("bob", f"POST /api/conversations/no-such/{word}", None, 404, "ROOM_NOT_FOUND"),
            ("bob", f"POST /api/conversations/general/{word}", None, 403, "PERMISSION_DENIED"),
        ]
        for word in PLACES
    },
    "listNotifications": [("bob", "GET /api/notifications?next=nonsense", None, 400, "INVALID_FORMAT")],
    "notify": [
        ("alice", "POST /api/notifications", NOTE, 403, "PERMISSION_DENIED"),
        ("service", "POST /api/notifications", {"userId": "<bob>"}, 400, "INVALID_FORMAT"),
    ],
    "markNotificationsRead": [("bob", "POST /api/notifications/read", {}, 400, "INVALID_FORMAT")],
    "listBlocks": [("bob", "GET /api/blocks?limit=many", None, 400, "INVALID_FORMAT")],
    "blockUser": [
        ("bob", "PUT /api/blocks/<new>", None, 404, "USER_NOT_FOUND"),
        ("bob", "PUT /api/blocks/<bob>", None, 400, "INVALID_FORMAT"),
    ],
    "unblockUser": [("bob", "DELETE /api/blocks/system", None, 400, "INVALID_FORMAT")],
    "reportMessage": [
        ("stranger", "POST /api/messages/<message>/report", None, 404, "MESSAGE_NOT_FOUND"),
        ("alice", "POST /api/messages/<message>/report", None, 400, "INVALID_FORMAT"),
        ("bob", "POST /api/messages/1/report", None, 404, "MESSAGE_NOT_FOUND"),
    ],
    "listReports": [("bob", "GET /api/admin/reports", None, 403, "PERMISSION_DENIED")],
    "getPushKey": [(None, "GET /api/push/key", None, 401, "AUTH_FAILED")],
    "subscribePush": [
        ("bob", "POST /api/push/subscriptions", {"endpoint": ENDPOINT}, 400, "INVALID_FORMAT"),
        *(
            ("bob", "POST /api/push/subscriptions", {**BROWSER, "endpoint": inside}, 400, "INVALID_FORMAT")
            for inside in ("https://127.0.0.1/x", "https://localhost/x", "https://169.254.169.254/x")
        ),
    ],
    "unsubscribePush": [("bob", "DELETE /api/push/subscriptions", {}, 400, "INVALID_FORMAT")],
}
