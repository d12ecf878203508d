"""Garbage: when Python's collector may stop the process to look at all that there is.

To look at everything takes seconds where there are twenty thousand connections, and hardly ever finds
anything: connections leave no rings of references behind, and what is short-lived is found by looking at what
is new. So the collector looks at everything only while there is little of it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

MOST_CONNECTIONS = 500
"""With more, nobody looks at everything."""
EVERY_SECONDS = 60.0
_NEW_OBJECTS, _LOOKS_AT_NEW, _NEVER = 2_000, 20, 1_000_000_000


def begin(connections: Callable[[], int]) -> asyncio.Task[None]:
    """All that is there now stays, and is never looked at again; the rest is looked at now and then while
    there are few connections, until the task that this gives is cancelled."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _LOOKS_AT_NEW, _NEVER)
    return asyncio.create_task(_collect(connections), name="collect garbage")


async def _collect(connections: Callable[[], int]) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        if connections() <= MOST_CONNECTIONS:
            gc.collect()
