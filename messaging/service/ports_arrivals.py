"""The part of the store that says at once all that has to be known of users who come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from messaging.domain.arrivals import Arrival


class Arrivals(Protocol):
    """See `Store`, which this is a part of."""

    async def arrivals(self, user_ids: Collection[str]) -> Mapping[str, Arrival]:
        """What is known of each of these users. Positions are read first: what one of them counts can be
        seen in the rest."""
