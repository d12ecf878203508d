"""Nonsense: JSON texts that no command takes, made from the tables of commands and routes themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from messaging.dialects.forms import Schema
from messaging.dialects.namespace import Row
from messaging.dialects.rest import Route
from tests.dialects.wrong import WRONG

UNFIT = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    '"\\ud800"',
    '"x\\udfff\\ud800"',
    '{"\\ud800":1}',
    str(2**53),
    str(-(2**53)),
    str(2**63),
    str(2**64),
    "9" * 400,
    "[" * 21 + "]" * 21,
    "[" * 1_000 + "]" * 1_000,
    '{"a":' * 1_000 + "1" + "}" * 1_000,
]
"""Texts that the strict gate keeps out, wherever they stand."""
NO_VALUES = [*UNFIT, "[[]]", '{"$ne":null}', '{"$gt":""}', '{"$where":"sleep(1000)"}']
"""… and values that no field takes."""
NO_OBJECTS = [*UNFIT, "[]", "[{}]", '"text"', '""', "0", "1.5", "true", '"\\u0000"', '"' + "x" * 30_000 + '"']
"""Instead of the whole payload."""

WRONG_BODIES: dict[str, list[object]] = {
    **WRONG,
    "messageIds": ["1", {}, [], [None], [{}], ["x"], [0], ["1"] * 201],
    "memberIds": ["ann", {}, [None], [{}], [{"$ne": None}], [""], ["a/b"], ["a\x00b"], ["x" * 129]],
    "kind": ["direct", "", "GROUP", 1, True, [], {}],
    "name": ["", " ", "x" * 201, "a\x00b", "a\nb", 1, True, [], {}],
    "private": [0, 1, "true", "", [], {}],
    "role": ["", 1, True, [], {}],
    "type": ["AD\nMIN", "", 1, True, [], {}],
    "senderId": ["", "a/b", "x" * 129, "a\x00b", True, 1.5, [], {}],
    "username": ["", "x" * 201, "a\x00b", 1, [], {}],
    "email": ["", "x" * 255, "a\nb", 1, [], {}],
    "userId": ["", "a/b", "x" * 129, "a\x00b", "system", True, 1.5, [], {}],
    "id": ["", " ", "x" * 65, "a\nb", 1.5, True, [], {}],
    "title": ["", " ", "x" * 201, "a\nb", 1, True, [], {}],
    "body": ["", " ", "x" * 2_001, "a\x00b", 1, True, [], {}],
    "data": ["{}", [], 1, True, {"x": "é" * 5_000}],
    "ids": ["1", {}, [], [None], [{}], [""], [1.5], ["1"] * 201],
    "all": [0, 1, "true", "", [], {}],
    "endpoint": ["", "x", "http://a.example/", "https://a b/", "https://u@a.example/", 1, True, [], {}],
    "keys": ["", [], {}, {"p256dh": 1, "auth": 1}, {"p256dh": "x", "auth": "x"}, {"p256dh": {"$ne": 1}}],
    "reason": ["", " ", "x" * 2_001, "a\x00b", 1, True, [], {}],
}

ANY_OBJECT = {"data"}
"""Keys under which any JSON object may stand."""

NAMES = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
NO_NAMES = ["1", "null", "true", "{}", "[]", '["send-message"]', '""', '"no-such-command"', '"__proto__"']


def payloads(row: Row[Any]) -> Iterator[str]:
    """Wrong payloads for a command: whole, and with one wrong value, or one missing."""
    yield from NO_OBJECTS
    if not row.form.needs_nothing:
        yield "null"
    yield from wrong_objects(row.form, row.example)


def bodies(route: Route[Any]) -> Iterator[str]:
    """Wrong bodies for a route."""
    yield from NO_OBJECTS
    yield from ("{", "no json", '{"a":1}x', "\x00", "\ufeff{}")
    if route.body is not None:
        yield from wrong_objects(route.body, route.example)


def wrong_objects(form: Schema, example: Mapping[str, Any]) -> Iterator[str]:
    """The example with one thing wrong in it."""
    for key, required in keys(form):
        rest = {name: value for name, value in example.items() if name != key}
        if required:
            yield json.dumps(rest)
        for text in wrong_values(key, required=required):
            yield with_value(rest, key, text)
    yield with_value(example, "extra", "NaN")
    yield with_value(example, "extra", "[" * 1_000 + "]" * 1_000)


def keys(form: Schema) -> Iterable[tuple[str, bool]]:
    """The keys of a form, and whether they must be there."""
    return [(str(field.data_key), field.required) for field in form.parts.values()]


def wrong_values(key: str, *, required: bool) -> Iterator[str]:
    """JSON texts that cannot stand under this key; null is as good as nothing where nothing is needed."""
    yield from UNFIT if key in ANY_OBJECT else NO_VALUES
    for value in WRONG_BODIES.get(key, []):
        if required or value is not None:
            yield json.dumps(value)


def with_value(rest: Mapping[str, Any], key: str, text: str) -> str:
    """A JSON object with this text as the value of one key."""
    head = json.dumps(dict(rest))[:-1]
    return f"{head}{', ' if rest else ''}{json.dumps(key)}: {text}}}"
