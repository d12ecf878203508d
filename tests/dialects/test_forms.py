"""Forms: the fast way of reading a payload finds what marshmallow finds, and nothing where that complains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError, missing

from messaging.dialects import attachments, camel, chat, rooms, snake, unified, ws_chat_forms
from messaging.dialects.forms import Schema

MODULES = (attachments, camel, chat, rooms, snake, unified, ws_chat_forms)


def all_forms() -> list[type[Schema]]:
    found = {form for module in MODULES for form in vars(module).values() if isinstance(form, type)}
    return sorted((form for form in found if issubclass(form, Schema)), key=lambda form: form.__qualname__)


FORMS = [form() for form in all_forms()]
KEYS = sorted(
    {
        key
        for form in FORMS
        for field in form.parts.values()
        for key in (field.data_key or "", *field.SPELLINGS)
    }
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**53 + 2),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.sampled_from(["1", "general", "dm:a:b", "dm:a", " x", "a/b", "\x00", "online", "é", "x" * 129]),
    st.lists(
        st.one_of(st.text(max_size=3), st.dictionaries(st.sampled_from(["url", "id"]), st.text())), max_size=3
    ),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
PAYLOADS = st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=3)), VALUES, max_size=8)


def test_there_are_forms_to_compare() -> None:
    assert len(FORMS) > 20
    assert {"Send", "Join", "History"} <= {type(form).__name__ for form in FORMS}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__qualname__)
def test_no_form_has_what_the_fast_way_would_leave_out(form: Schema) -> None:
    assert not any(form._hooks.values())  # noqa: SLF001  marshmallow shows them nowhere else
    assert list(form.parts) == list(form.load_fields)
    for field in form.parts.values():
        assert field.load_default is missing
        assert not field.validators
        assert field.attribute is None


@given(PAYLOADS)
@example({"conversationId": "general", "content": "x"})
@example({"conversationId": 7, "content": "x", "client_message_id": "c", "clientMessageId": None})
@example({"conversationId": "1", "content": 1})
@example({"conversationId": None, "content": "x"})
@example({"conversationId": "1", "attachments": [{"url": "no"}]})
@example({"conversationId": "1", "attachments": ["/a", {"url": "https://x.y/z", "id": 3}]})
def test_the_fast_way_agrees_with_marshmallow(payload: dict[str, Any]) -> None:
    for form in FORMS:
        fast = form.load_valid(payload)
        try:
            assert fast == form.load(payload)
        except ValidationError:
            assert fast is None
