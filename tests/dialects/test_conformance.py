"""Every dialect can tell every event and every refusal, and understands or refuses whatever it is sent."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.dialects import DIALECTS
from messaging.dialects.base import Dialect, Frame, Hears, Request
from messaging.dialects.frames import Frames
from messaging.dialects.frames import Row as FrameRow
from messaging.dialects.namespace import Namespace, Row
from messaging.domain import errors, ids
from messaging.domain.commands import CatchUp, Command
from messaging.domain.errors import ClientError, Code, InvalidFormat
from messaging.domain.events import Event
from messaging.domain.replies import ChangedMessage, HistoryPage, Reply
from tests.dialects import examples, wrong

NULLABLE = {"next", "expiresAt", "lastSeen", "expires_at", "sender_id", "target_id", "client_id"}
"""Keys that are always there and may have nothing to say; all other absent ones are left out."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CAMEL_IDS = {"id", "conversationId", "messageId", "senderId", "userId", "readBy", "replyTo", "onlineUsers"}
SNAKE_IDS = {"user_id", "from_user_id", "to_user_id", "with_user", "message_id", "reply_to", "user_ids"}
ROOMS_IDS = {"room", "from", "to", "with", "user", "online"}
ID_KEYS = CAMEL_IDS | SNAKE_IDS | ROOMS_IDS
NUMERIC = {"chat", "ws-chat", "unified"}
"""Dialects that show ids as numbers where they are some, but for rooms in `ws-chat`."""
TIMES = {"read", "created", "updated", "edited", "deleted"}
TIME_KEYS = {f"{word}{end}" for word in TIMES for end in ("At", "_at")} | {"sentAt", "timestamp", "lastSeen"}

ALL_ERRORS: list[ClientError] = [
    error(field="content", retryAfter=2) for error in ClientError.__subclasses__()
]
Tabular = Namespace | Frames
AnyRow = Row[Any] | FrameRow[Any]
DIALECT_ROWS = [
    pytest.param(dialect, row, id=f"{dialect.name} {row.name}")
    for dialect in DIALECTS.values()
    if isinstance(dialect, Namespace | Frames)
    for row in dialect.rows.values()
]
dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
rows = pytest.mark.parametrize(("dialect", "row"), DIALECT_ROWS)


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a JSON document that is no container, with the nearest key above it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            assert isinstance(name, str)
            yield from walk(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, key)
    else:
        yield key, value


def check_payload(dialect: Dialect, payload: Any) -> None:
    """The rules that hold for whatever a dialect sends."""
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert examples.EMAIL not in json.dumps(payload)
    for key, value in walk(payload):
        assert type(value) in (str, int, float, bool, type(None))
        assert value is not None or key in NULLABLE
        assert key != "role" or value != "service"
        if key in ID_KEYS and not (key == "id" and value in ("0", "v")):  # attachments' ids are their own
            assert value == shown_id(dialect, key, value)
        if key in TIME_KEYS:
            unix = key == "timestamp" and dialect.name == "unified"
            assert type(value) is int if unix else TIME.fullmatch(value)


def shown_id(dialect: Dialect, key: str, value: object) -> object:
    """The id as this dialect writes it; whether somebody is online, which is called like who is, as it is."""
    if isinstance(value, bool):
        return value
    numbers = dialect.name in NUMERIC and key != "room"
    return ids.numeric(str(value)) if numbers else str(value)


def request_of(dialect: Tabular, row: AnyRow, payload: Any) -> Request:
    if isinstance(dialect, Frames):
        (request,) = dialect.requests(dialect.envelope(row.name, payload, examples.NOW))
    else:
        (request,) = dialect.requests(Frame(row.name, payload))
    return request


def body_of(dialect: Dialect, frame: Frame) -> Any:
    """What a frame says, without its envelope."""
    return dialect.body(frame.payload) if isinstance(dialect, Frames) else frame.payload


def viewers(dialect: Dialect, event: Event) -> tuple[str | None, ...]:
    """For whom an event is rendered: for each of two, where the dialect names the other; else for all."""
    there = getattr(event, "conversation", None)
    pair = there.direct_members if there is not None and dialect.names_partner else None
    return pair or (None,)


