"""REST as the host application and its pages meet it: every route, every typical refusal, over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from openapi_spec_validator import validate

from messaging.dialects.routes import ROUTES
from messaging.push.keys import new_key
from tests.acceptance import personal_routes
from tests.acceptance.conftest import Service
from tests.acceptance.stage import SERVICE, Answer, Stage, heard, join, new_id, token
from tests.clients import Json
from tests.servers import ServerProcess

APP = "https://app.example.com"
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def servers(service: Service) -> tuple[ServerProcess, ...]:
    """One process that trusts one foreign origin, whose metrics have a token, and that pushes."""
    pushing = {"VAPID_PRIVATE_KEY": new_key()[0], "VAPID_SUBJECT": "mailto:operator@example.com"}
    return service({"CORS_ORIGINS": APP, "METRICS_TOKEN": "metrics-token", **pushing})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who and what a request may be about."""

    alice: str = field(default_factory=new_id)
    bob: str = field(default_factory=new_id)
    stranger: str = field(default_factory=new_id)
    group: str = field(default_factory=new_id)
    message: str = ""

    def fill(self, text: str) -> str:
        """The text with their ids for `<name>`, and a fresh one for `<new>`."""
        known = {name: getattr(self, name) for name in ("alice", "bob", "stranger", "group", "message")}
        return re.sub(r"<(\w+)>", lambda match: known.get(match[1]) or new_id(), text)


async def make_cast(stage: Stage) -> Cast:
    """Alice and Bob in a group with one message, and a stranger who is known."""
    cast = Cast()
    await stage.group(cast.alice, cast.bob, id=cast.group)
    await stage.rest("PUT", f"/api/users/{cast.stranger}", {})
    sent = await stage.post(cast.alice, cast.group, "hello")
    return Cast(alice=cast.alice, bob=cast.bob, stranger=cast.stranger, group=cast.group, message=sent["id"])


async def ask(stage: Stage, cast: Cast, user: str | None, request: str, body: Json = None) -> Answer:
    """`METHOD /path` by alice, bob, the stranger, the service, or nobody."""
    method, path = cast.fill(request).split(" ", 1)
    who = SERVICE if user == "service" else getattr(cast, user) if user else None
    filled = json.loads(cast.fill(json.dumps(body)))
    return await stage.rest(method, path, filled, user=who)


# --- every route -------------------------------------------------------------------------------------

