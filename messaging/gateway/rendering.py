"""Rendering: one event as text, made once for all those who are told the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from messaging.domain.events import ConversationEvent, Event, conversation_of
from messaging.domain.models import Kind
from messaging.gateway.offset import Point
from messaging.gateway.transport import Wire

if TYPE_CHECKING:
    from messaging.gateway.session import Session


class Rendering:
    """The texts of one event, by wire, by viewer where that matters, and by offset where it has one.

    `here` is the point that those have reached who are told it; None for what has no place in an order.
    """

    __slots__ = ("_ended", "_event", "_here", "_pair", "_texts")

    def __init__(self, event: Event, here: Point | None = None) -> None:
        self._event = event
        self._here = here
        self._pair = isinstance(event, ConversationEvent) and conversation_of(event).kind is Kind.DIRECT
        self._texts: dict[tuple[Wire, str | None], list[str]] = {}
        self._ended: dict[tuple[Wire, str | None, str], list[str]] = {}

    def texts(self, session: Session) -> list[str]:
        """What is written to this session."""
        wire = session.wire
        viewer = session.user_id if self._pair and wire.dialect.names_partner else None
        texts = self._texts.get((wire, viewer))
        if texts is None:
            frames = wire.dialect.render(self._event, viewer)
            texts = self._texts[wire, viewer] = [wire.encode(frame) for frame in frames]
        if self._here is None or session.trail is None:
            return texts
        session.trail.reach(self._here)
        if not session.trail.alone:
            return ended(wire, texts, session.trail.offset)
        key = (wire, viewer, session.trail.tag)
        shared = self._ended.get(key)
        if shared is None:
            shared = self._ended[key] = ended(wire, texts, session.trail.offset)
        return shared


def ended(wire: Wire, texts: list[str], offset: str) -> list[str]:
    """The texts of one event, the last of which says where the client stands once it has them all."""
    return [*texts[:-1], wire.with_offset(texts[-1], offset)] if texts else texts
