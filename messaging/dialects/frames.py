"""What the plain-WebSocket dialects have in common: a table of commands by `type`, and the `error` frame.

Nothing is acked here. A command that was carried out is answered by the frames that its row makes, often
none; one that was not, by one `error` frame and nothing else. What the dialects differ in is the envelope:
`body` takes one apart, `envelope` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from messaging.dialects.base import Answer, Frame, Hears, Payload, Request
from messaging.dialects.forms import Arguments, Schema, read
from messaging.dialects.told import Vocabulary
from messaging.domain.commands import Command
from messaging.domain.errors import ClientError, InvalidFormat
from messaging.domain.events import Event
from messaging.domain.replies import ChangedMessage, HistoryPage, Reply

R = TypeVar("R", bound=Reply)


def _nothing(_reply: Any, _at: datetime) -> tuple[Frame, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[R]):
    """One command of a dialect, for the program and for the documents."""

    name: str
    """The frame's `type`."""
    summary: str
    form: Schema
    """Of the frame's body."""
    command: Callable[..., Command]
    """Makes the command from the form's arguments, or raises a ClientError."""
    reply: type[R]
    tells: Callable[[R, datetime], tuple[Frame, ...]] = _nothing
    """How the reply is told to this client alone."""
    answers: tuple[str, ...] = ()
    """Of which types these frames are; for the documents."""
    pages: Callable[[HistoryPage, datetime], tuple[Frame, ...]] | None = None
    """For joining: how further pages of what was missed are told; they answer the same request."""
    reacts: Callable[[ChangedMessage, datetime], tuple[Frame, ...]] | None = None
    """Where a message may turn out to be a reaction: how the reply to that is told."""
    example: Payload = field(default_factory=dict)
    """A body."""

    def answer(self, reply: Reply, at: datetime) -> Answer:
        """Frames; TypeError for a reply that this command does not have."""
        if self.pages is not None and isinstance(reply, HistoryPage):
            return Answer(frames=self.pages(reply, at))
        if self.reacts is not None and isinstance(reply, ChangedMessage):
            return Answer(frames=self.reacts(reply, at))
        if not isinstance(reply, self.reply):
            raise TypeError(f"{self.name} cannot be answered with {type(reply).__name__}")
        return Answer(frames=self.tells(reply, at))


class Frames:
    """A dialect of JSON objects with a `type`, made of a table of commands."""

    name: str
    hears: Hears
    writes_need_join: bool = False
    budget: str = "messages"
    names_partner: bool = False
    vocabulary: Vocabulary = Vocabulary()

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self.rows: Mapping[str, Row[Any]] = {row.name: row for row in rows}

    # --- what each dialect has its own way of ---

    def body(self, payload: Payload) -> object:
        """What a frame's form reads: the frame without its envelope."""
        raise NotImplementedError

    def envelope(self, name: str, body: Payload, at: datetime) -> Frame:
        """A frame that the server makes by itself."""
        raise NotImplementedError

    def shown(self, key: str, given: str | int) -> str | int:
        """An id as this dialect writes it under `key`."""
        raise NotImplementedError

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told."""
        raise NotImplementedError

    # --- what is the same for all ---

    def greeting(self, device: str, after: int | None) -> Sequence[Request]:  # noqa: ARG002, no greeting
        """Nothing: the connection being open says all."""
        return ()

    def requests(self, frame: Frame) -> Sequence[Request]:
        """The one command that a frame asks for, or why it is none."""
        return (self.request(frame),)

    def request(self, frame: Frame) -> Request:
        """What a frame that is no batch asks for."""
        row = self.rows.get(frame.name)
        if row is None:
            return Request(name=frame.name, error=InvalidFormat("This server has no such command."))
        payload = frame.payload
        arguments, error = read(row.form, self.body(payload) if isinstance(payload, dict) else payload)
        named = self._named(row.form, arguments)
        if error is not None:
            return Request(name=row.name, error=error, named=named)
        try:
            return Request(name=row.name, command=row.command(**arguments), named=named)
        except ClientError as refused:
            return Request(name=row.name, error=refused, named=named)

    def reply(self, request: Request, reply: Reply, at: datetime) -> Answer:
        """The frames that answer a command that was carried out."""
        return self.rows[request.name].answer(reply, at)

    def refusal(self, request: Request | None, error: ClientError, at: datetime) -> Answer:
        """One `error` frame."""
        details = {**(request.named if request else {}), **error.details}
        told: Payload = {"message": error.message, "code": error.code.value, "details": details}
        return Answer(frames=(self.envelope("error", told, at),))

    def _named(self, form: Schema, arguments: Arguments) -> Payload:
        return {
            key: self.shown(key, arguments[attribute]) if how == "id" else arguments[attribute]
            for attribute, key, how in form.names
            if attribute in arguments
        }
