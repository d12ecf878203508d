"""Who has blocked whom, as sending needs it: of three seconds ago at most, or as an event told since."""

from __future__ import annotations

from messaging.domain.events import BlocksChanged
from messaging.service.ports import Store
from messaging.service.recent import Recent

BLOCK_SECONDS = 3.0


class KnownBlocks:
    """Whether two users have to do with one another: asked for every direct message, so it is remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._between: Recent[frozenset[str], bool] = Recent(50_000, BLOCK_SECONDS)

    async def between(self, one: str, other: str) -> bool:
        """Whether either of the two has blocked the other."""
        pair = frozenset((one, other))
        known = self._between.get(pair)
        if known is None:
            age = self._between.age
            known = await self._store.blocked_between(one, other)
            if age == self._between.age:
                self._between.put(pair, known)
        return known

    def at_hand(self, one: str, other: str) -> bool | None:
        """The same, where it was looked up a moment ago."""
        return self._between.get(frozenset((one, other)))

    def note(self, event: BlocksChanged) -> None:
        """Forget what an event says is no longer so."""
        self._between.forget(frozenset((event.user_id, event.other_id)))
