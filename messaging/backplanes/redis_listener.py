"""The half of the Redis bus that hears: one connection with all channels, for as long as it is open.

Reconnects within a second, subscribes everything again, and notices a connection that is only silent by
asking for a sign of life. Knows channels and bytes, no events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from messaging.backplanes.redis_line import Address, chunks, connect, drop

SILENCE_SECONDS = 1.5
"""After so long without a word Redis is asked for one, and after as long again given up."""
WRITE_SECONDS = 2.0
BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
SUBSCRIBE_AT_MOST_SECONDS = 0.1
CHANNELS_PER_COMMAND = 500

log = logging.getLogger(__name__)


class Listener:
    """Hears channels; `hear(channel, data)` is called for each message. Must be closed."""

    def __init__(self, address: Address, hear: Callable[[bytes, bytes], None]) -> None:
        self._connection = address.connection()
        self._hear = hear
        self._wanted: set[bytes] = set()
        self._subscribed: set[bytes] = set()  # or asked for, on this connection
        self._heard: set[bytes] = set()  # confirmed
        self._changed: dict[bytes, None] = {}  # in the order of the changes
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._last_word = 0.0
        self._failures = 0  # since a channel was heard
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name="redis-listener")

    async def close(self) -> None:
        """Stop at once. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await drop(self._connection)

    def subscribe(self, channel: bytes) -> asyncio.Future[None]:
        """Hear a channel; the result is done when it is heard, or after 100 ms."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._wanted.add(channel)
        self._changed[channel] = None
        self._wake.set()
        if channel in self._heard and channel in self._subscribed:
            done.set_result(None)
        else:
            self._waiting.setdefault(channel, []).append(done)
            loop.call_later(SUBSCRIBE_AT_MOST_SECONDS, self._confirm, channel, done)
        return done

    def unsubscribe(self, channel: bytes) -> None:
        """No longer hear a channel."""
        self._wanted.discard(channel)
        self._changed[channel] = None
        self._wake.set()

    def _confirm(self, channel: bytes, *only: asyncio.Future[None]) -> None:
        """Tell those who wait for the channel; or one of them, whose time is over."""
        waiting = self._waiting.pop(channel, [])
        for done in only or waiting:
            if not done.done():
                done.set_result(None)
        if rest := [done for done in waiting if not done.done()]:
            self._waiting[channel] = rest

    async def _run(self) -> None:
        while True:
            try:
                await self._connect()
                await self._listen()
            except* (RedisError, OSError, TimeoutError) as errors:
                if self._failures == 0:
                    log.warning("Redis is not heard: %r", errors.exceptions[0])
            await drop(self._connection)
            await asyncio.sleep(BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)])
            self._failures += 1

    async def _connect(self) -> None:
        self._heard.clear()
        await connect(self._connection)
        self._subscribed.clear()
        self._changed = dict.fromkeys(self._wanted)
        self._wake.set()

    async def _listen(self) -> None:
        """Read, write and watch until one of them fails."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._write())
            group.create_task(self._watch())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            word: Any = await self._connection.read_response()
            self._last_word = loop.time()
            if word[0] == b"message":
                self._hear(word[1], word[2])
            elif word[0] == b"subscribe":
                self._failures = 0
                self._heard.add(word[1])
                self._confirm(word[1])
            elif word[0] == b"unsubscribe":
                self._heard.discard(word[1])

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            more = [name for name in changed if name in self._wanted and name not in self._subscribed]
            less = [name for name in changed if name in self._subscribed and name not in self._wanted]
            self._subscribed.update(more)
            self._subscribed.difference_update(less)
            await self._say("SUBSCRIBE", more)
            await self._say("UNSUBSCRIBE", less)

    async def _say(self, command: str, channels: list[bytes]) -> None:
        for some in chunks(channels, CHANNELS_PER_COMMAND):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._connection.send_command(command, *some)

    async def _watch(self) -> None:
        """Ask for a sign of life in silence; TimeoutError when there is none."""
        loop = asyncio.get_running_loop()
        self._last_word = loop.time()
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            asked = loop.time()
            if asked - self._last_word < SILENCE_SECONDS:
                continue
            async with asyncio.timeout(WRITE_SECONDS):
                await self._connection.send_command("PING")
            await asyncio.sleep(SILENCE_SECONDS)
            if self._last_word < asked:
                raise TimeoutError("no sign of life")
