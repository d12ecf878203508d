"""Draining: all are sent away, each in a moment when nothing of theirs is under way, and not all at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from itertools import islice

from messaging.gateway.farewell import SHUTDOWN
from messaging.gateway.session import Session

SPREAD_SECONDS = 1.5
"""Over how long the closing of many is spread: they come back together."""
LOOK_SECONDS = 0.02


async def send_away(sessions: Iterable[Session], seconds: float) -> None:
    """Close them all. Who has commands under way for longer than `seconds` is closed all the same."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    left = list(sessions)
    share = math.ceil(len(left) * LOOK_SECONDS / SPREAD_SECONDS)
    while left and loop.time() < end:
        closing = dict.fromkeys(islice((session for session in left if not session.busy), share))
        for session in closing:
            session.close(SHUTDOWN)
        left = [session for session in left if session not in closing]
        # Looking at all sessions now and then costs less than an event in each of them.
        await asyncio.sleep(LOOK_SECONDS)
    for session in left:
        session.close(SHUTDOWN)
