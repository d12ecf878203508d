"""The pulse of this process: how late its loop is, and how long the bus takes. It only looks and tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from messaging.domain.errors import Unavailable
from messaging.service.ports import Bus

LOOP_SECONDS = 0.5
BUS_SECONDS = 5.0


async def watch_loop(tell: Callable[[float], None]) -> None:
    """Tell again and again how much later than it was due this goes on. Until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_SECONDS
        await asyncio.sleep(LOOP_SECONDS)
        tell(max(0.0, loop.time() - due))


async def watch_bus(bus: Bus, tell: Callable[[float | None], None]) -> None:
    """Tell again and again how long a message to oneself takes; None for one that does not come back."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(BUS_SECONDS)
        started = loop.time()
        try:
            await bus.check()
        except Unavailable:
            tell(None)
        else:
            tell(loop.time() - started)
