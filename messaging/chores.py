"""Chores: what one process at a time does for all, a little at a time; another one goes on when it dies.

By leases of the store. Every such loop of the server is a `Chore`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from messaging.domain.errors import ClientError
from messaging.service.ports import Store

LEASE_SECONDS = 20.0
"""For how long a process has a chore for itself. One that dies is replaced then."""
ENOUGH_SECONDS = 12.0
"""With less than so much of it left, a lease is renewed before anything is done: no step may take longer."""
_LONGEST_REST_SECONDS = 30.0
"""How long to rest after a fault of our own."""

logger = logging.getLogger(__name__)


class Lost(Exception):
    """Another process may have the chore by now."""


class Chore:
    """A loop that carries out `work` while no other process has the chore called `name`.

    `work` does a little, and says after how many seconds to go on. For a rest that is longer than the lease,
    the lease is kept: nobody begins anew what was just done. `ask_seconds`: how often to ask for the lease
    while another process has it, and for the storage while it is away.
    """

    def __init__(
        self, store: Store, name: str, work: Callable[[], Awaitable[float]], *, ask_seconds: float
    ) -> None:
        self._store = store
        self._name = name
        self._work = work
        self._ask_seconds = ask_seconds
        self._holder = secrets.token_hex(8)
        self._held_until = 0.0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process has it, as far as it knows."""
        return self._held_until > _now()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """There is something to do: rest no longer."""
        self._news.set()

    async def close(self) -> None:
        """Stop, wherever it is, and let another process go on at once. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._give_back()

    async def hold(self) -> None:
        """Go on having it, for long enough to do something. Raises Lost."""
        if self._held_until - _now() > ENOUGH_SECONDS:
            return
        if not await self._lease(LEASE_SECONDS):
            raise Lost

    async def _lease(self, seconds: float) -> bool:
        before = _now()
        held = await self._store.lease(self._name, self._holder, seconds)
        self._held_until = before + seconds if held else 0.0
        return held

    async def _give_back(self) -> None:
        """Not a lease that was kept for a long rest."""
        if 0.0 < self._held_until - _now() <= LEASE_SECONDS:
            try:
                await self._lease(0.0)
            except ClientError as error:
                logger.info("the lease of %s was not given back: %s", self._name, error.message)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            pause = await self._turn()
            await self._rest(pause)

    async def _turn(self) -> float:
        try:
            await self.hold()
            pause = await self._work()
            if pause > LEASE_SECONDS:
                await self._lease(pause + LEASE_SECONDS)
        except Lost:
            return self._ask_seconds
        except ClientError as error:
            logger.warning("%s has to wait: %s", self._name, error.message)
            return self._ask_seconds
        except Exception:
            logger.exception("%s failed", self._name)
            return _LONGEST_REST_SECONDS
        return pause

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass


def _now() -> float:
    return asyncio.get_running_loop().time()
