"""Events as bytes between processes of one service, which during a deploy are of different versions.

An event is the JSON array `[name, fields]`. Reading is made from the type hints of the event classes: what
one version knows and another does not is left out (a field) or not heard at all (an event, an enum's value,
a field without default that is missing). Knows nothing of Redis.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import orjson

from messaging.domain import events
from messaging.domain.events import Announcement

Convert = Callable[[Any], Any]
"""Makes a value of one type from its JSON; TypeError, ValueError or KeyError when it is not one."""


def encode(event: Announcement) -> bytes:
    """The event as bytes. TypeError for text or numbers that JSON cannot carry."""
    return b'["%b",%b]' % (type(event).__name__.encode(), orjson.dumps(event))


def decode(data: bytes) -> Announcement | None:
    """The event that `encode` made these bytes of; None for what this version does not understand."""
    try:
        name, raw = orjson.loads(data)
        return cast(Announcement, _events()[name](raw))
    except (TypeError, ValueError, KeyError):
        return None


@cache
def _events() -> dict[str, Convert]:
    return {cls.__name__: _dataclass(cls) for cls in get_args(events.Announcement)}


@cache
def _dataclass(cls: type[Any]) -> Convert:
    hints = get_type_hints(cls)
    converts = {field.name: _converter(hints[field.name]) for field in fields(cls) if field.init}
    optional = frozenset(
        f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING
    )

    def same_version(raw: dict[str, Any]) -> Any:
        return cls(**{name: convert(raw[name]) for name, convert in converts.items()})

    def other_version(raw: dict[str, Any]) -> Any:
        known = {name: converts[name](value) for name, value in raw.items() if name in converts}
        if not converts.keys() - known.keys() <= optional:
            raise KeyError(cls.__name__)
        return cls(**known)

    def convert(raw: Any) -> Any:
        if type(raw) is not dict:
            raise TypeError(cls.__name__)
        return same_version(raw) if raw.keys() == converts.keys() else other_version(raw)

    return convert


def _converter(hint: Any) -> Convert:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) in (Union, types.UnionType):
        return _optional(hint)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        # A table finds a member faster than calling the class does.
        return {member.value: member for member in hint}.__getitem__
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint)
    raise TypeError(f"an event cannot carry {hint!r} between processes")


def _optional(hint: Any) -> Convert:
    some = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(some) != 1 or len(get_args(hint)) != 2:
        raise TypeError(f"an event cannot carry {hint!r} between processes: which of them would it be?")
    convert = _converter(some[0])
    return lambda raw: None if raw is None else convert(raw)


def _tuple(kinds: tuple[Any, ...]) -> Convert:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        each = _converter(kinds[0])
        return lambda raw: tuple([each(item) for item in _list(raw)])
    converts = [_converter(kind) for kind in kinds]
    return lambda raw: tuple([convert(item) for convert, item in zip(converts, _list(raw), strict=True)])


def _list(raw: Any) -> list[Any]:
    if type(raw) is not list:
        raise TypeError("not a list")
    return raw


def _exactly(kind: type[Any]) -> Convert:
    def convert(raw: Any) -> Any:
        if type(raw) is kind:
            return raw
        raise TypeError(f"not a {kind.__name__}")

    return convert


def _float(raw: Any) -> float:
    if type(raw) is float or type(raw) is int:
        return float(raw)
    raise TypeError("not a number")


_PLAIN: dict[Any, Convert] = {
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    datetime: datetime.fromisoformat,
}
