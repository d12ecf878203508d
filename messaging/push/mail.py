"""Mail: brings letters to push services, several at once, each tried a few times; never more than a bound.

One slow push service, or one user whose addresses answer slowly on purpose, holds up nobody else
(`letters.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from messaging.domain.pushing import Subscription
from messaging.outgoing.client import Outgoing, OutgoingFailed, OutgoingRefused
from messaging.push.keys import VapidKey
from messaging.push.letters import Letter, Letters

MAX_LETTERS = 5_000
"""How many letters may wait; when there are more, the oldest of who has most of them are thrown away."""
SENDERS = 16
"""How many are under way at a time."""
ATTEMPTS = 3
_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
_LIFE_SECONDS = 24 * 3600
"""How long a push service keeps what it cannot deliver yet."""
_GONE = frozenset({404, 410})

logger = logging.getLogger(__name__)


Observe = Callable[[str], None]
"""Takes what became of a letter: `sent`, `gone`, `refused`, `failed` or `dropped`."""


class Mail:
    """Letters on their way. Must be closed."""

    def __init__(
        self,
        out: Outgoing,
        key: VapidKey,
        *,
        gone: Callable[[Subscription], Awaitable[None]],
        observe: Observe,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._out = out
        self._key = key
        self._gone = gone
        self._observe = observe
        self._pause_seconds = pause_seconds
        self._letters = Letters()
        self._later: set[asyncio.TimerHandle] = set()
        self._news = asyncio.Event()
        self._senders: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._senders = [asyncio.create_task(self._send_all(), name="push") for _ in range(SENDERS)]

    async def close(self) -> None:
        """Stop. What has not been brought by now is lost. Idempotent."""
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        for task in self._senders:
            task.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        self._senders = []
        await self._out.close()

    def post(self, letter: Letter) -> None:
        """Bring this letter, soon."""
        if len(self._letters) >= MAX_LETTERS:
            self._letters.drop()
            self._observe("dropped")
        self._letters.put(letter)
        self._news.set()

    async def _send_all(self) -> None:
        while True:
            letter = self._letters.take()
            if letter is None:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                await self._send(letter)
            except Exception:
                logger.exception("a push failed")
                self._observe("failed")
            finally:
                self._letters.done(letter)
                if self._letters:
                    self._news.set()

    async def _send(self, letter: Letter) -> None:
        try:
            body = await asyncio.to_thread(encrypted, letter.to, letter.payload)
            answer = await self._out.post(letter.to.endpoint, body, self._headers(letter))
        except OutgoingRefused:
            self._observe("refused")  # a name that leads inside by now
            return
        except OutgoingFailed:
            self._again(letter, None)
            return
        if 200 <= answer.status < 300:
            self._observe("sent")
        elif answer.status in _GONE:
            self._observe("gone")
            await self._gone(letter.to)
        elif answer.status == 429 or answer.status >= 500:
            self._again(letter, answer.headers.get("Retry-After"))
        else:
            self._observe("failed")
            logger.warning("a push service refused a push with status %d", answer.status)

    def _headers(self, letter: Letter) -> dict[str, str]:
        return {
            "Authorization": self._key.authorization(letter.to.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(_LIFE_SECONDS),
            "Topic": letter.topic,
            "Urgency": "high",
        }

    def _again(self, letter: Letter, retry_after: str | None) -> None:
        if letter.attempt >= ATTEMPTS or len(self._later) >= MAX_LETTERS:
            self._observe("failed")
            return
        wait = self._pause_seconds * 4 ** (letter.attempt - 1)
        if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
            wait = max(wait, float(retry_after[:6]))
        next_try = Letter(
            to=letter.to, payload=letter.payload, topic=letter.topic, attempt=letter.attempt + 1
        )
        loop = asyncio.get_running_loop()

        def post() -> None:
            self._later.discard(timer)
            self.post(next_try)

        timer = loop.call_later(min(wait, _LONGEST_PAUSE_SECONDS), post)
        self._later.add(timer)


def encrypted(to: Subscription, payload: bytes) -> bytes:
    """The payload for this browser's eyes only (RFC 8291, aes128gcm). Takes a millisecond."""
    from pywebpush import WebPusher

    keys = {"p256dh": to.p256dh, "auth": to.auth}
    return bytes(WebPusher({"endpoint": to.endpoint, "keys": keys}).encode(payload)["body"])
