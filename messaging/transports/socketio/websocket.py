"""The WebSocket under an Engine.IO connection: how a polling client comes over to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from messaging.transports.line import Line

PROBE_SECONDS = 10.0
"""How long an upgrade may take."""


async def probed(line: Line, answered: Callable[[], None]) -> bool:
    """Whether a polling client comes over: its probe, our answer, and then its UPGRADE packet."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            if await line.receive() != "2probe":
                return False
            line.send("3probe")
            answered()
            return await line.receive() == "5"
    except TimeoutError:
        return False
