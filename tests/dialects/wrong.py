"""Payloads that no command takes, and values that no field takes."""

from __future__ import annotations

from hypothesis import strategies as st

NO_OBJECTS: list[object] = ["text", 5, 1.5, True, [], [{}]]

WRONG_IDS: list[object] = [
    "",
    " 1",
    "1 ",
    "a/b",
    "a\x00b",
    "a\nb",
    "\ud800",
    "x" * 129,
    10**200,
    True,
    False,
    1.0,
    float("nan"),
    [],
    ["1"],
    {},
    {"$ne": None},
    {"$gt": ""},
    {"id": "1"},
]
WRONG_CONVERSATIONS = [*WRONG_IDS, None, "dm:", "dm:1", "dm:1:1", "dm:2:1", "dm:a%2:b", "dm:a:b:c"]
WRONG_MESSAGES = [*WRONG_IDS, None, "0", 0, -1, 2**53, "01", "+1", "1e3", "abc", "١"]
WRONG_FLAGS: list[object] = [0, 1, "true", "", [], {}]
WRONG_TEXTS: list[object] = [1, True, 1.5, [], ["x"], {}, {"$ne": None}]
WRONG_WHOLES: list[object] = [-1, 2**53, 1.0, True, "ten", "10", [], {}]
WRONG_LIMITS: list[object] = [1.0, True, "ten", "10", [], {}]
WRONG_STATUSES: list[object] = [None, "", "gone", "ONLINE", 1, True, [], {}]
WRONG_ATTACHMENTS: list[object] = [
    "https://example.com/a.pdf",
    {},
    {"0": "https://example.com/a.pdf"},
    ["https://example.com/a.pdf"] * 11,
    [None],
    [5],
    [True],
    [[]],
    [""],
    ["a.pdf"],
    ["//example.com/a.pdf"],
    ["/\\example.com/a.pdf"],
    ["https://"],
    ["https:///a.pdf"],
    ["https:example.com"],
    ["javascript:alert(1)"],
    ["data:text/html,x"],
    ["ftp://example.com/a"],
    [" https://example.com/a"],
    ["https://example.com/a b"],
    ["https://example.com/a\nb"],
    ["https://example.com/\u2028"],
    ["java\nscript:alert(1)"],
    ["/" + "x" * 2048],
    [{}],
    [{"url": None}],
    [{"url": 5}],
    [{"url": {"$ne": None}}],
    [{"url": "a.pdf"}],
    [{"url": "/a", "fileSize": -1}],
    [{"url": "/a", "fileSize": "9"}],
    [{"url": "/a", "fileSize": 1.5}],
    [{"url": "/a", "fileSize": True}],
    [{"url": "/a", "fileName": 5}],
    [{"url": "/a", "fileName": "x" * 256}],
    [{"url": "/a", "fileName": "a\nb"}],
    [{"url": "/a", "mimeType": []}],
    [{"url": "/a", "duration": -1}],
    [{"url": "/a", "duration": "long"}],
    [{"url": "/a", "duration": True}],
    [{"url": "/a", "duration": float("inf")}],
    [{"url": "/a", "duration": float("nan")}],
    [{"url": "/a", "id": {}}],
    [{"url": "/a", "id": True}],
    [{"url": "/a", "id": "x" * 129}],
]
WRONG_CLIENT_IDS: list[object] = ["", "x" * 65, 10**70, True, 1.5, [], {}, {"$ne": None}]

WRONG_URLS: list[object] = ["", "a.png", "//example.com/a", "/\\example.com", "data:text/html,x", 5, [], {}]
WRONG_SECONDS: list[object] = [-1, "long", True, float("inf"), float("nan"), [], {}]
WRONG_USERS = [*WRONG_IDS, None, "system"]

WRONG: dict[str, list[object]] = {
    "conversationId": WRONG_CONVERSATIONS,
    "messageId": WRONG_MESSAGES,
    "content": WRONG_TEXTS,
    "attachments": WRONG_ATTACHMENTS,
    "replyTo": [value for value in WRONG_MESSAGES if value is not None],
    "clientMessageId": WRONG_CLIENT_IDS,
    "client_message_id": WRONG_CLIENT_IDS,
    "isTyping": [*WRONG_FLAGS, None],
    "archived": WRONG_FLAGS,
    "before": WRONG_WHOLES,
    "after": WRONG_WHOLES,
    "limit": WRONG_LIMITS,
    "next": [*WRONG_TEXTS, "", "x" * 2000],
    "query": [*WRONG_TEXTS, None, "", " ", "x" * 1001, "a\x00b"],
    "emoji": [*WRONG_TEXTS, None, "", "x" * 33],
    "remove": WRONG_FLAGS,
    "status": WRONG_STATUSES,
    "token": [*WRONG_TEXTS, None, ""],
    "room": WRONG_CONVERSATIONS,
    "to_user_id": WRONG_USERS,
    "with_user": WRONG_USERS,
    "to": WRONG_USERS,
    "with": WRONG_USERS,
    "message_id": WRONG_MESSAGES,
    "message_type": ["", "video", "system", "TEXT", 1, True, [], {}],
    "media_url": WRONG_URLS,
    "media_type": [*WRONG_TEXTS, "", "x" * 128, "a\nb"],
    "duration": WRONG_SECONDS,
    "reply_to": [value for value in WRONG_MESSAGES if value is not None],
    "is_typing": [*WRONG_FLAGS, None],
    "offset": WRONG_WHOLES,
    "conversation_id": WRONG_CONVERSATIONS,
    "group_id": WRONG_CONVERSATIONS,
    "user_id": WRONG_USERS,
    "target_id": WRONG_USERS,
    "type": [None, "", "like", "GROUP_INVITE", 1, True, [], {}],
}
"""By the key that a command may have."""

KEYS = [*WRONG, "url", "$where", "__proto__", "id", "kind", "name"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**4290, max_value=10**4310)
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "dm:1:2", "dm:%", "https://[", "https://x", "/a", "online"])
)
json = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)
"""Whatever a parser may hand over, and more: also what the strict gate at the edge would refuse."""
