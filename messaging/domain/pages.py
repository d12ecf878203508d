"""Pages: where a conversation ends, and what is read of its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from messaging.domain.models import Conversation, MessageView, ReadMark
from messaging.domain.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How far a conversation has come; and who has read its last messages, where `marks` were asked for."""

    conversation: Conversation
    last_seq: int = 0
    last_rev: int = 0
    marks: tuple[ReadMark, ...] = ()


class Views(tuple[MessageView, ...]):  # noqa: SLOT001  a tuple cannot have any that hold something
    """Messages as readers see them, and what was made of them: many are shown the same ones."""

    def __init__(self, _views: Iterable[MessageView] = ()) -> None:
        self._made: dict[Callable[[Views], Any], Any] = {}

    def once(self, make: Callable[[Views], T]) -> T:
        """What `make` gives for these, made once for all who ask. Not to be changed."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(T, self._made[make])
