"""Sign-in: a session's token, and what happens when it ends.

An expired session is told AUTH_FAILED and has 30 seconds for a new token of the same user. What it would
have heard meanwhile is held, and delivered when it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from messaging.domain.errors import AuthFailed
from messaging.domain.models import Identity
from messaging.service.ports import Clock

RENEWAL_SECONDS = 30.0
"""How long an expired session waits for a new token."""
MAX_HELD_CHARACTERS = 1 << 20
"""How much is held for an expired session before it is closed as too slow."""
_LONGEST_TIMER_SECONDS = 86_400.0

EXPIRED = "Your token has expired; authenticate with a new one."


class SignIn:
    """Whether a session is signed in, and what it missed while it was not.

    `expired` is called when the token ends, `lapsed` when no other came in time, `overflowed` when too much
    would have to be held.
    """

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        *,
        expired: Callable[[], None],
        lapsed: Callable[[], None],
        overflowed: Callable[[], None],
    ) -> None:
        self.identity = identity
        self._clock = clock
        self._expired = expired
        self._lapsed = lapsed
        self._overflowed = overflowed
        self._held: list[str] | None = None
        self._held_characters = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Whether the token has ended and there is no new one yet."""
        return self._held is not None

    def is_good(self, now: datetime) -> bool:
        """Whether the token has not ended; where this says no, `check` says why."""
        ends = self.identity.expires_at
        return self._held is None and (ends is None or now < ends)

    def arm(self) -> None:
        """Notice the token's end by itself from now on."""
        if self.identity.expires_at is not None:
            wait = min(max(0.0, self._seconds_left()), _LONGEST_TIMER_SECONDS)
            self._set_timer(wait, self._due)

    def check(self) -> None:
        """AuthFailed when the token has ended."""
        if self._held is None and self._seconds_left() <= 0:
            self._expire()
        if self._held is not None:
            raise AuthFailed(EXPIRED)

    def hold(self, text: str) -> None:
        """Keep what an expired session would have been told."""
        if self._held is None:
            return
        self._held.append(text)
        self._held_characters += len(text)
        if self._held_characters > MAX_HELD_CHARACTERS:
            self._overflowed()

    def renew(self, identity: Identity) -> list[str]:
        """Go on with a new token; what was held meanwhile."""
        self.identity = identity
        held, self._held = self._held or [], None
        self.close()
        self.arm()
        return held

    def end(self) -> None:
        """The session is gone: call nobody any more."""
        self.close()
        self._expired = self._lapsed = self._overflowed = _nothing

    def close(self) -> None:
        """Notice nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _seconds_left(self) -> float:
        if self.identity.expires_at is None:
            return _LONGEST_TIMER_SECONDS
        return (self.identity.expires_at - self._clock()) / timedelta(seconds=1)

    def _due(self) -> None:
        if self._seconds_left() > 0:
            self.arm()  # the timer was shorter than the token's life, or the clock was set back
        elif self._held is None:
            self._expire()

    def _expire(self) -> None:
        self._held, self._held_characters = [], 0
        self._expired()
        self._set_timer(RENEWAL_SECONDS, self._lapsed)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)


def _nothing() -> None:
    """What is done when a token ends whose session is gone."""
