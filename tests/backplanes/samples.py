"""Events and waiting, for the tests of the backplanes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from messaging.domain.events import MessageSent, PresenceChanged, conversation_topic
from messaging.domain.models import Conversation, Kind, Message, Profile, Status

NOW = datetime(2026, 11, 20, 12, 0, 0, 123000, tzinfo=UTC)
TOPIC = conversation_topic("team")
RULES = {"messages": "10/minute;100/hour", "unlimited": "", "quick": "2/second"}
ALICE = Profile(id="alice", name="Alice")


def message_sent(seq: int = 1, conversation_id: str = "team", content: str = "hello") -> MessageSent:
    return MessageSent(
        conversation=Conversation(id=conversation_id, kind=Kind.GROUP, created_at=NOW, updated_at=NOW),
        message=Message(
            id=1000 + seq,
            conversation_id=conversation_id,
            seq=seq,
            sender_id="alice",
            sender_seq=seq,
            content=content,
            created_at=NOW,
        ),
        sender=ALICE,
    )


def presence_changed() -> PresenceChanged:
    return PresenceChanged(
        user=ALICE, status=Status.ONLINE, crossed=True, last_seen=None, conversations=("team",), at=NOW
    )


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return when `condition` is true; fail when it is not within `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "this did not become true in time"
        await asyncio.sleep(0.01)
