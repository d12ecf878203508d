"""REST routes: what requests mean, what answers look like, which status goes with what."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from messaging.dialects.answers import SCHEMAS
from messaging.dialects.base import Request
from messaging.dialects.pages import PAGES
from messaging.dialects.rest import Page, Route, Who, refusal
from messaging.dialects.routes import ROUTES
from messaging.domain.commands import (
    ChangeConversation,
    Command,
    CreateConversation,
    DeleteConversation,
    DeleteMessage,
    DisconnectUser,
    EditMessage,
    EraseUser,
    ExportConversation,
    ExportForm,
    ExportUser,
    FindUsers,
    GetConversation,
    GetStats,
    GetStatus,
    GetUploadLink,
    GetUser,
    ListConnections,
    ListConversations,
    ListEdits,
    ListReceipts,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
    PutConversation,
    PutMember,
    PutUser,
    RemoveMember,
    SearchMessages,
    SendMessage,
    SetReaction,
)
from messaging.domain.errors import (
    ClientError,
    Code,
    InvalidFormat,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from messaging.domain.models import Kind, Profile, Role, Status
from messaging.domain.replies import Done, HistoryPage, Marked, Sent, UserReply, UserStatus
from tests.dialects import examples, personal_rows, wrong

BY_NAME = {route.name: route for route in ROUTES}
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)

PLACES = {"id": "1", "userId": "5", "emoji": "👍"}

REQUESTS: list[tuple[str, dict[str, str], dict[str, str], object, Command]] = [
    (
        "exportConversation",
        {"id": "1"},
        {"format": "csv"},
        None,
        ExportConversation(conversation_id="1", form=ExportForm.CSV),
    ),
    ("exportUser", {"id": "5"}, {}, None, ExportUser(user_id="5")),
    ("eraseUser", {"id": "5"}, {}, None, EraseUser(user_id="5")),
    ("eraseUser", {"id": "5"}, {"messages": "delete"}, None, EraseUser(user_id="5", messages=True)),
    (
        "searchMessages",
        {},
        {"q": "été", "conversationId": "1", "limit": "5", "next": "17"},
        None,
        SearchMessages(query="été", conversation_id="1", limit=5, next="17"),
    ),
    ("editMessage", {"id": "7"}, {}, {"content": "oui"}, EditMessage(message_id=7, content="oui")),
    ("deleteMessage", {"id": "7"}, {}, None, DeleteMessage(message_id=7)),
    (
        "listReceipts",
        {"id": "7"},
        {"limit": "2", "next": "bob"},
        None,
        ListReceipts(message_id=7, limit=2, next="bob"),
    ),
    ("listEdits", {"id": "7"}, {}, None, ListEdits(message_id=7)),
    (
        "putReaction",
        {"id": "7", "emoji": "👍"},
        {},
        None,
        SetReaction(message_id=7, emoji="👍", present=True),
    ),
    (
        "deleteReaction",
        {"id": "7", "emoji": "👍"},
        {},
        None,
        SetReaction(message_id=7, emoji="👍", present=False),
    ),
    ("listConversations", {}, {}, None, ListConversations()),
    (
        "listConversations",
        {},
        {"limit": "5", "next": "17", "archived": "true"},
        None,
        ListConversations(limit=5, next="17", archived=True),
    ),
    (
        "createConversation",
        {},
        {},
        {"kind": "group", "name": "Salon", "private": True, "memberIds": [1, "bob"]},
        CreateConversation(kind=Kind.GROUP, name="Salon", private=True, member_ids=("1", "bob")),
    ),
    ("getConversation", {"id": "dm:1:2"}, {}, None, GetConversation(conversation_id="dm:1:2")),
    ("putConversation", {"id": "42"}, {}, None, PutConversation(conversation_id="42")),
    (
        "putConversation",
        {"id": "42"},
        {},
        {"private": False, "memberIds": ["1"]},
        PutConversation(conversation_id="42", private=False, member_ids=("1",)),
    ),
    (
        "changeConversation",
        {"id": "42"},
        {},
        {"name": "Atelier"},
        ChangeConversation(conversation_id="42", name="Atelier"),
    ),
    ("deleteConversation", {"id": "42"}, {}, None, DeleteConversation(conversation_id="42")),
    ("putMember", {"id": "42", "userId": "5"}, {}, None, PutMember(conversation_id="42", user_id="5")),
    (
        "putMember",
        {"id": "42", "userId": "5"},
        {},
        {"role": "admin"},
        PutMember(conversation_id="42", user_id="5", role=Role.ADMIN),
    ),
    ("removeMember", {"id": "42", "userId": "5"}, {}, None, RemoveMember(conversation_id="42", user_id="5")),
    (
        "listMessages",
        {"id": "42"},
        {"before": "9", "limit": "500", "after": ""},
        None,
        LoadHistory(conversation_id="42", before=9, limit=200),
    ),
    (
        "sendMessage",
        {"id": "42"},
        {},
        {"content": "Bonjour", "clientMessageId": "c", "replyTo": "7"},
        SendMessage(conversation_id="42", content="Bonjour", client_message_id="c", reply_to=7),
    ),
    (
        "sendMessage",
        {"id": "42"},
        {},
        {"content": "Bonjour", "senderId": 5, "type": "USER"},
        SendMessage(conversation_id="42", content="Bonjour", sender_id="5"),
    ),
    (
        "sendMessage",
        {"id": "42"},
        {},
        {"content": "Ouvert", "type": "SYSTEM"},
        SendMessage(conversation_id="42", content="Ouvert", system=True),
    ),
    ("listMessagesWithUser", {"id": "5"}, {"after": "0"}, None, LoadHistory(with_user="5", after=0)),
    ("listMessagesOfGroup", {"id": "general"}, {}, None, LoadHistory(conversation_id="general")),
    ("markRead", {}, {}, {"messageId": "7"}, MarkRead(message_ids=(7,), count_unread=True)),
    ("markRead", {}, {}, {"messageIds": [7, "8"]}, MarkRead(message_ids=(7, 8), count_unread=True)),
    (
        "markRead",
        {},
        {},
        {"conversationId": 42},
        MarkConversationRead(conversation_id="42", count_unread=True),
    ),
    ("findUsers", {}, {"q": "al", "limit": "5"}, None, FindUsers(query="al", limit=5)),
    ("getUser", {"id": "5"}, {}, None, GetUser(user_id="5")),
    (
        "putUser",
        {"id": "5"},
        {},
        {"firstName": "Alice", "email": examples.EMAIL, "image": None},
        PutUser(profile=Profile(id="5", first_name="Alice", email=examples.EMAIL)),
    ),
    ("getStatus", {"id": "5"}, {}, None, GetStatus(user_id="5")),
    ("listConnections", {}, {}, None, ListConnections()),
    ("listConnections", {}, {"userId": "5", "limit": "9"}, None, ListConnections(user_id="5", limit=9)),
    ("getStats", {}, {}, None, GetStats()),
    ("disconnectUser", {"id": "5"}, {}, None, DisconnectUser(user_id="5")),
    ("disconnectUser", {"id": "5"}, {}, {"revoke": False}, DisconnectUser(user_id="5", revoke=False)),
    ("getUploadLink", {"id": "u" * 22}, {}, None, GetUploadLink(upload_id="u" * 22)),
    *personal_rows.REQUESTS,
]

REFUSED: list[tuple[str, dict[str, str], dict[str, str], object]] = [
    ("listConversations", {}, {"limit": "ten"}, None),
    ("listConversations", {}, {"archived": "maybe"}, None),
    ("createConversation", {}, {}, None),
    ("createConversation", {}, {}, {}),
    ("createConversation", {}, {}, {"kind": "direct"}),
    ("createConversation", {}, {}, {"kind": "group", "memberIds": "1"}),
    ("createConversation", {}, {}, {"kind": "group", "memberIds": [{"$ne": None}]}),
    ("createConversation", {}, {}, {"kind": "group", "name": "  "}),
    ("createConversation", {}, {}, {"kind": "group", "name": "x" * 201}),
    ("createConversation", {}, {}, {"kind": "group", "private": 1}),
    ("getConversation", {"id": " 1"}, {}, None),
    ("putConversation", {"id": "dm:1:2"}, {}, {}),
    ("putConversation", {"id": "1"}, {}, []),
    ("putMember", {"id": "1", "userId": "system"}, {}, None),
    ("putMember", {"id": "1", "userId": "5"}, {}, {"role": "king"}),
    ("listMessages", {"id": "1"}, {"before": "-1"}, None),
    ("sendMessage", {"id": "1"}, {}, {"content": 5}),
    ("sendMessage", {"id": "1"}, {}, {"type": "USER", "senderId": "system"}),
    ("sendMessage", {"id": "1"}, {}, {"type": "system"}),
    ("markRead", {}, {}, {}),
    ("markRead", {}, {}, {"messageIds": []}),
    ("markRead", {}, {}, {"messageIds": ["1"] * 201}),
    ("markRead", {}, {}, {"messageId": "1", "conversationId": "1"}),
    ("findUsers", {}, {}, None),
    ("findUsers", {}, {"q": " "}, None),
    ("putUser", {"id": "5"}, {}, {"name": 5}),
    ("putUser", {"id": "5"}, {}, {"image": "javascript:alert(1)"}),
    ("disconnectUser", {"id": "5"}, {}, {"revoke": "no"}),
    *personal_rows.REFUSED,
]


def request_to(route: Route[Any], body: object = None) -> Request:
    upload = {"id": "u" * 22} if route.path.startswith("/api/uploads/") else {}
    return route.request(PLACES | upload, {"q": "al"}, route.example if body is None else body)


def validator(schema: dict[str, Any]) -> Any:
    return OAS31Validator(closed({**schema, "components": {"schemas": SCHEMAS}}))


def closed(schema: Any) -> Any:
    """The same schema, which takes no keys that it does not name."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    done = {key: closed(inner) for key, inner in schema.items()}
    return done | {"additionalProperties": False} if isinstance(done.get("properties"), dict) else done


