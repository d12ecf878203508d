"""`/ws` word for word: what its clients send, and how it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.dialects.base import Dialect, Frame, Hears
from messaging.dialects.unified import ROWS, Unified
from messaging.domain.commands import (
    AcceptInvitation,
    Authenticate,
    Command,
    DeleteMessage,
    EditMessage,
    InviteMember,
    MarkRead,
    Ping,
    SendMessage,
    SetReaction,
    SetStatus,
    SetTyping,
)
from messaging.domain.errors import Code, InvalidFormat, RoomNotFound
from messaging.domain.models import (
    Attachment,
    Status,
)
from tests.dialects import wrong
from tests.dialects.examples import (
    NOW,
)

UNIFIED: Dialect = Unified()

META = {"timestamp": 1761211800, "sender_id": None, "target_id": None, "client_id": None}
MINE: dict[str, Any] = {"sender_id": 42, "client_id": "web-client-xyz"}

SEED: list[tuple[dict[str, Any], Command]] = [
    (
        {
            "type": "group_message",
            "payload": {"group_id": 1, "content": "Bonjour à tous!"},
            "meta": MINE,
        },
        SendMessage(conversation_id="1", content="Bonjour à tous!"),
    ),
    (
        {
            "type": "chat_message",
            "payload": {"content": "Salut"},
            "meta": {"timestamp": 1716523432, "sender_id": 1, "target_id": 2, "client_id": "uuid-client"},
        },
        SendMessage(to_user="2", content="Salut"),
    ),
    (
        {"type": "chat_message", "payload": {"user_id": "bob", "content": "Salut"}},
        SendMessage(to_user="bob", content="Salut"),
    ),
    (
        {"type": "chat_message", "payload": {"user_id": 2, "content": "Salut"}, "meta": {"target_id": None}},
        SendMessage(to_user="2", content="Salut"),
    ),
    (
        {
            "type": "group_message",
            "payload": {
                "group_id": "abc",
                "content": "",
                "attachments": ["/a.png", {"url": "/b.ogg", "file_name": "b", "mime_type": "audio/ogg"}],
                "reply_to": "98",
                "client_message_id": 7,
            },
            "meta": None,
        },
        SendMessage(
            conversation_id="abc",
            attachments=(
                Attachment(id="0", url="/a.png", file_name="a.png"),
                Attachment(id="1", url="/b.ogg", file_name="b", mime_type="audio/ogg"),
            ),
            reply_to=98,
            client_message_id="7",
        ),
    ),
    (
        {"type": "typing_indicator", "payload": {"conversation_id": 4}},
        SetTyping(conversation_id="4", active=True, seconds=6),
    ),
    (
        {"type": "typing_indicator", "payload": {"group_id": 4, "is_typing": False}},
        SetTyping(conversation_id="4", active=False, seconds=6),
    ),
    (
        {"type": "typing_indicator", "payload": {"user_id": 2}},
        SetTyping(to_user="2", active=True, seconds=6),
    ),
    (
        {"type": "message_edit", "payload": {"message_id": 98, "content": "oui"}},
        EditMessage(message_id=98, content="oui"),
    ),
    ({"type": "message_delete", "payload": {"message_id": "98"}}, DeleteMessage(message_id=98)),
    (
        {"type": "message_react", "payload": {"message_id": 98, "emoji": "👍"}},
        SetReaction(message_id=98, emoji="👍", present=True),
    ),
    (
        {"type": "message_react", "payload": {"message_id": 98, "emoji": "👍", "remove": True}},
        SetReaction(message_id=98, emoji="👍", present=False),
    ),
    ({"type": "read_receipt", "payload": {"message_id": 98}}, MarkRead(message_ids=(98,))),
    ({"type": "status_update", "payload": {"status": "offline"}}, SetStatus(status=Status.OFFLINE)),
    (
        {
            "type": "notification",
            "payload": {"type": "group_invite", "group_id": 12},
            "meta": {**MINE, "target_id": 2},
        },
        InviteMember(conversation_id="12", user_id="2"),
    ),
    ({"type": "group_join", "payload": {"group_id": 12}}, AcceptInvitation(conversation_id="12")),
    ({"type": "authenticate", "payload": {"token": "x.y.z"}}, Authenticate(token="x.y.z")),
    ({"type": "ping"}, Ping()),
    ({"type": "ping", "payload": {}, "meta": {"target_id": 3}}, Ping()),
]


def frame(whole: dict[str, Any]) -> Frame:
    return Frame(whole["type"], whole)


@pytest.mark.parametrize(("sent", "command"), SEED)
def test_what_clients_send_is_understood(sent: dict[str, Any], command: Command) -> None:
    (request,) = UNIFIED.requests(frame(sent))
    assert request.error is None
    assert request.command == command


def test_every_command_is_in_these_tables() -> None:
    assert {sent["type"] for sent, _ in SEED} == {row.name for row in ROWS}


def test_a_connection_hears_all_and_writes_without_joining() -> None:
    assert UNIFIED.hears is Hears.ALL
    assert not UNIFIED.writes_need_join
    assert not UNIFIED.names_partner
    assert UNIFIED.budget == "messages"


# --- refusals ----------------------------------------------------------------------------------------


def test_a_refusal_is_one_error_frame_that_names_ids_as_numbers() -> None:
    payload = {"group_id": "1", "content": "x", "client_message_id": "42"}
    (request,) = UNIFIED.requests(frame({"type": "group_message", "payload": payload}))
    answer = UNIFIED.refusal(request, RoomNotFound(), NOW)
    told = {
        "message": "There is no such conversation.",
        "code": "ROOM_NOT_FOUND",
        "details": {"group_id": 1, "client_message_id": "42"},
    }
    assert answer.ack is None
    assert answer.frames == (Frame("error", {"type": "error", "payload": told, "meta": META}),)


def test_who_sends_is_never_taken_from_the_client() -> None:
    sent = {"type": "group_message", "payload": {"group_id": 1, "content": "x", "sender_id": 7}}
    for meta in (None, {}, MINE, {"sender_id": {}, "client_id": [], "timestamp": "x"}, "text", [1]):
        (request,) = UNIFIED.requests(frame(sent | {"meta": meta}))
        assert request.command == SendMessage(conversation_id="1", content="x")


TARGET = [value for value in wrong.WRONG_IDS if value is not None]
SOMEWHERE = [value for value in wrong.WRONG_CONVERSATIONS if value is not None]
WRONG: list[tuple[str, str, list[object]]] = [
    ("chat_message", "user_id", TARGET),
    ("chat_message", "target_id", TARGET),
    ("group_message", "group_id", wrong.WRONG_CONVERSATIONS),
    ("group_message", "content", wrong.WRONG_TEXTS),
    ("group_message", "attachments", wrong.WRONG_ATTACHMENTS),
    (
        "group_message",
        "attachments",
        [[{"url": "/a", "file_name": 5}], [{"url": "/a", "file_size": -1}], [{"url": "/a", "mime_type": []}]],
    ),
    ("group_message", "reply_to", [value for value in wrong.WRONG_MESSAGES if value is not None]),
    ("group_message", "client_message_id", wrong.WRONG_CLIENT_IDS),
    ("typing_indicator", "conversation_id", SOMEWHERE),
    ("typing_indicator", "group_id", SOMEWHERE),
    ("typing_indicator", "user_id", TARGET),
    ("typing_indicator", "is_typing", wrong.WRONG_FLAGS),
    ("read_receipt", "message_id", wrong.WRONG_MESSAGES),
    ("status_update", "status", wrong.WRONG_STATUSES),
    ("notification", "type", [None, "like", "", 1, [], {}]),
    ("notification", "group_id", wrong.WRONG_CONVERSATIONS),
    ("notification", "target_id", [*wrong.WRONG_IDS, None]),
    ("group_join", "group_id", wrong.WRONG_CONVERSATIONS),
    ("authenticate", "token", [*wrong.WRONG_TEXTS, None, ""]),
]


@pytest.mark.parametrize(("name", "key", "values"), WRONG)
def test_every_wrong_value_is_refused_by_name(name: str, key: str, values: list[object]) -> None:
    example = next(row.example for row in ROWS if row.name == name)
    for value in values:
        payload, meta = example | {key: value}, {"target_id": example.get("target_id")}
        if key == "target_id":
            payload, meta = {k: v for k, v in example.items() if k != key}, {key: value}
        (request,) = UNIFIED.requests(frame({"type": name, "payload": payload, "meta": meta}))
        assert isinstance(request.error, InvalidFormat), value
        assert str(request.error.details["field"]).split(".")[0] == key
        assert key not in request.named


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.name != "ping"])
@pytest.mark.parametrize("payload", [None, {}, *wrong.NO_OBJECTS])
def test_a_command_without_its_payload_is_refused(name: str, payload: object) -> None:
    (request,) = UNIFIED.requests(frame({"type": name, "payload": payload, "meta": {}}))
    assert isinstance(request.error, InvalidFormat)
    assert request.command is None


@pytest.mark.parametrize(
    "name", ["", "message_edited", "message_reaction", "group_updated", "connected", "\ud800"]
)
def test_an_unknown_type_is_refused(name: str) -> None:
    (request,) = UNIFIED.requests(frame({"type": name, "payload": {"message_id": 1}}))
    assert isinstance(request.error, InvalidFormat)
    assert request.error.message == "This server has no such command."


@given(data=st.data())
def test_no_json_whatever_raises(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(ROWS))
    keys = st.sampled_from([str(part.data_key) for part in row.form.parts.values()] or ["x"])
    payload = data.draw(wrong.json | st.dictionaries(keys, wrong.json))
    meta = data.draw(wrong.json | st.fixed_dictionaries({"target_id": wrong.json}))
    sent = data.draw(wrong.json | st.just({"type": row.name, "payload": payload, "meta": meta}))
    (request,) = UNIFIED.requests(Frame(row.name, sent))
    assert (request.command is None) != (request.error is None)
    if request.error is not None:
        assert request.error.code is Code.INVALID_FORMAT
        assert len(UNIFIED.refusal(request, request.error, NOW).frames) == 1


def test_a_refusal_never_repeats_what_was_written() -> None:
    canary = "canary/" + "x" * 3000
    for row in ROWS:
        for key in (str(part.data_key) for part in row.form.parts.values()):
            for value in (canary, [canary], {canary: canary}, [{"url": canary}], [{canary: canary}]):
                sent = {"type": row.name, "payload": row.example | {key: value}, "meta": {canary: canary}}
                (request,) = UNIFIED.requests(frame(sent))
                if request.error is not None:
                    answer = UNIFIED.refusal(request, request.error, NOW)
                    assert "canary" not in json.dumps(answer.frames[0].payload)
