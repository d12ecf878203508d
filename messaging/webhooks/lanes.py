"""Lanes: in which order things are told in one, when the next try is due, and when to give up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from messaging.domain.models import Hook
from messaging.service.hooks import CONVERSATION_CREATED

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
GIVE_UP_AFTER = timedelta(days=3)
"""What is older than this when a try fails is tried no more."""
MAX_REMEMBERED = 10_000


def pause_seconds(failures: int, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4, … seconds."""
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30))


def is_hopeless(happened_at: datetime, now: datetime) -> bool:
    """Whether something has been tried for long enough."""
    return now - happened_at > GIVE_UP_AFTER


def in_order(hooks: Sequence[Hook], limit: int) -> list[Hook]:
    """A lane's hooks as they are told: a conversation's making first, messages by seq, all else between them
    as its id has it (ids are in the order of time), and never before the message that it is about.

    With `limit` messages there may be more of them, and what would come after these has to wait.
    """
    messages = [hook for hook in hooks if hook.message is not None]
    others = [hook for hook in hooks if hook.message is None]
    full, waiting = len(messages) >= limit, {hook.id for hook in messages}
    told = [hook for hook in others if hook.type == CONVERSATION_CREATED]
    for other in (hook for hook in others if hook.type != CONVERSATION_CREATED):
        while messages and (messages[0].id < other.id or other.message_id in waiting):
            waiting.discard(messages[0].id)
            told.append(messages.pop(0))
        if full and not messages:
            break
        told.append(other)
    return told + messages


class Lanes:
    """Which lanes rest after a failure. Times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._resting: dict[str, tuple[int, float]] = {}

    def rests(self, lane: str, now: float) -> bool:
        """Whether nothing may be tried in a lane yet."""
        return lane in self._resting and self._resting[lane][1] > now

    def failed(self, lane: str, now: float) -> None:
        """A try failed: rest, longer each time."""
        failures = self._resting.pop(lane, (0, 0.0))[0] + 1
        self._resting[lane] = (failures, now + pause_seconds(failures))
        if len(self._resting) > MAX_REMEMBERED:
            del self._resting[next(iter(self._resting))]  # which is then tried sooner

    def worked(self, lane: str) -> None:
        """A try went through."""
        self._resting.pop(lane, None)
