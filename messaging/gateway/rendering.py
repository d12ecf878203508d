"""Rendering: one event as text, made once for all those who are told the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from messaging.domain.events import ConversationEvent, Event, MessagesRead, conversation_of
from messaging.domain.models import Kind
from messaging.gateway.offset import Point, Told, told
from messaging.gateway.transport import Wire

if TYPE_CHECKING:
    from messaging.gateway.session import Session


class Rendering:
    """The texts of one event, by wire, by viewer where that matters, and by offset where it has one.

    `here` is the point that those have reached who are told it; None for what has no place in an order.
    `reads` is up to when they have been told what others read.
    """

    __slots__ = (
        "_ended",
        "_event",
        "_here",
        "_read",
        "_reads",
        "_texts",
    )

    def __init__(self, event: Event, here: Point | None = None, reads: int = 0) -> None:
        self._event = event
        self._reads = reads
        self._read: Told | None = None
        if here is not None and isinstance(event, MessagesRead):
            self._read = told(event.conversation.id, event.reader.id, event.cursor, event.at)
        self._here = here
        self._texts: dict[tuple[Wire, str | None], list[str]] = {}
        self._ended: dict[tuple[Wire, str | None, str], list[str]] = {}

    def texts(self, session: Session) -> list[str]:
        """What is written to this session."""
        wire, here, trail = session.wire, self._here, session.trail
        viewer = session.user_id if wire.dialect.names_partner and self._pair else None
        if here is None or trail is None:
            return self._plain(wire, viewer)
        alone = trail.reach(here, self._reads)
        if self._read is not None:
            trail.told(self._read)
            alone = False
        if not alone:
            return ended(wire, self._plain(wire, viewer), trail.offset)
        key = wire, viewer, trail.tag
        texts = self._ended.get(key)
        if texts is None:
            texts = self._ended[key] = ended(wire, self._plain(wire, viewer), trail.offset)
        return texts

    @property
    def _pair(self) -> bool:
        """Whether it happened in a direct conversation."""
        event = self._event
        return isinstance(event, ConversationEvent) and conversation_of(event).kind is Kind.DIRECT

    def _plain(self, wire: Wire, viewer: str | None) -> list[str]:
        texts = self._texts.get((wire, viewer))
        if texts is None:
            frames = wire.dialect.render(self._event, viewer)
            texts = self._texts[wire, viewer] = list(map(wire.encode, frames))
        return texts


def ended(wire: Wire, texts: list[str], offset: str) -> list[str]:
    """The texts of one event, the last of which says where the client stands once it has them all."""
    if len(texts) == 1:
        return [wire.with_offset(texts[0], offset)]
    return [*texts[:-1], wire.with_offset(texts[-1], offset)] if texts else texts