GROUP = "/api/conversations/<group>"
THUMB = quote("👍")
SERVED: dict[str, list[tuple[str, str, Json, int, set[str]]]] = {
    "listConversations": [
        ("alice", "GET /api/conversations?limit=1", None, 200, {"conversations", "totalUnread", "next"})
    ],
    "createConversation": [
        (
            "alice",
            "POST /api/conversations",
            {"kind": "group", "memberIds": ["<bob>"]},
            201,
            {"conversation"},
        ),
        ("alice", "POST /api/conversations", {"kind": "room", "name": "general"}, 200, {"conversation"}),
    ],
    "getConversation": [("bob", f"GET {GROUP}", None, 200, {"conversation"})],
    "putConversation": [
        ("service", "PUT /api/conversations/<new>", {"memberIds": ["<alice>"]}, 201, {"conversation"}),
        ("service", f"PUT {GROUP}", {"name": "Salon"}, 200, {"conversation"}),
    ],
    "changeConversation": [("service", f"PATCH {GROUP}", {"name": "Salon"}, 200, {"conversation"})],
    "deleteConversation": [("service", f"DELETE {GROUP}", None, 200, {"success"})],
    "putMember": [
        ("service", f"PUT {GROUP}/members/<stranger>", {}, 201, {"conversation"}),
        ("service", f"PUT {GROUP}/members/<bob>", {"role": "admin"}, 200, {"conversation"}),
    ],
    "removeMember": [("bob", f"DELETE {GROUP}/members/<bob>", None, 200, {"success"})],
    "listMessages": [("bob", f"GET {GROUP}/messages", None, 200, {"messages", "hasMore"})],
    "sendMessage": [
        ("bob", f"POST {GROUP}/messages", {"content": "x"}, 201, {"message"}),
        ("service", f"POST {GROUP}/messages", {"content": "x", "senderId": "<bob>"}, 201, {"message"}),
        ("service", f"POST {GROUP}/messages", {"content": "x", "type": "SYSTEM"}, 201, {"message"}),
    ],
    "listMessagesWithUser": [("bob", "GET /api/messages/user/<alice>", None, 200, {"messages", "hasMore"})],
    "listMessagesOfGroup": [
        ("bob", "GET /api/messages/group/<group>?before=5", None, 200, {"messages", "hasMore"})
    ],
    "markRead": [
        ("bob", "POST /api/messages/read", {"messageId": "<message>"}, 200, {"success", "totalUnread"}),
        ("bob", "POST /api/messages/read", {"messageIds": ["<message>"]}, 200, {"success", "totalUnread"}),
        ("bob", "POST /api/messages/read", {"conversationId": "<group>"}, 200, {"success", "totalUnread"}),
    ],
    "exportConversation": [],  # a file: see test_export.py
    "exportUser": [],
    "getUploadLink": [],  # of what was uploaded: see test_uploads.py
    "eraseUser": [("service", "DELETE /api/users/<stranger>?messages=delete", None, 200, {"success"})],
    "searchMessages": [
        ("bob", "GET /api/search?q=h%C3%A9l", None, 200, {"messages", "next"}),
        ("service", "GET /api/search?q=hello&conversationId=<group>", None, 200, {"messages", "next"}),
    ],
    "editMessage": [("alice", "PATCH /api/messages/<message>", {"content": "x"}, 200, {"message"})],
    "deleteMessage": [("alice", "DELETE /api/messages/<message>", None, 200, {"message"})],
    "listEdits": [("alice", "GET /api/messages/<message>/edits", None, 200, {"edits"})],
    "listReceipts": [
        ("alice", "GET /api/messages/<message>/receipts?limit=1", None, 200, {"receipts", "next"})
    ],
    "putReaction": [("bob", f"PUT /api/messages/<message>/reactions/{THUMB}", None, 200, {"message"})],
    "deleteReaction": [("bob", f"DELETE /api/messages/<message>/reactions/{THUMB}", None, 200, {"message"})],
    "findUsers": [("alice", "GET /api/users?q=1", None, 200, {"users", "next"})],
    "getUser": [("stranger", "GET /api/users/<alice>", None, 200, {"user"})],
    "putUser": [
        ("service", "PUT /api/users/<new>", {"firstName": "Zoé"}, 201, {"user"}),
        ("service", "PUT /api/users/<bob>", {"firstName": "Bob"}, 200, {"user"}),
    ],
    "getStatus": [
        ("bob", "GET /api/users/<alice>/status", None, 200, {"userId", "status", "online", "lastSeen"})
    ],
    "listConnections": [("service", "GET /api/admin/connections", None, 200, {"connections", "next"})],
    "getStats": [("service", "GET /api/admin/stats", None, 200, {"connections", "processes"})],
    "disconnectUser": [
        ("service", "POST /api/admin/users/<bob>/disconnect", None, 200, {"success"}),
        ("service", "POST /api/admin/users/<new>/disconnect", {"revoke": False}, 200, {"success"}),
    ],
}
REFUSED: dict[str, list[tuple[str | None, str, Json, int, str]]] = {
    "listConversations": [
        ("alice", "GET /api/conversations?limit=many", None, 400, "INVALID_FORMAT"),
        ("alice", "GET /api/conversations?next=nonsense", None, 400, "INVALID_FORMAT"),
    ],
    "createConversation": [
        ("alice", "POST /api/conversations", {"kind": "direct"}, 400, "INVALID_FORMAT"),
        (
            "alice",
            "POST /api/conversations",
            {"kind": "group", "memberIds": ["<new>"]},
            404,
            "USER_NOT_FOUND",
        ),
        ("alice", "POST /api/conversations", {"kind": "room", "name": "<group>"}, 409, "CONFLICT"),
    ],
    "getConversation": [("stranger", f"GET {GROUP}", None, 404, "ROOM_NOT_FOUND")],
    "putConversation": [
        ("alice", "PUT /api/conversations/<new>", {}, 403, "PERMISSION_DENIED"),
        ("service", f"PUT {GROUP}", {"kind": "room"}, 409, "CONFLICT"),
        ("service", "PUT /api/conversations/dm:1:2", {}, 400, "INVALID_FORMAT"),
    ],
    "changeConversation": [
        ("bob", f"PATCH {GROUP}", {"name": "x"}, 403, "PERMISSION_DENIED"),
        ("stranger", f"PATCH {GROUP}", {"name": "x"}, 404, "ROOM_NOT_FOUND"),
    ],
    "deleteConversation": [("bob", f"DELETE {GROUP}", None, 403, "PERMISSION_DENIED")],
    "putMember": [
        ("bob", f"PUT {GROUP}/members/<stranger>", {}, 403, "PERMISSION_DENIED"),
        ("service", f"PUT {GROUP}/members/<bob>", {"role": "king"}, 400, "INVALID_FORMAT"),
    ],
    "removeMember": [
        ("bob", f"DELETE {GROUP}/members/<alice>", None, 403, "PERMISSION_DENIED"),
        ("service", f"DELETE {GROUP}/members/<stranger>", None, 404, "USER_NOT_FOUND"),
    ],
    "listMessages": [
        ("stranger", f"GET {GROUP}/messages", None, 404, "ROOM_NOT_FOUND"),
        ("bob", f"GET {GROUP}/messages?before=5&after=1", None, 400, "INVALID_FORMAT"),
    ],
    "sendMessage": [
        ("stranger", f"POST {GROUP}/messages", {"content": "x"}, 404, "ROOM_NOT_FOUND"),
        ("bob", f"POST {GROUP}/messages", {"content": " "}, 400, "INVALID_FORMAT"),
        ("bob", f"POST {GROUP}/messages", {"content": "x" * 4001}, 400, "MESSAGE_TOO_LONG"),
        ("bob", f"POST {GROUP}/messages", {"content": "x" * 70_000}, 413, "PAYLOAD_TOO_LARGE"),
        (
            "bob",
            f"POST {GROUP}/messages",
            {"content": "x", "senderId": "<alice>"},
            403,
            "PERMISSION_DENIED",
        ),
        ("bob", f"POST {GROUP}/messages", {"content": "x", "type": "SYSTEM"}, 403, "PERMISSION_DENIED"),
    ],
    "listMessagesWithUser": [("bob", "GET /api/messages/user/<bob>", None, 400, "INVALID_FORMAT")],
    "listMessagesOfGroup": [("stranger", "GET /api/messages/group/<group>", None, 404, "ROOM_NOT_FOUND")],
    "markRead": [
        ("stranger", "POST /api/messages/read", {"messageId": "<message>"}, 404, "MESSAGE_NOT_FOUND"),
        ("bob", "POST /api/messages/read", {}, 400, "INVALID_FORMAT"),
    ],
    "exportUser": [
        ("bob", "GET /api/users/<alice>/export", None, 403, "PERMISSION_DENIED"),
        ("service", "GET /api/users/<new>/export", None, 404, "USER_NOT_FOUND"),
    ],
    "eraseUser": [
        ("alice", "DELETE /api/users/<alice>", None, 403, "PERMISSION_DENIED"),
        ("service", "DELETE /api/users/<new>", None, 404, "USER_NOT_FOUND"),
        ("service", "DELETE /api/users/<stranger>?messages=some", None, 400, "INVALID_FORMAT"),
    ],
    "getUploadLink": [("alice", f"GET /api/uploads/{'x' * 22}/url", None, 404, "MESSAGE_NOT_FOUND")],
    "exportConversation": [
        ("stranger", f"GET {GROUP}/export", None, 404, "ROOM_NOT_FOUND"),
        ("bob", f"GET {GROUP}/export?format=pdf", None, 400, "INVALID_FORMAT"),
    ],
    "searchMessages": [
        ("bob", "GET /api/search", None, 400, "INVALID_FORMAT"),
        ("bob", "GET /api/search?q=!", None, 400, "INVALID_FORMAT"),
        ("stranger", "GET /api/search?q=hello&conversationId=<group>", None, 404, "ROOM_NOT_FOUND"),
    ],
    "editMessage": [
        ("bob", "PATCH /api/messages/<message>", {"content": "x"}, 403, "PERMISSION_DENIED"),
        ("stranger", "PATCH /api/messages/<message>", {"content": "x"}, 404, "MESSAGE_NOT_FOUND"),
        ("alice", "PATCH /api/messages/<message>", {"content": " "}, 400, "INVALID_FORMAT"),
    ],
    "deleteMessage": [("bob", "DELETE /api/messages/<message>", None, 403, "PERMISSION_DENIED")],
    "listEdits": [("bob", "GET /api/messages/<message>/edits", None, 403, "PERMISSION_DENIED")],
    "listReceipts": [
        ("bob", "GET /api/messages/<message>/receipts", None, 403, "PERMISSION_DENIED"),
        ("stranger", "GET /api/messages/<message>/receipts", None, 404, "MESSAGE_NOT_FOUND"),
    ],
    "putReaction": [
        ("bob", "PUT /api/messages/<message>/reactions/x", None, 400, "INVALID_FORMAT"),
        ("stranger", f"PUT /api/messages/<message>/reactions/{THUMB}", None, 404, "MESSAGE_NOT_FOUND"),
    ],
    "deleteReaction": [
        ("stranger", f"DELETE /api/messages/<message>/reactions/{THUMB}", None, 404, "MESSAGE_NOT_FOUND")
    ],
    "findUsers": [("alice", "GET /api/users", None, 400, "INVALID_FORMAT")],
    "getUser": [("alice", "GET /api/users/<new>", None, 404, "USER_NOT_FOUND")],
    "putUser": [("alice", "PUT /api/users/<alice>", {}, 403, "PERMISSION_DENIED")],
    "getStatus": [("stranger", "GET /api/users/<alice>/status", None, 404, "USER_NOT_FOUND")],
    "listConnections": [("alice", "GET /api/admin/connections", None, 403, "PERMISSION_DENIED")],
    "getStats": [("alice", "GET /api/admin/stats", None, 403, "PERMISSION_DENIED")],
    "disconnectUser": [
        ("alice", "POST /api/admin/users/<alice>/disconnect", None, 403, "PERMISSION_DENIED"),
        ("service", "POST /api/admin/users/<bob>/disconnect", {"revoke": "x"}, 400, "INVALID_FORMAT"),
    ],
}


