"""Upkeep: what one process does for all now and then, in small steps: going on with erasures, and removing
messages that are older than is wanted.

By leases of the store, so that another process goes on when this one dies.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable

from messaging.domain.events import Announcement
from messaging.service.context import Context
from messaging.service.erasing import erase_further
from messaging.service.retention import retain

UPKEEP_SECONDS = 1.0
"""How often there is a look whether there is something to do."""
_ERASING, _RETAINING = "erasing", "retention"
_LEASE_SECONDS = 30.0
_RETENTION_SECONDS = 3_600.0
"""How often old messages are looked for: who has done so keeps the lease until the next time."""
_REST_SECONDS = 0.01
"""Between two steps, so that those who wait for the store come first."""


class Upkeep:
    """One process's part in it. `publish` tells everybody what a step led to."""

    def __init__(self, ctx: Context, publish: Callable[[Iterable[Announcement]], None]) -> None:
        self._ctx = ctx
        self._publish = publish
        self._holder = secrets.token_hex(8)
        self._next_look = 0.0

    async def run(self) -> None:
        """Do all that there is to do, if no other process is at it."""
        if await self._ctx.store.erasures(limit=1):
            await self._erase()
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + _RETENTION_SECONDS / 10
            await self._retain()

    async def _erase(self) -> None:
        while await self._ctx.store.lease(_ERASING, self._holder, _LEASE_SECONDS):
            more, events = await erase_further(self._ctx)
            self._publish(events)
            if not more:
                await self._ctx.store.lease(_ERASING, self._holder, 0)
                return
            await asyncio.sleep(_REST_SECONDS)

    async def _retain(self) -> None:
        # In a holder's name of its own each time: who has the lease has to wait, too.
        if await self._ctx.store.lease(_RETAINING, secrets.token_hex(8), _RETENTION_SECONDS):
            async for events in retain(self._ctx):
                self._publish(events)
                await asyncio.sleep(_REST_SECONDS)