@pytest.mark.parametrize(("name", "variables", "query", "body", "command"), REQUESTS)
def test_requests_become_commands(
    name: str, variables: dict[str, str], query: dict[str, str], body: object, command: Command
) -> None:
    request = BY_NAME[name].request(variables, query, body)
    assert request.error is None
    assert request.command == command


def test_every_route_has_a_request_in_the_table() -> None:
    assert {name for name, *_ in REQUESTS} == set(BY_NAME)


@pytest.mark.parametrize(("name", "variables", "query", "body"), REFUSED)
def test_what_has_the_wrong_form_is_refused(
    name: str, variables: dict[str, str], query: dict[str, str], body: object
) -> None:
    request = BY_NAME[name].request(variables, query, body)
    assert request.command is None
    assert isinstance(request.error, InvalidFormat)


def test_a_refusal_names_what_the_path_and_the_body_named() -> None:
    body = {"content": [], "clientMessageId": "c", "replyTo": 7}
    request = BY_NAME["sendMessage"].request({"id": "42"}, {}, body)
    assert request.named == {"conversationId": "42", "clientMessageId": "c", "replyTo": "7"}
    assert request.error is not None
    response = refusal(request, request.error)
    assert response.status == 400
    assert response.body == {
        "error": {
            "code": "INVALID_FORMAT",
            "message": "content must be a string.",
            "details": {**request.named, "field": "content"},
        }
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AUTH_FAILED", 401),
        ("INVALID_FORMAT", 400),
        ("PERMISSION_DENIED", 403),
        ("ROOM_NOT_FOUND", 404),
        ("USER_NOT_FOUND", 404),
        ("MESSAGE_NOT_FOUND", 404),
        ("MESSAGE_TOO_LONG", 400),
        ("RATE_LIMITED", 429),
        ("PAYLOAD_TOO_LARGE", 413),
        ("CONFLICT", 409),
        ("UNAVAILABLE", 503),
        ("INTERNAL", 500),
    ],
)
def test_every_code_has_its_status(code: str, status: int) -> None:
    (error,) = [kind() for kind in ClientError.__subclasses__() if kind.code == code]
    response = refusal(None, error)
    assert response.status == status
    assert response.body["error"] == {"code": code, "message": error.message, "details": {}}