SERVED |= personal_routes.SERVED
REFUSED |= personal_routes.REFUSED


def test_all_routes_are_tried() -> None:
    names = {route.name for route in ROUTES}
    assert SERVED.keys() == names
    assert REFUSED.keys() == names


@pytest.mark.parametrize("route", SERVED)
async def test_a_route_serves(stage: Stage, route: str) -> None:
    for user, request, body, status, keys in SERVED[route]:
        cast = await make_cast(stage)
        answer = await ask(stage, cast, user, request, body)
        assert (answer.status, set(answer.body)) == (status, keys), (request, answer)


@pytest.mark.parametrize("route", REFUSED)
async def test_a_route_refuses(stage: Stage, route: str) -> None:
    cast = await make_cast(stage)
    for user, request, body, status, code in REFUSED[route]:
        answer = await ask(stage, cast, user, request, body)
        assert (answer.status, answer.code) == (status, code), (request, answer)
        assert answer.body["error"].keys() == {"code", "message", "details"}
    assert len(await stage.stored(cast.group, cast.alice)) == 1


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_route_wants_a_good_token(stage: Stage, route: Any) -> None:
    path = re.sub(r"\{\w+\}", "1", route.path)
    for headers in ({}, {"Authorization": "Bearer bad"}, {"Authorization": f"Basic {token('1')}"}):
        answer = await stage.rest(route.method, path, user=None, headers=headers)
        assert (answer.status, answer.code) == (401, "AUTH_FAILED")
    in_query = await stage.rest(route.method, f"{path}?token={token('1')}", user=None)
    assert (in_query.status == 401) is (route.download is None)


