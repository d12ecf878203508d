"""The limits that an operator can set, as the service needs them. Settings make one at start."""

from __future__ import annotations

from dataclasses import dataclass

TYPING_SECONDS = 30
"""Typing ends by itself this long after the last signal."""
MAX_RECEIPTS = 50
"""How many newly read messages one mark tells of, at the most."""
MAX_ONLINE_USERS = 1_000
"""How many online users of a conversation are listed, at the most."""
MAX_SHOWN_MEMBERS = 100
"""Larger conversations are shown without the list of their members."""
MAX_REACTION_KINDS = 20
"""How many kinds of emoji a message can have."""
MAX_EDITS_SHOWN = 200
"""How many edits of a message are shown, at the most."""
MISSED_PAGE = 500
"""How many missed messages go into one page when a client catches up."""

MESSAGES, SIGNALS, QUERIES, AUTH_FAILURES = "messages", "signals", "queries", "auth-failures"
"""Names of the rate limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator decides: sizes in code points or members, and whether presence is shown at all."""

    max_message_length: int = 4000
    receipts_max_members: int = 100
    presence: bool = True
    presence_max_members: int = 100
    retention_days: int = 0
    """After how many days messages are removed, where the conversation does not say so itself; 0: never."""
    offline_queue_limit: int = 500
    """How many missed messages, and notifications, a device is given when it comes back, at the most."""
    upload_quota_bytes: int = 1024 * 1024 * 1024
    """How much the uploads of one user may take together."""
