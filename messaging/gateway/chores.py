"""Chores: what one process at a time does for all, a little now and then."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from messaging.domain.errors import ClientError
from messaging.service.ports import Store

_HELD_ROUNDS = 3
"""For how many pauses a process has a chore for itself. One that dies is replaced then."""

logger = logging.getLogger(__name__)


class Chore:
    """Does `work` every `seconds`, while no other process has the chore called `name`; at once again while
    `work` says that there is more to do."""

    def __init__(self, store: Store, name: str, seconds: float, work: Callable[[], Awaitable[bool]]) -> None:
        self._store = store
        self._name = name
        self._seconds = seconds
        self._work = work
        self._holder = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, after the first pause."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Stop, wherever it is. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        more = False
        while True:
            await asyncio.sleep(0 if more else self._seconds)
            try:
                more = await self.do()
            except ClientError as error:
                more = False
                logger.warning("%s has to wait: %s", self._name, error.message)
            except Exception:
                more = False
                logger.exception("%s failed", self._name)

    async def do(self) -> bool:
        """Do a little now, if the chore is to be had; whether there is more to do."""
        held = await self._store.lease(self._name, self._holder, _HELD_ROUNDS * self._seconds)
        return held and await self._work()
