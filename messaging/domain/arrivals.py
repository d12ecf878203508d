"""Arrivals: what has to be known of a user whose connection begins."""

from __future__ import annotations

from messaging.domain.models import Membership, User
from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Who somebody is, up to where what concerns them alone is counted, with whom they have nothing to do,
    and where they are a member."""

    user: User | None = None
    """None: there is no such user."""
    position: int = 0
    blocked: frozenset[str] = frozenset()
    memberships: tuple[Membership, ...] = ()