def test_all_codes_are_in_that_table() -> None:
    assert {refusal(None, kind()).status for kind in ClientError.__subclasses__()}
    assert len(ClientError.__subclasses__()) == len(Code)


@pytest.mark.parametrize(("seconds", "header"), [(0, "1"), (0.2, "1"), (1.5, "2"), (30, "30")])
def test_retry_after_is_in_whole_seconds(seconds: float, header: str) -> None:
    assert refusal(None, RateLimited(retryAfter=seconds)).headers == {"Retry-After": header}


def test_only_a_rate_limit_says_when_to_try_again() -> None:
    assert refusal(None, Unavailable()).headers == {}
    assert refusal(None, RateLimited()).headers == {}


def test_what_only_http_knows_has_its_own_status() -> None:
    assert refusal(None, InvalidFormat("There is no such path."), status=404).status == 404
    assert refusal(None, PayloadTooLarge()).status == 413


@every_route
def test_every_route_has_an_example_that_is_understood(route: Route[Any]) -> None:
    request = request_to(route)
    assert request.error is None
    assert isinstance(request.command, typing.get_args(Command))


@every_route
def test_every_answer_is_as_its_document_says(route: Route[Any]) -> None:
    answered = [reply for reply in examples.replies() if isinstance(reply, route.reply)]
    assert answered
    check = validator(route.answer)
    for reply in answered:
        if route.file(reply) is not None:  # has no body: see test_exports.py
            continue
        response = route.respond(reply)
        check.validate(json.loads(json.dumps(response.body)))
        assert response.status == 200 or route.makes


