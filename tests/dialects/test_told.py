"""What dialects send is what their documents say: every frame has a row, and fits its schema to the key."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from messaging.dialects import DIALECTS
from messaging.dialects.base import Answer, Dialect, Frame
from messaging.dialects.frames import Frames
from messaging.dialects.frames import Row as FrameRow
from messaging.dialects.namespace import Namespace, Row
from messaging.dialects.told import Told, form
from messaging.domain.errors import RoomNotFound
from messaging.domain.events import Event
from tests.dialects import examples
from tests.dialects.test_conformance import request_of, viewers
from tests.dialects.test_rest import closed

Tabular = Namespace | Frames
TABULAR = [dialect for dialect in DIALECTS.values() if isinstance(dialect, Namespace | Frames)]
dialects = pytest.mark.parametrize("dialect", TABULAR, ids=lambda dialect: dialect.name)
rows = pytest.mark.parametrize(
    ("dialect", "row"),
    [
        pytest.param(dialect, row, id=f"{dialect.name} {row.name}")
        for dialect in TABULAR
        for row in dialect.rows.values()
    ],
)
UNSEEN = {("ws-chat", "message_batch")}
"""What the transport makes, from frames that have rows themselves."""


@cache
def table(dialect: Tabular) -> dict[str, Told]:
    return {told.name: told for told in dialect.vocabulary.events}


def check(dialect: Tabular, schema: dict[str, Any], payload: Any) -> None:
    """The payload fits the schema, and has no key that the schema does not name."""
    whole = {**schema, "components": {"schemas": dict(dialect.vocabulary.schemas)}}
    OAS31Validator(closed(whole)).validate(payload)


def check_frames(dialect: Tabular, frames: Iterable[Frame]) -> set[str]:
    names = set()
    for frame in frames:
        assert frame.name in table(dialect), f"{dialect.name} has no row for {frame.name}"
        check(dialect, table(dialect)[frame.name].schema, frame.payload)
        names.add(frame.name)
    return names


def answers(dialect: Tabular, row: Row[Any] | FrameRow[Any]) -> list[Answer]:
    request = request_of(dialect, row, row.example)
    found = [reply for reply in examples.replies() if isinstance(reply, row.reply)]
    return [dialect.reply(request, reply, examples.NOW) for reply in found]


def rendered(dialect: Dialect, event: Event) -> list[Frame]:
    return [frame for viewer in viewers(dialect, event) for frame in dialect.render(event, viewer)]


def every_row(dialect: Tabular) -> list[Row[Any] | FrameRow[Any]]:
    return [*dialect.rows.values()]


def greeting(dialect: Tabular) -> list[Frame]:
    """All that a client may be told on connecting."""
    frames: list[Frame] = []
    for request in dialect.greeting("phone", None):
        for reply in examples.replies():
            with suppress(TypeError):  # not the reply of this one
                frames += dialect.reply(request, reply, examples.NOW).frames
    return frames


@dialects
@pytest.mark.parametrize("event", examples.events(), ids=lambda event: type(event).__name__)
def test_every_event_fits_its_row(dialect: Tabular, event: Event) -> None:
    check_frames(dialect, rendered(dialect, event))


@rows
def test_every_answer_fits_its_rows(dialect: Tabular, row: Row[Any] | FrameRow[Any]) -> None:
    told = [check_frames(dialect, answer.frames) for answer in answers(dialect, row)]
    if isinstance(row, FrameRow):
        assert set(row.answers) <= set(table(dialect))
        assert any(told) == bool(row.answers)
        # Not only of this row: a sample reply may be of another kind of place than the row is for.
        named = {name for other in dialect.rows.values() for name in getattr(other, "answers", ())}
        assert set().union(*told) <= named


@rows
def test_every_ack_has_what_its_row_says(dialect: Tabular, row: Row[Any] | FrameRow[Any]) -> None:
    if isinstance(row, Row):
        for answer in answers(dialect, row):
            assert answer.ack is not None
            told = {key: value for key, value in answer.ack.items() if key in row.has}
            assert answer.ack.keys() - {"success", "message"} <= row.has.keys()
            check(dialect, {"type": "object", "properties": row.has, "required": [*row.has]}, told)


@dialects
def test_what_greets_and_what_refuses_fits_its_row(dialect: Tabular) -> None:
    refused = dialect.refusal(None, RoomNotFound(), examples.NOW).frames
    assert "error" in check_frames(dialect, [*refused, *greeting(dialect)])


@dialects
def test_no_row_is_of_what_is_never_sent(dialect: Tabular) -> None:
    sent = [frame for event in examples.events() for frame in rendered(dialect, event)]
    sent += [
        frame for row in every_row(dialect) for answer in answers(dialect, row) for frame in answer.frames
    ]
    sent += [*greeting(dialect), *dialect.refusal(None, RoomNotFound(), examples.NOW).frames]
    never = table(dialect).keys() - {frame.name for frame in sent}
    assert {(dialect.name, name) for name in never} <= UNSEEN


@dialects
def test_every_row_has_an_example_that_fits_and_a_sentence(dialect: Tabular) -> None:
    for told in table(dialect).values():
        check(dialect, told.schema, told.example)
        assert told.summary.endswith(".")
    assert dialect.vocabulary.summary.endswith(".")


@rows
def test_every_command_has_an_example_that_fits_its_frame(
    dialect: Tabular, row: Row[Any] | FrameRow[Any]
) -> None:
    """And the documented frame is understood as the row's example is."""
    framed = dialect.vocabulary.framed(row.name, form(row.form))
    frame = dialect.vocabulary.example(row.name, row.example)
    check(dialect, framed, frame)
    (request,) = dialect.requests(Frame(row.name, frame))
    assert request == request_of(dialect, row, row.example)