async def test_errors_repeat_what_was_named(stage: Stage) -> None:
    answer = await stage.rest("GET", "/api/conversations/no-such", user="1")
    assert answer.body["error"]["details"]["conversationId"] == "no-such"


async def test_a_repeated_message_answers_200_with_the_first(stage: Stage) -> None:
    cast = await make_cast(stage)
    words = {"content": "once", "clientMessageId": "d-1"}
    first, again = [await ask(stage, cast, "bob", f"POST {GROUP}/messages", words) for _ in range(2)]
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body


async def test_system_messages_have_the_system_as_their_sender(stage: Stage) -> None:
    cast = await make_cast(stage)
    words = {"content": "Bob has booked", "type": "SYSTEM"}
    sent = (await ask(stage, cast, "service", f"POST {GROUP}/messages", words)).body["message"]
    assert (sent["type"], sent["sender"]) == ("SYSTEM", {"id": "system", "role": "system"})


async def test_messages_with_a_contact_are_a_list_even_before_the_first(stage: Stage) -> None:
    cast = await make_cast(stage)
    path = "/api/messages/user/"
    empty = await stage.rest("GET", path + cast.bob, user=cast.alice)
    assert empty.body == {"messages": [], "hasMore": False}
    direct = "dm:" + ":".join(sorted([cast.alice, cast.bob]))
    sent = await stage.post(cast.alice, direct, "hello")
    found = await stage.rest("GET", path + cast.alice, user=cast.bob)
    assert found.body["messages"] == [sent]


