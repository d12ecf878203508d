"""Who is typing where, as far as this process's connections say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from messaging.domain.events import TypingChanged
from messaging.domain.models import Conversation, Profile
from messaging.service.policy import TYPING_SECONDS


@dataclass(frozen=True, slots=True)
class _Typist:
    conversation: Conversation
    user: Profile
    connection: str
    until: datetime


class Typists:
    """Remembers who began typing, so that each of them is seen to stop exactly once."""

    def __init__(self) -> None:
        self._typists: dict[tuple[str, str], _Typist] = {}

    def start(
        self,
        conversation: Conversation,
        user: Profile,
        connection: str,
        at: datetime,
        *,
        seconds: int = TYPING_SECONDS,
    ) -> TypingChanged:
        """The user types; told again with every signal, for those who came since."""
        until = at + timedelta(seconds=seconds)
        self._typists[conversation.id, user.id] = _Typist(conversation, user, connection, until)
        return TypingChanged(conversation=conversation, user=user, active=True, at=at)

    def stop(self, conversation_id: str, user_id: str, at: datetime) -> tuple[TypingChanged, ...]:
        """The user stopped typing there; nothing to tell when they were not typing."""
        if not self._typists:  # who says that they type, now and then, is few
            return ()
        typist = self._typists.pop((conversation_id, user_id), None)
        return () if typist is None else (_stopped(typist, at),)

    def disconnected(self, connection: str, at: datetime) -> tuple[TypingChanged, ...]:
        """All typing that this connection signalled ends."""
        return self._end([key for key, t in self._items() if t.connection == connection], at)

    def expire(self, at: datetime) -> tuple[TypingChanged, ...]:
        """All typing ends whose last signal is too long ago."""
        return self._end([key for key, t in self._items() if t.until <= at], at)

    def _items(self) -> Iterator[tuple[tuple[str, str], _Typist]]:
        return iter(self._typists.items())

    def _end(self, keys: list[tuple[str, str]], at: datetime) -> tuple[TypingChanged, ...]:
        return tuple(_stopped(self._typists.pop(key), at) for key in keys)


def _stopped(typist: _Typist, at: datetime) -> TypingChanged:
    return TypingChanged(conversation=typist.conversation, user=typist.user, active=False, at=at)
