"""What the routes of what concerns one user alone serve and refuse, for the tables of test_rest.py."""

from __future__ import annotations

from tests.acceptance.stage import Json

GROUP = "/api/conversations/<group>"
NOTE = {"userId": "<bob>", "type": "booking", "title": "Tomorrow", "data": {"booking": 7}}
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
}
REFUSED: dict[str, list[tuple[str | None, str, Json, int, str]]] = {
    **{
        f"{word}Conversation": [
            ("stranger", f"POST {GROUP}/{word}", None, 404, "ROOM_NOT_FOUND"),
            ("bob", f"POST /api/conversations/no-such/{word}", None, 404, "ROOM_NOT_FOUND"),
            ("bob", f"POST /api/conversations/general/{word}", None, 400, "INVALID_FORMAT"),
        ]
        for word in PLACES
    },
    "listNotifications": [("bob", "GET /api/notifications?next=nonsense", None, 400, "INVALID_FORMAT")],
    "notify": [
        ("alice", "POST /api/notifications", NOTE, 403, "PERMISSION_DENIED"),
        ("service", "POST /api/notifications", {"userId": "<bob>"}, 400, "INVALID_FORMAT"),
    ],
    "markNotificationsRead": [("bob", "POST /api/notifications/read", {}, 400, "INVALID_FORMAT")],
}