async def test_ids_may_hold_whatever_can_be_encoded(stage: Stage) -> None:
    name, group = "é m@il:1", f"salon #{new_id()}?"
    made = await stage.rest("PUT", f"/api/conversations/{quote(group)}", {"memberIds": [name]})
    assert made.body["conversation"]["id"] == group
    sent = await stage.post(name, group, "x")
    assert (sent["conversationId"], sent["senderId"]) == (group, name)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b'"x"', b'{"content": NaN}', b"[" * 5000])
async def test_a_body_that_is_no_json_object_is_refused(stage: Stage, body: bytes) -> None:
    answer = await stage.rest("POST", "/api/conversations/general/messages", body, user="1")
    assert (answer.status, answer.code) == (400, "INVALID_FORMAT")


async def test_unknown_paths_and_methods_are_refused_in_the_same_shape(stage: Stage) -> None:
    nowhere = await stage.rest("GET", "/api/nowhere", user="1")
    assert (nowhere.status, nowhere.body.keys()) == (404, {"error"})
    wrong = await stage.rest("DELETE", "/api/conversations", user="1")
    assert (wrong.status, wrong.body.keys()) == (405, {"error"})


async def test_the_email_is_for_oneself_and_services_only(stage: Stage) -> None:
    cast = await make_cast(stage)
    email = "alice@example.com"
    await ask(stage, cast, "service", "PUT /api/users/<alice>", {"email": email, "firstName": "Alice"})
    for user, shown in (("alice", email), ("service", email), ("bob", None)):
        answer = await ask(stage, cast, user, "GET /api/users/<alice>")
        assert answer.body["user"].get("email") == shown
    for path in (GROUP, f"{GROUP}/messages", f"/api/users?q={cast.alice}"):
        assert email not in json.dumps((await ask(stage, cast, "bob", f"GET {path}")).body)


async def test_a_status_says_who_is_online(stage: Stage) -> None:
    cast = await make_cast(stage)
    before = await ask(stage, cast, "bob", "GET /api/users/<alice>/status")
    assert (before.body["online"], before.body["status"]) == (False, "offline")
    client = await stage.messaging(cast.alice)
    await join(client, cast.group)
    watcher = await stage.messaging(cast.bob)
    await watcher.wait_for("connect")
    now = await ask(stage, cast, "bob", "GET /api/users/<alice>/status")
    assert now.body.items() >= {"online": True, "status": "online"}.items()


# --- the token of the cookie -------------------------------------------------------------------------


