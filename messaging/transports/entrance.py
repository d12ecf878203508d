"""The entrance: who is refused before a connection is made, the same for all transports.

An address has a limited number of connections. One that signed in wrongly too often is refused with HTTP 429,
but only with a bad token: nobody pays for a neighbour's failures.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from messaging.backplanes.memory import LocalCapacity
from messaging.domain.errors import ClientError, RateLimited, Unavailable
from messaging.domain.models import Identity
from messaging.gateway.metrics import UNSAID
from messaging.service.ports import Capacity

ADDRESS = "address"
MAX_REMEMBERED = 10_000
_RETRY_SECONDS = 60.0


class SignIn(Protocol):
    """The part of the gateway that knows who may come in."""

    draining: bool
    """Whether nobody may any more, because this process is about to end."""

    async def sign_in(self, token: str | None, peer: str, dialect: str) -> Identity:
        """Raises AuthFailed for a bad token, RateLimited for one too many from this peer."""


class Entrance:
    """Counts the connections of each address over all processes, and remembers who failed too often here."""

    def __init__(
        self,
        gateway: SignIn,
        *,
        max_connections_per_address: int = 1000,
        capacity: Capacity | None = None,
    ) -> None:
        self._gateway = gateway
        self._max_connections = max_connections_per_address
        self._capacity = capacity or LocalCapacity()
        self._limited_until: dict[str, float] = {}

    async def opening(self, peer: str, token: str | None) -> None:
        """Somebody wants to connect, with this token as far as it can be seen yet; `closed` ends what this
        begins.

        RateLimited or Unavailable: refuse.
        """
        if self._gateway.draining:
            raise Unavailable("This server is shutting down.")
        if token is not None and self._limited_until.get(peer, 0.0) > _now():
            await self._refuse_bad(peer, token)
        if not await self._capacity.take(ADDRESS, peer, self._max_connections):
            raise RateLimited("Too many connections from this address.", retryAfter=int(_RETRY_SECONDS))

    def closed(self, peer: str) -> None:
        """They are gone."""
        self._capacity.give_back(ADDRESS, peer)

    async def sign_in(self, token: str | None, peer: str, dialect: str = UNSAID) -> Identity:
        """The gateway's answer; remembers those who tried too often."""
        try:
            return await self._gateway.sign_in(token, peer, dialect)
        except RateLimited as error:
            self._remember(peer, error)
            raise

    async def _refuse_bad(self, peer: str, token: str) -> None:
        try:
            await self.sign_in(token, peer)
        except RateLimited:
            raise
        except ClientError:
            return  # told in the words of the protocol, once connected

    def _remember(self, peer: str, error: RateLimited) -> None:
        if len(self._limited_until) >= MAX_REMEMBERED:
            now = _now()
            self._limited_until = {who: end for who, end in self._limited_until.items() if end > now}
        seconds = error.details.get("retryAfter")
        self._limited_until[peer] = _now() + (
            float(seconds) if isinstance(seconds, int | float) else _RETRY_SECONDS
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
