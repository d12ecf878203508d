"""The one gate through which JSON comes in and goes out, the same for all transports.

What passes `loads` can be stored by any store and read by any browser: UTF-8 encodable, no NaN or Infinity,
numbers within ±(2^53 − 1), not nested deeper than `MAX_DEPTH`. It knows nothing of commands.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 20
MAX_NUMBER = 2**53 - 1

# Without one of these no number can be out of range: 16 digits in a row, or an exponent.
_MAYBE_LARGE = re.compile(r"\d{16}|\d[eE]")


class UnfitJson(ValueError):
    """Well-formed for a lenient reader, but not what this service takes."""


def loads(text: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value that `text` stands for. A scalar has depth 0, `[]` has depth 1.

    Raises ValueError for what is no JSON, and its subclass UnfitJson for JSON that breaks a rule above.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _why(text) from error
    if not _is_plain(value) and _needs_a_walk(text, max_depth):
        _check(value, max_depth)
    return value


def dumps(value: Any) -> str:
    """Compact JSON. Raises TypeError for what JSON cannot say."""
    return orjson.dumps(value).decode()


def written(text: str) -> Any:
    """JSON that `dumps` wrote, to be a part of another value: it is put there as it is."""
    return orjson.Fragment(text)


def _is_plain(value: Any) -> bool:
    """Whether it is of the usual form: texts and small numbers, in objects no deeper than two. No rule
    forbids any of that; to see it takes a part of the time of looking through the text for digits."""
    parts = value if type(value) is list else (value,)
    for part in parts:
        if type(part) is dict:
            for inner in part.values():
                if type(inner) is str:
                    continue
                if type(inner) is dict:
                    if not all(map(_is_small, inner.values())):
                        return False
                elif not _is_small(inner):
                    return False
        elif type(part) is not str and not _is_small(part):
            return False
    return True


def _is_small(value: Any) -> bool:
    kind = type(value)
    return kind is str or value is None or (kind is int and -MAX_NUMBER <= value <= MAX_NUMBER)


def _needs_a_walk(text: str | bytes, max_depth: int) -> bool:
    if isinstance(text, bytes):
        text = text.decode()
    return text.count("[") + text.count("{") > max_depth or _MAYBE_LARGE.search(text) is not None


def _check(value: Any, max_depth: int) -> None:
    """Walk the value level by level, so that no depth can exhaust the stack."""
    level = [value]
    for depth in range(max_depth + 1):
        if not level:
            return
        if depth == max_depth and any(isinstance(item, dict | list) for item in level):
            raise UnfitJson("too deep")
        below: list[Any] = []
        for item in level:
            _descend(item, below)
        level = below


def _descend(item: Any, below: list[Any]) -> None:
    match item:
        case dict():
            below.extend(item.values())
        case list():
            below.extend(item)
        case int() | float() if not -MAX_NUMBER <= item <= MAX_NUMBER:
            raise UnfitJson("number out of range")


def _why(text: str | bytes) -> ValueError:
    """Tell NaN, lone surrogates and the like from what is no JSON at all."""
    try:
        json.loads(text)
    except RecursionError:
        return UnfitJson("too deep")
    except ValueError:
        return ValueError("no JSON")
    return UnfitJson("not UTF-8, or not a number")
