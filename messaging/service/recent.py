"""A small cache: what was looked up a moment ago, bounded in number and in age."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The newest `size` values, each for `seconds` after it was put. Ages by a clock that never jumps."""

    def __init__(self, size: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._seconds = seconds
        self._now = now
        self._entries: dict[K, tuple[float, V]] = {}
        self.age = 0
        """Rises whenever something is forgotten: what was looked up before that may be wrong by now."""

    def get(self, key: K, now: float | None = None) -> V | None:
        """The value, or None when it is not known or too old. `now` saves looking at the clock."""
        entry = self._entries.get(key)
        if entry is None or entry[0] < (self._now() if now is None else now):
            return None
        return entry[1]

    def put(self, key: K, value: V, since: float | None = None) -> None:
        """Remember a value, which was so at a time of that clock; the oldest is forgotten to make room."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = ((self._now() if since is None else since) + self._seconds, value)

    def forget(self, key: K) -> None:
        """No longer know a value, if it is known."""
        self.age += 1
        self._entries.pop(key, None)

    def clear(self) -> None:
        """No longer know anything."""
        self.age += 1
        self._entries.clear()
