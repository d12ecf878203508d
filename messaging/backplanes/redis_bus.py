"""The Redis bus: a channel per topic, and events as bytes on it.

What is published says which process it came from, so that this process can leave out its own. It hears on
one connection (redis_listener) and speaks on another (redis_line).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

from messaging.backplanes.codec import decode, encode
from messaging.backplanes.redis_line import Address, Away, Line
from messaging.backplanes.redis_listener import Listener
from messaging.domain.errors import Unavailable
from messaging.domain.events import EVERYBODY, Announcement, topic_of

CHECK_SECONDS = 1.0
PUBLISH_PATIENCE_SECONDS = 1.0
PROCESS_BYTES = 12

log = logging.getLogger(__name__)


class RedisBus:
    """A Bus over Redis pub/sub. `prefix` keeps services apart that share a Redis."""

    def __init__(self, address: Address, *, prefix: str = "messaging:") -> None:
        self._prefix = prefix
        self._process = secrets.token_hex(PROCESS_BYTES // 2).encode()
        self._line = Line(address, patience=PUBLISH_PATIENCE_SECONDS)
        self._listener = Listener(address, self._hear)
        self._own_channel = self._channel(f"process:{self._process.decode()}")
        self._nonces: dict[bytes, asyncio.Future[None]] = {}
        self._deliver: Callable[[Announcement], None] | None = None
        self._unsendable = 0

    @property
    def dropped(self) -> int:
        """How many events could not be announced so far."""
        return self._line.lost + self._unsendable

    async def start(self, deliver: Callable[[Announcement], None]) -> None:
        """As Bus.start; returns when the bus hears, or after 100 ms all the same."""
        self._deliver = deliver
        self._listener.start()
        await asyncio.gather(self.subscribe(EVERYBODY), self._listener.subscribe(self._own_channel))

    async def close(self) -> None:
        """As Bus.close."""
        self._deliver = None
        await asyncio.gather(self._listener.close(), self._line.close())

    def publish(self, events: Sequence[Announcement]) -> None:
        """As Bus.publish. What cannot be said now is dropped and counted."""
        for event in events:
            try:
                data = encode(event)
            except TypeError:
                # Nothing that was stored is of this kind; an event that is must not stop the others.
                self._unsendable += 1
                log.exception("an event could not be announced")
            else:
                self._line.post("PUBLISH", self._channel(topic_of(event)), self._process + data)

    def subscribe(self, topic: str) -> Awaitable[None]:
        """As Bus.subscribe."""
        return self._listener.subscribe(self._channel(topic))

    def unsubscribe(self, topic: str) -> None:
        """As Bus.unsubscribe."""
        if topic != EVERYBODY:
            self._listener.unsubscribe(self._channel(topic))

    async def check(self) -> None:
        """As Bus.check: the way out and the way back."""
        nonce = secrets.token_bytes(8)
        back = self._nonces[nonce] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._line.ask("PUBLISH", self._own_channel, nonce)
                await back
        except (Away, TimeoutError):
            raise Unavailable from None
        finally:
            del self._nonces[nonce]

    def _channel(self, topic: str) -> bytes:
        return f"{self._prefix}{topic}".encode()

    def _hear(self, channel: bytes, data: bytes) -> None:
        if channel == self._own_channel:
            self._hear_nonce(data)
        elif not data.startswith(self._process):
            self._hear_event(data[PROCESS_BYTES:])

    def _hear_nonce(self, nonce: bytes) -> None:
        back = self._nonces.get(nonce)
        if back is not None and not back.done():
            back.set_result(None)

    def _hear_event(self, data: bytes) -> None:
        event = decode(data)
        if event is None or self._deliver is None:
            return
        try:
            self._deliver(event)
        except Exception:
            # A bug in what hears must not make the process deaf.
            log.exception("an event could not be delivered")
