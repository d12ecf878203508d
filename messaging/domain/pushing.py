"""Web Push: where a user's browser can be reached while it is not connected (RFC 8030, RFC 8291)."""

from __future__ import annotations

from datetime import datetime

from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One browser of a user: its address at a push service, and what to encrypt with, in base64url."""

    user_id: str
    endpoint: str
    p256dh: str
    auth: str
    created_at: datetime
