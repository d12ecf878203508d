"""Wheel: what is due once for each of very many, by one timer for all of them.

Nobody is due early by more than a step of the loop's clock, nor more than `RESOLUTION_SECONDS` late while the
loop has time; few are done in one turn of it. A timer for each takes half a KiB, and where all go at once,
all are cancelled at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from heapq import heappop, heappush
from typing import Protocol

from messaging.gateway.paced import AT_ONCE

RESOLUTION_SECONDS = 0.02
NOWHERE = -1
_CLOCK_SECONDS = 0.001
"""The loop's clock goes by steps of this."""

log = logging.getLogger(__name__)


class Timed(Protocol):
    """Something that is due once, until it is put on the wheel again."""

    slot: int
    """Where it is on the wheel, NOWHERE at first. The wheel's own."""

    def due(self) -> None:
        """Its time has come."""


class Wheel:
    """Who is due when, to the nearest slot behind it. Pure: the time is passed in."""

    def __init__(self, resolution: float = RESOLUTION_SECONDS) -> None:
        self._resolution = resolution
        self._slots: dict[int, set[Timed]] = {}
        self._order: list[int] = []  # a heap of the slots that there are, empty ones among them

    def put(self, item: Timed, at: float) -> None:
        """It is due then, and no longer when it was to be before."""
        self.drop(item)
        item.slot = slot = math.ceil(at / self._resolution)
        if slot not in self._slots:
            self._slots[slot] = set()
            heappush(self._order, slot)
        self._slots[slot].add(item)

    def drop(self, item: Timed) -> None:
        """It is not due any more. Idempotent."""
        if item.slot != NOWHERE:
            self._slots[item.slot].discard(item)
            item.slot = NOWHERE

    @property
    def next(self) -> float | None:
        """When somebody may be due; None while there is nobody."""
        return self._order[0] * self._resolution if self._order else None

    def take(self, now: float, most: int) -> list[Timed]:
        """So many of those who are due by now. They are no longer on the wheel."""
        taken: list[Timed] = []
        while self._order and self._order[0] * self._resolution <= now:
            slot = self._slots[self._order[0]]
            while slot and len(taken) < most:
                item = slot.pop()
                item.slot = NOWHERE
                taken.append(item)
            if slot:
                break
            del self._slots[heappop(self._order)]
        return taken


class Deadlines:
    """A wheel that the loop turns."""

    def __init__(self) -> None:
        self._wheel = Wheel()
        self._timer: asyncio.Handle | None = None
        self._wakes_at = math.inf

    def put(self, item: Timed, seconds: float) -> None:
        """It is due in so many seconds, and no longer when it was to be before."""
        loop = asyncio.get_running_loop()
        self._wheel.put(item, loop.time() + seconds)
        self._wind(loop)

    def drop(self, item: Timed) -> None:
        """It is not due any more. Idempotent."""
        self._wheel.drop(item)

    def _wind(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._wheel.next
        if at is not None and at < self._wakes_at:
            if self._timer is not None:
                self._timer.cancel()
            self._wakes_at = at
            self._timer = loop.call_at(at, self._turn)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, self._wakes_at = None, math.inf
        for item in self._wheel.take(loop.time() + _CLOCK_SECONDS, AT_ONCE):
            try:
                item.due()
            except Exception:  # the others have their time, too
                log.exception("what was due failed")
        self._wind(loop)
