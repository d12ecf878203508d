"""Rendering: one event as text, made once for all those who are told the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from messaging.domain.events import ConversationEvent, Event, MessagesRead, conversation_of
from messaging.domain.models import Kind
from messaging.gateway.offset import Point, Told, Trail, told
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
        "_pair",
        "_read",
        "_reads",
        "_shared",
        "_tag",
        "_texts",
        "_wire",
    )

    def __init__(self, event: Event, here: Point | None = None, reads: int = 0) -> None:
        self._event = event
        self._reads = reads
        self._read: Told | None = None
        if here is not None and isinstance(event, MessagesRead):
            self._read = told(event.conversation.id, event.reader.id, event.cursor, event.at)
        self._here = here
        self._pair = isinstance(event, ConversationEvent) and conversation_of(event).kind is Kind.DIRECT
        self._texts: dict[tuple[Wire, str | None], list[str]] = {}
        self._ended: dict[tuple[Wire, str | None, str], list[str]] = {}
        # What the last one was told, for the next, who is most often told the same.
        self._wire: Wire | None = None
        self._tag: str | None = None
        self._shared: list[str] = []

    def texts(self, session: Session) -> list[str]:
        """What is written to this session."""
        wire, tag, here, trail = session.wire, None, self._here, session.trail
        if here is not None and trail is not None:
            trail.reach(here)
            trail.read_up_to(self._reads)
            if self._read is not None:
                trail.told(self._read)
            if not trail.alone or trail.reads != self._reads:
                return ended(wire, self._plain(session), trail.offset)
            tag = trail.tag
        if wire is not self._wire or tag != self._tag:
            texts = self._plain(session) if tag is None or trail is None else self._ending(session, trail)
            if self._pair and wire.dialect.names_partner:
                return texts
            self._wire, self._tag, self._shared = wire, tag, texts
        return self._shared

    def _plain(self, session: Session) -> list[str]:
        wire = session.wire
        viewer = self._viewer(session)
        texts = self._texts.get((wire, viewer))
        if texts is None:
            frames = wire.dialect.render(self._event, viewer)
            texts = self._texts[wire, viewer] = [wire.encode(frame) for frame in frames]
        return texts

    def _ending(self, session: Session, trail: Trail) -> list[str]:
        """The same for all with this tag, who stand at this point and nowhere else."""
        key = (session.wire, self._viewer(session), trail.tag)
        texts = self._ended.get(key)
        if texts is None:
            texts = self._ended[key] = ended(session.wire, self._plain(session), trail.offset)
        return texts

    def _viewer(self, session: Session) -> str | None:
        return session.user_id if self._pair and session.wire.dialect.names_partner else None


def ended(wire: Wire, texts: list[str], offset: str) -> list[str]:
    """The texts of one event, the last of which says where the client stands once it has them all."""
    return [*texts[:-1], wire.with_offset(texts[-1], offset)] if texts else texts
