"""Carrying through: what has to come to its end even if nobody waits for it any more.

Whoever asks a database has a limit of time, or ends with the process. A write that is cancelled has an
unknown outcome. And on Python 3.11, a PyMongo that is cancelled while it looks for a server may never find
one again: what `asyncio.wait_for` leaves behind takes the lock of its topology for nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from messaging.domain.errors import ClientError

R = TypeVar("R")

logger = logging.getLogger(__name__)

_carried: Final[set[asyncio.Task[Any]]] = set()
"""So that none is collected."""


async def carried_through(work: Coroutine[Any, Any, R]) -> R:
    """What it gives, or raises. It goes on even if whoever waits for it is cancelled; what it raises then is
    logged, unless it is a ClientError."""
    task = asyncio.create_task(work)
    _carried.add(task)
    task.add_done_callback(_carried.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_look_at)
        raise


def _look_at(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ClientError):
        logger.error("what nobody waited for any more has failed", exc_info=error)
