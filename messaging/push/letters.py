"""Letters that wait to be brought: each user's in their order, the users in turn. Pure.

So one user's letters, however many, and however slowly their addresses answer, hold up nobody else's.
"""

from __future__ import annotations

from collections import Counter, deque

from messaging.domain.pushing import Subscription
from messaging.domain.values import dataclass

PER_USER = 2
"""How many letters of a user are under way at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be pushed to one browser."""

    to: Subscription
    payload: bytes
    topic: str
    attempt: int = 1


class Letters:
    """Takes letters in, and gives them out. Each that was given out must be told of with `done`."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Letter]] = {}
        self._turns: dict[str, None] = {}
        """Who has something waiting and not too much under way; the longest waiting first."""
        self._under_way: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, letter: Letter) -> None:
        """One more waits."""
        self._waiting.setdefault(letter.to.user_id, deque()).append(letter)
        self._count += 1
        self._queue(letter.to.user_id)

    def take(self) -> Letter | None:
        """The next letter of whose turn it is; None where nobody's is."""
        user_id = next(iter(self._turns), None)
        if user_id is None:
            return None
        del self._turns[user_id]
        self._under_way[user_id] += 1
        letter = self._pop(user_id)
        self._queue(user_id)
        return letter

    def done(self, letter: Letter) -> None:
        """A letter that was taken is no longer under way."""
        user_id = letter.to.user_id
        self._under_way[user_id] -= 1
        if self._under_way[user_id] <= 0:
            del self._under_way[user_id]
        self._queue(user_id)

    def drop(self) -> None:
        """Throw away the oldest letter of who has most of them waiting."""
        if self._waiting:
            user_id = max(self._waiting, key=lambda each: len(self._waiting[each]))
            self._pop(user_id)
            if user_id not in self._waiting:
                self._turns.pop(user_id, None)

    def _pop(self, user_id: str) -> Letter:
        letters = self._waiting[user_id]
        letter = letters.popleft()
        self._count -= 1
        if not letters:
            del self._waiting[user_id]
        return letter

    def _queue(self, user_id: str) -> None:
        if user_id in self._waiting and self._under_way[user_id] < PER_USER:
            self._turns.setdefault(user_id)