def test_the_examples_show_every_event_and_every_reply() -> None:
    assert {type(event) for event in examples.events()} == set(typing.get_args(Event))
    assert {type(reply) for reply in examples.replies()} == set(typing.get_args(Reply))


def test_there_is_one_error_for_each_code() -> None:
    assert {error.code for error in ALL_ERRORS} == set(Code)


@dialects
def test_a_dialect_goes_by_its_name_and_says_what_it_hears(dialect: Dialect) -> None:
    assert DIALECTS[dialect.name] is dialect
    assert dialect.hears in Hears
    assert isinstance(dialect.writes_need_join, bool)
    assert dialect.budget


@dialects
def test_a_dialect_that_hears_all_catches_up_on_connecting(dialect: Dialect) -> None:
    asked = [type(request.command) for request in dialect.greeting("phone", None)]
    assert (CatchUp in asked) == (dialect.hears is Hears.ALL)


@dialects
@pytest.mark.parametrize("event", examples.events(), ids=lambda event: type(event).__name__)
def test_every_event_is_told_by_the_rules(dialect: Dialect, event: Event) -> None:
    for viewer in viewers(dialect, event):
        for frame in dialect.render(event, viewer):
            assert frame.name
            assert not isinstance(dialect, Frames) or frame.payload["type"] == frame.name
            check_payload(dialect, frame.payload)


@dialects
@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: error.code)
def test_every_refusal_is_told_by_the_rules(dialect: Dialect, error: ClientError) -> None:
    named = {"conversationId": shown_id(dialect, "conversationId", "1")}
    request = Request(name="x", error=error, named=named)
    answer = dialect.refusal(request, error, examples.NOW)
    check_payload(dialect, answer.ack or {})
    assert (answer.ack is None) == isinstance(dialect, Frames)
    (frame,) = answer.frames
    check_payload(dialect, frame.payload)
    assert frame.name == "error"
    told = body_of(dialect, frame)
    assert told["code"] == error.code
    assert told["message"] == error.message
    assert told["details"] == {**named, "field": "content", "retryAfter": 2}


@dialects
def test_the_details_of_a_refusal_are_an_object_also_when_nothing_was_named(dialect: Dialect) -> None:
    (frame,) = dialect.refusal(None, errors.Internal(), examples.NOW).frames
    assert body_of(dialect, frame)["details"] == {}


@rows
def test_every_command_has_an_example_that_is_understood(dialect: Tabular, row: AnyRow) -> None:
    request = request_of(dialect, row, row.example)
    assert request.error is None
    assert isinstance(request.command, typing.get_args(Command))
    assert row.summary.endswith(".")


@rows
def test_every_command_can_be_answered_by_the_rules(dialect: Tabular, row: AnyRow) -> None:
    request = request_of(dialect, row, row.example)
    answered = [reply for reply in examples.replies() if isinstance(reply, row.reply)]
    assert answered
    for reply in answered:
        answer = dialect.reply(request, reply, examples.NOW)
        if isinstance(dialect, Frames):
            assert answer.ack is None
        else:
            assert answer.ack is not None
            assert answer.ack["success"] is True
            assert answer.ack["message"]
            check_payload(dialect, answer.ack)
        for frame in answer.frames:
            check_payload(dialect, frame.payload)


@rows
def test_a_reply_of_another_command_is_a_bug_and_not_an_answer(dialect: Tabular, row: AnyRow) -> None:
    request = request_of(dialect, row, row.example)
    taken = (row.reply, *([HistoryPage] if row.pages else []))
    if isinstance(row, FrameRow) and row.reacts is not None:
        taken = (*taken, ChangedMessage)
    for reply in examples.replies():
        if not isinstance(reply, taken):
            with pytest.raises(TypeError):
                dialect.reply(request, reply, examples.NOW)


@rows
def test_what_is_no_object_is_refused(dialect: Tabular, row: AnyRow) -> None:
    for payload in wrong.NO_OBJECTS:
        (request,) = dialect.requests(Frame(row.name, payload))
        assert isinstance(request.error, InvalidFormat)
        assert request.command is None


