"""Events survive the way between processes, of other versions too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.backplanes.codec import decode, encode
from messaging.domain import events
from messaging.domain.events import Event
from tests.backplanes.samples import message_sent, presence_changed

st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
st.register_type_strategy(int, st.integers(-(2**53) + 1, 2**53 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(
    datetime,
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@pytest.mark.parametrize("cls", get_args(events.Event), ids=lambda cls: cls.__name__)
@settings(max_examples=30)  # of each kind, and all are written in the same way
@given(data=st.data())
def test_every_event_comes_back_equal(cls: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(cls))
    assert decode(encode(event)) == event


def changed(event: Event, **fields: object) -> bytes:
    name, raw = orjson.loads(encode(event))
    return orjson.dumps([name, {**raw, **fields}])


def test_a_field_of_a_newer_version_is_left_out() -> None:
    event = presence_changed()
    assert decode(changed(event, mood="sunny")) == event


def test_a_field_of_a_newer_version_deep_inside_is_left_out() -> None:
    event = presence_changed()
    assert decode(changed(event, user={"id": "alice", "name": "Alice", "mood": "sunny"})) == event


def test_a_field_that_an_older_version_did_not_know_has_its_default() -> None:
    event = message_sent()
    raw = orjson.loads(encode(event))
    del raw[1]["message"]["reactions"]
    assert decode(orjson.dumps(raw)) == event


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'["MessageSent"]',
        b'["MessageSent",null]',
        b'["MessageSent",{}]',
        b'["MessageTranslated",{}]',
        b'[["MessageSent"],{}]',
        changed(presence_changed(), status="dreaming"),
        changed(presence_changed(), status=[]),
        changed(presence_changed(), crossed=1),
        changed(presence_changed(), conversations="team"),
        changed(presence_changed(), conversations=[1]),
        changed(presence_changed(), at="yesterday"),
        changed(presence_changed(), at=7),
        changed(presence_changed(), user="alice"),
    ],
)
def test_what_this_version_does_not_understand_is_not_heard(data: bytes) -> None:
    assert decode(data) is None


def test_text_that_utf8_cannot_carry_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        encode(message_sent(content="\ud800"))
