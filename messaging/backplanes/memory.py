"""The backplane of a single process: nothing to tell, and presence and limits counted here.

Several that share an `Exchange` behave as processes would; that is how the tests hold Redis and memory to
the same words.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice

from messaging.backplanes.budgets import LocalLimits
from messaging.domain.events import EVERYBODY, Announcement, topic_of

log = logging.getLogger(__name__)


class Exchange:
    """What backplanes in memory that belong together share: who listens, who is where, what was counted."""

    def __init__(self, rules: Mapping[str, str] | None = None) -> None:
        self.limits = LocalLimits(rules or {})
        self.capacity = LocalCapacity()
        self.buses: list[MemoryBus] = []
        self.mail: dict[str, MemoryMail] = {}
        self.places: dict[str, dict[str, set[MemoryPresence]]] = {}


class MemoryBus:
    """A Bus between the loops' callbacks of one process."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._topics = {EVERYBODY}
        self._deliver: Callable[[Announcement], None] | None = None

    async def start(self, deliver: Callable[[Announcement], None]) -> None:
        """As Bus.start."""
        self._deliver = deliver
        self._exchange.buses.append(self)

    async def close(self) -> None:
        """As Bus.close."""
        self._deliver = None
        if self in self._exchange.buses:
            self._exchange.buses.remove(self)

    def publish(self, events: Sequence[Announcement]) -> None:
        """As Bus.publish."""
        for bus in self._exchange.buses:
            if bus is not self:
                # Not at once: the publisher is in the middle of something, and a network would take its time.
                asyncio.get_running_loop().call_soon(bus.hear, tuple(events))

    def hear(self, events: Sequence[Announcement]) -> None:
        """Deliver those of another bus's events that were subscribed to."""
        for event in events:
            if self._deliver is None or topic_of(event) not in self._topics:
                continue
            try:
                self._deliver(event)
            except Exception:
                log.exception("an event could not be delivered")

    def subscribe(self, topic: str) -> Awaitable[None]:
        """As Bus.subscribe."""
        self._topics.add(topic)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unsubscribe(self, topic: str) -> None:
        """As Bus.unsubscribe."""
        if topic != EVERYBODY:
            self._topics.discard(topic)

    async def check(self) -> None:
        """As Bus.check; there is nothing in between that could be away."""


class LocalCapacity:
    """A Capacity of one process, or of several that share it."""

    def __init__(self) -> None:
        self.held: Counter[tuple[str, str]] = Counter()

    async def take(self, kind: str, key: str, limit: int) -> bool:
        """As Capacity.take."""
        if self.held[kind, key] >= limit:
            return False
        self.held[kind, key] += 1
        return True

    def give_back(self, kind: str, key: str) -> None:
        """As Capacity.give_back."""
        self.held[kind, key] -= 1
        if self.held[kind, key] <= 0:
            del self.held[kind, key]


class MemoryMail:
    """A Mail between those that share an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.name = secrets.token_hex(6)
        self._others = exchange.mail
        self._hear: Callable[[bytes], None] | None = None

    async def start(self, hear: Callable[[bytes], None]) -> None:
        """As Mail.start."""
        self._hear = hear
        self._others[self.name] = self

    async def send(self, to: str, letter: bytes) -> bool:
        """As Mail.send."""
        self.post(to, letter)
        return to in self._others

    def post(self, to: str, letter: bytes) -> None:
        """As Mail.post."""
        if to in self._others:
            asyncio.get_running_loop().call_soon(self._others[to].get, letter)

    def get(self, letter: bytes) -> None:
        """Take a letter that another process sent."""
        if self._hear is not None:
            self._hear(letter)

    async def close(self) -> None:
        """As Mail.close."""
        self._hear = None
        self._others.pop(self.name, None)


class MemoryPresence:
    """A Presence over those that share its exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._places = exchange.places

    async def start(self, lost: Callable[[str, str], None]) -> None:
        """As Presence.start; nobody is ever lost, since all of them die together."""

    async def close(self) -> None:
        """As Presence.close."""
        everything = [(place, user) for place, users in self._places.items() for user in users]
        for place, user in everything:
            await self.leave(place, user)

    async def enter(self, place: str, user_id: str) -> bool:
        """As Presence.enter."""
        here = self._places.setdefault(place, {}).setdefault(user_id, set())
        nowhere = not here
        here.add(self)
        return nowhere

    async def leave(self, place: str, user_id: str) -> bool:
        """As Presence.leave."""
        users = self._places.get(place, {})
        here = users.get(user_id, set())
        here.discard(self)
        if not here:
            users.pop(user_id, None)
        if not users:
            self._places.pop(place, None)
        return not here

    async def among(self, place: str, user_ids: Collection[str]) -> frozenset[str]:
        """As Presence.among."""
        return frozenset(user_ids) & self._places.get(place, {}).keys()

    async def everybody(self, place: str, *, limit: int) -> Sequence[str]:
        """As Presence.everybody."""
        return list(islice(self._places.get(place, {}), limit))
