"""Paced: small things that are due after a while, done in their order and a few in one turn of the loop.

When twenty thousand clients go at once, all that follows is due at once, too; and whoever is still there has
to be answered meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable

AT_ONCE = 50
"""How many are done in one turn."""


def look_at_new() -> None:
    """Have the garbage collector look at what is new: for each few of very many that go.

    It comes by itself when so many more objects were made than have gone. Where many go, both are many: it
    would come late, and look at hundreds of thousands in one turn of the loop, for a tenth of a second.
    """
    gc.collect(0)


class Errand:
    """One thing that is due later."""

    __slots__ = ("due", "work")

    def __init__(self, due: float, work: Callable[[], None]) -> None:
        self.due = due
        """By the loop's clock."""
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        """It is not to be done any more. Idempotent."""
        self.work = None


class Paced:
    """Does each errand `seconds` after it was given, or as soon after that as its turn comes.

    Those that are due within `together` seconds after the last ones were done are done with each other: what
    they ask for then goes into one question.
    """

    def __init__(self, seconds: float, *, together: float = 0.0) -> None:
        self._seconds = seconds
        self._together = together
        self._resting_until = 0.0
        self._errands: deque[Errand] = deque()
        self._timer: asyncio.Handle | None = None

    def add(self, work: Callable[[], None]) -> Errand:
        """Something to be done; it must not raise."""
        loop = asyncio.get_running_loop()
        errand = Errand(loop.time() + self._seconds, work)
        self._errands.append(errand)
        if self._timer is None:
            self._timer = loop.call_at(max(errand.due, self._resting_until), self._run)
        return errand

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        now, done = loop.time(), 0
        while self._errands and done < AT_ONCE and self._errands[0].due <= now:
            work = self._errands.popleft().work
            if work is not None:
                done += 1
                work()
        self._resting_until = now + self._together
        if not self._errands:
            self._timer = None
        elif done == AT_ONCE:
            look_at_new()
            self._timer = loop.call_soon(self._run)
        else:
            self._timer = loop.call_at(max(self._errands[0].due, self._resting_until), self._run)
