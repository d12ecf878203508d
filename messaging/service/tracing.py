"""The trace in which something is done (W3C Trace Context): carried from a request to logs and webhooks.

Where a request names no trace there is none, and nothing is spent on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_VERSION_00 = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LATER = re.compile(r"((?!ff|00)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?")

_current: ContextVar[str] = ContextVar("traceparent", default="")


def parsed(header: str | None) -> str:
    """The `traceparent` that a header holds, as version 00 knows it; "" for none, or what is not one."""
    if not header or len(header) > 256:
        return ""
    if _VERSION_00.fullmatch(header):
        return header
    later = _LATER.fullmatch(header)
    return f"00{later[1][2:]}" if later else ""


def current() -> str:
    """The `traceparent` of what is being done now; "" where there is none."""
    return _current.get()


def trace_id() -> str:
    """The trace's id alone."""
    return _current.get()[3:35]


@contextmanager
def tracing(traceparent: str) -> Iterator[None]:
    """What is done within, and whatever it begins, belongs to this trace."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)
