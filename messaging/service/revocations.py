"""Which tokens an administrator has taken back: in memory, so that every command can be checked against it.

The store keeps it (`Duties.disconnect`); the gateway brings this up to date, from the bus and by comparing.
"""

from __future__ import annotations

from datetime import datetime

from messaging.domain.errors import AuthFailed
from messaging.domain.models import Identity

REVOKED = "This token has been revoked; sign in anew."


class Revocations:
    """Up to when each user's tokens are refused."""

    def __init__(self) -> None:
        self._before: dict[str, datetime] = {}

    def note(self, user_id: str, before: datetime) -> None:
        """The user's tokens that were issued up to then are good no more. Never goes back."""
        known = self._before.get(user_id)
        if known is None or known < before:
            self._before[user_id] = before

    def revoked(self, identity: Identity) -> bool:
        """Whether an identity's token has been taken back; one that does not say when it was issued may be
        from before, and counts as such."""
        before = self._before.get(identity.profile.id)
        return before is not None and (identity.issued_at is None or identity.issued_at <= before)

    def check(self, identity: Identity) -> None:
        """AuthFailed for an identity whose token has been taken back."""
        if self.revoked(identity):
            raise AuthFailed(REVOKED)
