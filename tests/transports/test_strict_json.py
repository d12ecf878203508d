"""The gate lets in what every store can keep and every browser can read, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.transports.strict_json import MAX_DEPTH, MAX_NUMBER, UnfitJson, dumps, loads

numbers = st.integers(-MAX_NUMBER, MAX_NUMBER) | st.floats(-1e15, 1e15)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


@given(values)
def test_what_goes_out_comes_back_the_same(value: object) -> None:
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value)) == value
    assert loads(dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        '"\\ud800"',
        '{"\\udc00": 1}',
        '"\ud800"',
        str(MAX_NUMBER + 1),
        f"[[-{MAX_NUMBER + 1}]]",
        "18446744073709551616",
        "1" * 400,
        "1e400",
        "1e17",
        "-1E17",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
        "[" * 5000 + "]" * 5000,
        "[" * 200_000,
    ],
)
def test_unfit_json_is_told_apart(text: str) -> None:
    with pytest.raises(UnfitJson):
        loads(text)


@pytest.mark.parametrize("text", ["", " ", "abc", "{", "[1,]", "{'a': 1}", "1 2", "[1]x"])
def test_what_is_no_json_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="no JSON") as refused:
        loads(text)
    assert not isinstance(refused.value, UnfitJson)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        loads(b'"\xff"')


@pytest.mark.parametrize(
    "text",
    [str(MAX_NUMBER), f"-{MAX_NUMBER}", "1e15", "[" * MAX_DEPTH + "]" * MAX_DEPTH, "[" + "[]," * 30 + "1]"],
)
def test_the_limits_themselves_are_fine(text: str) -> None:
    assert loads(text) == json.loads(text)