@every_route
def test_a_reply_of_another_route_is_a_bug_and_not_an_answer(route: Route[Any]) -> None:
    reply = Marked(total_unread=0) if route.reply is Done else Done()
    with pytest.raises(TypeError):
        route.respond(reply)


@every_route
def test_what_was_made_answers_201_and_what_was_there_200(route: Route[Any]) -> None:
    statuses = {route.respond(reply).status for reply in examples.replies() if isinstance(reply, route.reply)}
    assert statuses == ({200, 201} if route.makes else {200})


@every_route
def test_no_body_but_an_object_is_taken(route: Route[Any]) -> None:
    for body in wrong.NO_OBJECTS:
        request = request_to(route, body)
        assert (request.error is None) == (route.body is None)


@every_route
@settings(max_examples=20)  # for each of some fifty routes, and all are read in the same way
@given(body=wrong.json, query=st.dictionaries(st.sampled_from(["limit", "next", "q", "after"]), st.text()))
def test_no_request_whatever_makes_a_route_raise(
    route: Route[Any], body: object, query: dict[str, str]
) -> None:
    request = route.request({"id": "1", "userId": "\x00"}, query, body)
    assert (request.command is None) != (request.error is None)


@given(variables=st.dictionaries(st.sampled_from(["id", "userId"]), st.text()))
def test_no_path_whatever_makes_a_route_raise(variables: dict[str, str]) -> None:
    for route in ROUTES:
        request = route.request(variables, {}, route.example)
        assert (request.command is None) != (request.error is None)


def test_an_email_address_is_shown_where_it_may_be_and_nowhere_else() -> None:
    get_user = BY_NAME["getUser"]
    assert get_user.respond(UserReply(profile=examples.ALICE, private=True)).body["user"]["email"]
    for route in ROUTES:
        for reply in examples.replies():
            if isinstance(reply, route.reply) and not getattr(reply, "private", False):
                assert examples.EMAIL not in json.dumps(route.respond(reply).body)


def test_a_conversation_that_has_not_begun_has_an_empty_history() -> None:
    response = BY_NAME["listMessagesWithUser"].respond(HistoryPage(conversation=None, with_user="bob"))
    assert response.body == {"messages": [], "hasMore": False}


def test_the_status_of_a_user_is_always_complete() -> None:
    respond = BY_NAME["getStatus"].respond
    away = UserStatus(user_id="5", status=Status.AWAY, last_seen=examples.NOW)
    assert respond(away).body == {
        "userId": "5",
        "status": "away",
        "online": True,
        "lastSeen": examples.NOW_TEXT,
    }
    gone = UserStatus(user_id="5", status=Status.OFFLINE)
    assert respond(gone).body == {"userId": "5", "status": "offline", "online": False, "lastSeen": None}


def test_a_repeated_send_answers_200_with_the_first_message() -> None:
    sent = Sent(conversation=examples.GROUP, view=examples.VIEWS[1], repeated=True)
    response = BY_NAME["sendMessage"].respond(sent)
    assert response.status == 200
    assert response.body["message"]["id"] == "124"


def test_a_mark_answers_what_is_left_unread() -> None:
    response = BY_NAME["markRead"].respond(Marked(total_unread=3, again=(examples.READ,)))
    assert response.body == {"success": True, "totalUnread": 3}


def test_only_services_may_choose_ids_provision_users_and_notify_them() -> None:
    services = {route.name for route in ROUTES if route.who is Who.SERVICE}
    assert services == {"putConversation", "putUser", "eraseUser", "notify"}


def test_names_and_places_are_unique() -> None:
    table: list[Route[Any] | Page] = [*ROUTES, *PAGES]
    assert len({row.name for row in table}) == len(table)
    assert len({(row.method, row.path) for row in table}) == len(table)
