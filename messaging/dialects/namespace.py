"""What the Socket.IO dialects have in common: a table of commands, acks, and the `error` event.

A command that was carried out is acked `{success: true, message, …}`; one that was not,
`{success: false, message, code, details}`, and one `error` event says the same to those who asked for no ack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from messaging.dialects.answers import Document
from messaging.dialects.base import Answer, Frame, Hears, Payload, Request
from messaging.dialects.forms import Arguments, Schema, read
from messaging.dialects.told import Vocabulary
from messaging.domain.commands import Command
from messaging.domain.errors import ClientError, InvalidFormat
from messaging.domain.events import Event
from messaging.domain.replies import HistoryPage, Reply

R = TypeVar("R", bound=Reply)

_UNKNOWN = "This server has no such command."
_UNREADABLE = "This cannot be taken: its arguments are not plain JSON, or its name is reserved."
"""Of an event that comes without its name."""


def _nothing(_reply: Any) -> Payload:
    return {}


def _no_frames(_reply: Any) -> tuple[Frame, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[R]):
    """One command of a dialect, for the program and for the documents."""

    name: str
    summary: str
    form: Schema
    command: Callable[..., Command]
    """Makes the command from the form's arguments."""
    reply: type[R]
    says: str
    """The ack's `message`, for people to read."""
    tells: Callable[[R], Payload] = _nothing
    """What the ack has besides."""
    has: Document = field(default_factory=dict)
    """The JSON Schemas of what the ack has besides, by key; for the documents."""
    frames: Callable[[R], tuple[Frame, ...]] = _no_frames
    """What follows the ack, to this client alone."""
    pages: Callable[[HistoryPage], tuple[Frame, ...]] | None = None
    """For joining: how further pages of what was missed are told. They come as replies to the same request,
    after the first has been acked, so they are frames and no ack."""
    example: Payload = field(default_factory=dict)

    def answer(self, reply: Reply) -> Answer:
        """Ack and frames; TypeError for a reply that this command does not have."""
        if self.pages is not None and isinstance(reply, HistoryPage):
            return Answer(frames=self.pages(reply))
        if not isinstance(reply, self.reply):
            raise TypeError(f"{self.name} cannot be answered with {type(reply).__name__}")
        ack = {"success": True, "message": self.says, **self.tells(reply)}
        return Answer(ack=ack, frames=self.frames(reply))


class Namespace:
    """A dialect made of a table of commands."""

    name: str
    hears: Hears = Hears.JOINED
    writes_need_join: bool = False
    budget: str = "messages"
    names_partner: bool = False
    vocabulary: Vocabulary = Vocabulary()

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self.rows: Mapping[str, Row[Any]] = {row.name: row for row in rows}

    def shown_id(self, given: str | int) -> str | int:
        """An id as this dialect writes it."""
        raise NotImplementedError

    def greeting(self, device: str, after: int | None) -> Sequence[Request]:  # noqa: ARG002, no greeting
        """Nothing: Socket.IO greets by itself."""
        return ()

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told."""
        raise NotImplementedError

    def requests(self, frame: Frame) -> Sequence[Request]:
        """The one command that a frame asks for, or why it is none."""
        row = self.rows.get(frame.name)
        if row is None:
            return (Request(name=frame.name, error=InvalidFormat(_UNKNOWN if frame.name else _UNREADABLE)),)
        arguments, error = read(row.form, frame.payload)
        command = row.command(**arguments) if error is None else None
        named = self._named(row.form, arguments)
        return (Request(name=frame.name, command=command, error=error, named=named),)

    def reply(self, request: Request, reply: Reply, at: datetime) -> Answer:  # noqa: ARG002, no envelope
        """The ack of a command that was carried out, and what follows it."""
        return self.rows[request.name].answer(reply)

    def refusal(
        self,
        request: Request | None,
        error: ClientError,
        at: datetime,  # noqa: ARG002, there is no envelope that would hold it
    ) -> Answer:
        """The ack of a command that was refused, and the `error` event."""
        details = {**(request.named if request else {}), **error.details}
        told: Payload = {"message": error.message, "code": error.code.value, "details": details}
        return Answer(ack={"success": False, **told}, frames=(Frame("error", told),))

    def _named(self, form: Schema, arguments: Arguments) -> Payload:
        return {
            spelling: self.shown_id(arguments[attribute]) if how == "id" else arguments[attribute]
            for attribute, spelling, how in form.names
            if attribute in arguments
        }