async def cookie_token(stage: Stage, cookie: str | None, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if cookie is not None:
        sent["Cookie"] = f"access_token={cookie}"
    return await stage.rest("GET", "/api/messaging/token", user=None, headers=sent)


async def test_the_cookies_token_is_given_to_pages_of_this_site(stage: Stage) -> None:
    mine = token(new_id())
    allowed: list[dict[str, str]] = [
        {},
        {"Origin": APP},
        {"Origin": stage.servers[0].url},
        {"Sec_Fetch_Site": "same-origin"},
    ]
    for headers in allowed:
        answer = await cookie_token(stage, mine, **headers)
        assert (answer.status, answer.body) == (200, {"token": mine})
        assert "no-store" in answer.headers["Cache-Control"]
    await join(await stage.messaging("-", auth={"token": mine}), "general")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
async def test_the_cookies_token_is_given_to_no_other_page(
    stage: Stage, headers: Mapping[str, str], status: int
) -> None:
    answer = await cookie_token(stage, token("1"), **headers)
    assert (answer.status, answer.code) == (status, "PERMISSION_DENIED")


@pytest.mark.parametrize("cookie", [None, "", "bad"])
async def test_without_a_good_cookie_there_is_no_token(stage: Stage, cookie: str | None) -> None:
    answer = await cookie_token(stage, cookie)
    assert (answer.status, answer.code) == (401, "AUTH_FAILED")


async def test_a_cookie_reads_but_writes_only_from_an_allowed_origin(stage: Stage) -> None:
    cast = await make_cast(stage)
    path = f"/api/conversations/{cast.group}/messages"
    cookie = {"Cookie": f"access_token={token(cast.alice)}"}
    assert (await stage.rest("GET", path, user=None, headers=cookie)).status == 200
    for origin, status in ((EVIL, 401), (APP, 201)):
        headers = {**cookie, "Origin": origin}
        answer = await stage.rest("POST", path, {"content": "x"}, user=None, headers=headers)
        assert answer.status == status


# --- CORS --------------------------------------------------------------------------------------------


async def test_a_preflight_allows_what_pages_need(stage: Stage) -> None:
    headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    answer = await stage.rest("OPTIONS", "/api/conversations", user=None, headers=headers)
    assert answer.status in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type"} <= allowed


async def test_answers_and_errors_can_be_read_by_allowed_pages_only(stage: Stage) -> None:
    for origin, seen in ((APP, APP), (EVIL, None)):
        for user in ("1", None):
            answer = await stage.rest("GET", "/api/conversations", user=user, headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == seen
            assert "Origin" in answer.headers["Vary"]
    answer = await stage.rest("GET", "/api/conversations", user="1", headers={"Origin": APP})
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


# --- operations --------------------------------------------------------------------------------------


async def test_metrics_are_for_those_with_the_token_and_for_services(stage: Stage) -> None:
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {token('1')}"}, 401),
        ({"Authorization": "Bearer metrics-token"}, 200),
        ({"Authorization": f"Bearer {token(SERVICE)}"}, 200),
    ):
        answer = await stage.rest("GET", "/metrics", user=None, headers=headers)
        assert answer.status == status
        assert status == 200 or answer.body["error"]["code"] == "AUTH_FAILED"
    alice = new_id()
    group = await stage.group(alice)
    client = await stage.messaging(alice)
    await join(client, group)
    await stage.post(alice, group, "counted")
    await heard(client, "counted")
    text = (await stage.rest("GET", "/metrics")).body
    assert re.search(r'^messaging_connections\{dialect="messaging"\} [1-9]', text, re.MULTILINE)
    assert re.search(r'^messaging_messages_received_total\{dialect="rest"\} [1-9]', text, re.MULTILINE)
    assert re.search(r'^messaging_messages_delivered_total\{dialect="messaging"\} [1-9]', text, re.MULTILINE)


async def test_health_and_readiness_are_told_to_anybody(stage: Stage) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await stage.rest("GET", path, user=None)).status == 200


async def test_the_document_is_valid_openapi_and_has_every_route(stage: Stage) -> None:
    document = (await stage.rest("GET", "/api/openapi.json", user=None)).body
    validate(document)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    others = ("/api/messaging/token", "/healthz", "/readyz", "/metrics", "/api/openapi.json")
    served = {(route.method, route.path) for route in ROUTES} | {("GET", path) for path in others}
    assert served <= described


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("path", ["/api/conversations/<group>/messages", "/api/uploads"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(
    stage: Stage, encoding: str, path: str
) -> None:
    cast = await make_cast(stage)
    form = path == "/api/uploads"
    headers = {
        "Content-Encoding": encoding,
        "Content-Type": "multipart/form-data; boundary=b" if form else "application/json",
    }
    answer = await stage.rest("POST", cast.fill(path), b"xx", user=cast.alice, headers=headers)
    assert answer.status == 400
    assert answer.body["error"]["code"] == "INVALID_FORMAT"
