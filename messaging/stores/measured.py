"""A store with a clock beside it: how long each operation took, and whether it was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from messaging.service.ports import Store

Observe = Callable[[str, float, bool], None]
"""Takes an operation's name, its seconds, and whether it was done."""


def measured(store: Store, observe: Observe) -> Store:
    """The same store; `observe` hears of every operation."""
    return cast(Store, _Measured(store, observe))


class _Measured:
    def __init__(self, store: Store, observe: Observe) -> None:
        self._store = store
        self._observe = observe

    @property
    def appends_together(self) -> int:
        """As Store.appends_together."""
        return self._store.appends_together

    def __getattr__(self, operation: str) -> Any:
        method, observe = getattr(self._store, operation), self._observe

        async def timed(*args: Any, **kwargs: Any) -> Any:
            started, done = time.perf_counter(), False
            try:
                result = await method(*args, **kwargs)
                done = True
                return result
            finally:
                observe(operation, time.perf_counter() - started, done)

        setattr(self, operation, timed)  # found directly from now on
        return timed