@rows
def test_a_missing_payload_is_refused_by_all_but_commands_that_need_nothing(
    dialect: Tabular, row: AnyRow
) -> None:
    nothing: list[object] = [{}] if dialect.name == "rooms" else [None, {}]
    for payload in nothing:
        error = request_of(dialect, row, payload).error
        if row.name in ("list-conversations", "ping"):
            assert error is None
        else:
            assert isinstance(error, InvalidFormat)


@rows
def test_every_wrong_value_of_every_field_is_refused_by_name(dialect: Tabular, row: AnyRow) -> None:
    keys = [key for key in wrong.WRONG if key in {f.data_key for f in row.form.parts.values()}]
    assert {f.data_key for f in row.form.parts.values()} == set(keys)
    for key in keys:
        required = any(f.required for f in row.form.parts.values() if f.data_key == key)
        for value in wrong.WRONG[key]:
            if value is None and not required:
                continue  # a field that may be left out may be null
            request = request_of(dialect, row, row.example | {key: value})
            assert isinstance(request.error, InvalidFormat), (key, value)
            assert request.command is None
            field = request.error.details["field"]
            assert isinstance(field, str)
            assert field.split(".")[0] == key
            assert key not in request.named


@rows
def test_unknown_fields_are_ignored(dialect: Tabular, row: AnyRow) -> None:
    extra = {"$where": "1", "__proto__": {}, "sender_id": "2", "system": True, "senderId": 3}
    assert request_of(dialect, row, row.example | extra) == request_of(dialect, row, row.example)


@rows
def test_a_refusal_never_repeats_what_was_written(dialect: Tabular, row: AnyRow) -> None:
    canary = "canary/" + "x" * 3000
    for key in (field.data_key for field in row.form.parts.values()):
        for value in (canary, [canary], {canary: canary}, [{"url": canary}], [{canary: canary}]):
            request = request_of(dialect, row, row.example | {key: value})
            if request.error is not None:
                answer = dialect.refusal(request, request.error, examples.NOW)
                assert "canary" not in json.dumps([answer.ack, answer.frames[0].payload])


@dialects
@pytest.mark.parametrize(
    "name", ["edit_messages", "message:pin", "reaction-updated", "search_messages", "connect", "\ud800"]
)
def test_unknown_commands_are_refused_with_a_clear_text(dialect: Dialect, name: str) -> None:
    (request,) = dialect.requests(Frame(name, {"messageId": 1}))
    assert isinstance(request.error, InvalidFormat)
    assert request.error.message == "This server has no such command."


@dialects
def test_what_comes_without_a_name_is_refused_with_a_clear_text(dialect: Dialect) -> None:
    (request,) = dialect.requests(Frame("", None))
    assert isinstance(request.error, InvalidFormat)
    assert request.error.message in (
        "This server has no such command.",
        "This cannot be taken: its arguments are not plain JSON, or its name is reserved.",
    )


REFUSED_UNASKED = {Code.INVALID_FORMAT, Code.ROOM_NOT_FOUND, Code.PERMISSION_DENIED}
"""What a dialect may say by itself: of a direct conversation, that it is no room."""


@dialects
@given(data=st.data())
def test_no_payload_whatever_makes_a_dialect_raise(dialect: Tabular, data: st.DataObject) -> None:
    choices: list[AnyRow] = [*dialect.rows.values()]
    row = data.draw(st.sampled_from(choices))
    own = st.sampled_from([str(field.data_key) for field in row.form.parts.values()] or ["x"])
    bodies = st.dictionaries(own, wrong.json)
    frames = st.builds(Frame, st.just(row.name), wrong.json | bodies)
    if isinstance(dialect, Frames):
        frames |= bodies.map(lambda body: dialect.envelope(row.name, body, examples.NOW))
    (request,) = dialect.requests(data.draw(frames))
    assert (request.command is None) != (request.error is None)
    assert request.error is None or request.error.code in REFUSED_UNASKED
    answer = dialect.refusal(request, request.error or InvalidFormat(), examples.NOW)
    assert json.dumps(answer.frames[0].payload)
