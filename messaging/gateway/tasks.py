"""Tasks: whatever runs beside the sessions, owned by somebody and ended with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Tasks:
    """Keeps tasks alive while they run, and logs what goes wrong in them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside everything else; not at all once this is closed."""
        task = asyncio.create_task(work)
        if self._closed:
            task.cancel()
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self, seconds: float) -> None:
        """Let what runs finish for so long, then cancel it, and begin nothing more."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        self._closed = True
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task failed: %s", type(error).__name__, exc_info=error)
