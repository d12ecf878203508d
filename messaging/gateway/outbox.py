"""Outbox: what waits for one slow client, with bounds. Pure: it writes nothing and waits for nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

DataT = TypeVar("DataT", str, bytes, "str | bytes")


class Outbox(Generic[DataT]):
    """A queue in order. Live entries count against both bounds; history does not.

    Nothing is ever dropped from it: a queue over its bounds means that the client is too slow.
    """

    __slots__ = ("_entries", "_live_bytes", "_live_frames", "_max_bytes", "_max_frames")

    def __init__(self, *, max_frames: int, max_bytes: int) -> None:
        self._entries: deque[tuple[DataT, bool]] = deque()
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._live_frames = 0
        self._live_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def half_full(self) -> bool:
        """Live entries have reached half of a bound: time to ask for nothing more."""
        return self._live_frames * 2 >= self._max_frames or self._live_bytes * 2 >= self._max_bytes

    def append(self, data: DataT, *, live: bool = True) -> bool:
        """Add at the end; False when the live entries are over a bound now."""
        self._entries.append((data, live))
        if not live:
            return True
        self._live_frames += 1
        self._live_bytes += len(data)
        return self._live_frames <= self._max_frames and self._live_bytes <= self._max_bytes

    def take(self) -> tuple[DataT, bool]:
        """The oldest entry, and whether it is live. Raises IndexError when there is none."""
        data, live = self._entries.popleft()
        if live:
            self._live_frames -= 1
            self._live_bytes -= len(data)
        return data, live

    def take_all(
        self, max_bytes: int | None = None, max_entries: int | None = None
    ) -> list[tuple[DataT, bool]]:
        """The oldest entries, at least one if there is any, together of at most `max_bytes`."""
        taken: list[tuple[DataT, bool]] = []
        size = 0
        while self._entries and (max_entries is None or len(taken) < max_entries):
            size += len(self._entries[0][0])
            if taken and max_bytes is not None and size > max_bytes:
                break
            taken.append(self.take())
        return taken

    def put_back(self, entries: Iterable[tuple[DataT, bool]]) -> None:
        """Return what was taken but could not be written; it comes first again, in its order."""
        for data, live in reversed(list(entries)):
            self._entries.appendleft((data, live))
            if live:
                self._live_frames += 1
                self._live_bytes += len(data)

    def clear(self) -> None:
        """Forget everything: the client is gone."""
        self._entries.clear()
        self._live_frames = self._live_bytes = 0
