"""What Web Push needs: a part of the store, and who knows where one may push to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from messaging.domain.pushing import Subscription


class Subscriptions(Protocol):
    """Where users' browsers can be reached. A part of `ports.Store`."""

    async def put_subscription(self, subscription: Subscription, *, at_most: int) -> bool:
        """Keep a subscription; whether its user had none there. An endpoint belongs to one user, the last one
        who said so; of more than `at_most` of a user the oldest go."""

    async def subscriptions(self, user_ids: Collection[str]) -> Sequence[Subscription]:
        """All subscriptions of these users."""

    async def drop_subscription(self, endpoint: str, *, user_id: str | None = None) -> bool:
        """Forget a subscription, of that user only where given; whether there was one."""


class Pushing(Protocol):
    """Whether this server pushes, and to where."""

    public_key: str | None
    """The server's VAPID key (RFC 8292) in base64url, for browsers to subscribe; None: nothing is pushed."""

    async def check(self, subscription: Subscription) -> None:
        """Raise InvalidFormat where nothing can, or may, be pushed to."""


class NoPushing:
    """A server that does not push."""

    public_key: str | None = None

    async def check(self, subscription: Subscription) -> None:
        """Nothing to check."""
        del subscription
