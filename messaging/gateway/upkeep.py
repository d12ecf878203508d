"""Upkeep: what one process does for all now and then, in small steps: going on with erasures, and removing
messages that are older than is wanted. Each is a chore of its own, so neither waits for the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from messaging.domain.errors import ClientError
from messaging.domain.events import Announcement
from messaging.domain.forgetting import Erasure
from messaging.service.context import Context
from messaging.service.erasing import erase
from messaging.service.ports_uploads import Files
from messaging.service.retention import retain

LOOK_SECONDS = 1.0
"""How often there is a look whether somebody is to be erased."""
RETENTION_SECONDS = 3_600.0
"""How often old messages are looked for."""
_REST_SECONDS = 0.01
"""Between two steps, so that those who wait for the store come first."""
_ERASURES_AT_ONCE = 8
"""How many users are erased together, a step of each in turn: nobody waits for who wrote very much."""
_FAULT_SECONDS = 60.0
"""How long an erasure rests in which something went wrong that should not."""

Publish = Callable[[Iterable[Announcement]], None]
"""Tells everybody what a step led to."""
Steps = AsyncIterator[Sequence[Announcement]]

logger = logging.getLogger(__name__)


class Erasing:
    """The erasures that are under way in this process."""

    def __init__(self, ctx: Context, files: Files, publish: Publish) -> None:
        self._ctx = ctx
        self._files = files
        self._publish = publish
        self._under_way: dict[tuple[str, int], Steps] = {}
        self._resting: dict[str, float] = {}

    async def work(self) -> float:
        """One step of each; after how many seconds to go on."""
        now = asyncio.get_running_loop().time()
        self._resting = {user: until for user, until in self._resting.items() if until > now}
        found = await self._ctx.store.erasures(limit=_ERASURES_AT_ONCE)
        due = {(each.user_id, each.round): each for each in found if each.user_id not in self._resting}
        self._under_way = {key: steps for key, steps in self._under_way.items() if key in due}
        for key, erasure in due.items():
            await self._step(key, erasure)
        return _REST_SECONDS if due else LOOK_SECONDS

    async def _step(self, key: tuple[str, int], erasure: Erasure) -> None:
        steps = self._under_way.get(key)
        if steps is None:
            steps = self._under_way[key] = erase(self._ctx, self._files, erasure)
        try:
            self._publish(await anext(steps))
        except StopAsyncIteration:
            del self._under_way[key]
        except ClientError:
            del self._under_way[key]  # it goes on from the place that was kept
            raise
        except Exception:
            logger.exception("an erasure failed, and is tried again later")
            del self._under_way[key]
            self._resting[erasure.user_id] = asyncio.get_running_loop().time() + _FAULT_SECONDS


class Retaining:
    """Going through all conversations for what is too old."""

    def __init__(self, ctx: Context, publish: Publish) -> None:
        self._ctx = ctx
        self._publish = publish
        self._place = ""
        self._steps: AsyncIterator[tuple[str, Sequence[Announcement]]] | None = None

    async def work(self) -> float:
        """One step; after how many seconds to go on. What breaks off goes on where it was."""
        if self._steps is None:
            self._steps = retain(self._ctx, after=self._place)
        steps, self._steps = self._steps, None
        try:
            self._place, events = await anext(steps)
        except StopAsyncIteration:
            self._place = ""
            return RETENTION_SECONDS
        self._steps = steps
        self._publish(events)
        return _REST_SECONDS
