"""Mail over Redis: a channel for each process, on connections of their own, so that a large letter delays
nothing that is said on the bus."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from messaging.backplanes.redis_line import Address, Away, Line
from messaging.backplanes.redis_listener import Listener
from messaging.domain.errors import Unavailable

PATIENCE_SECONDS = 1.0
NAME_BYTES = 6

log = logging.getLogger(__name__)


class RedisMail:
    """A Mail over Redis pub/sub. `prefix` keeps services apart that share a Redis."""

    def __init__(self, address: Address, *, prefix: str = "messaging:") -> None:
        self.name = secrets.token_hex(NAME_BYTES)
        self._prefix = prefix
        self._line = Line(address, patience=PATIENCE_SECONDS)
        self._listener = Listener(address, self._take)
        self._hear: Callable[[bytes], None] | None = None

    async def start(self, hear: Callable[[bytes], None]) -> None:
        """As Mail.start; returns when letters come, or after 100 ms all the same."""
        self._hear = hear
        self._listener.start()
        await self._listener.subscribe(self._channel(self.name))

    async def send(self, to: str, letter: bytes) -> bool:
        """As Mail.send."""
        try:
            readers: int = await self._line.ask("PUBLISH", self._channel(to), letter)
        except Away:
            raise Unavailable from None
        return readers > 0

    def post(self, to: str, letter: bytes) -> None:
        """As Mail.post."""
        self._line.post("PUBLISH", self._channel(to), letter)

    async def close(self) -> None:
        """As Mail.close."""
        self._hear = None
        await self._listener.close()
        await self._line.close()

    def _channel(self, name: str) -> bytes:
        return f"{self._prefix}mail:{name}".encode()

    def _take(self, channel: bytes, letter: bytes) -> None:
        del channel
        if self._hear is None:
            return
        try:
            self._hear(letter)
        except Exception:
            # A bug in what hears must not stop the mail.
            log.exception("a letter could not be read")
