"""What a dialect is: pure functions between frames and what the service speaks.

    frame    ──requests()──▶  command          what a client asks, checked for form
    reply    ──reply()─────▶  answer           to the one who asked
    refusal  ──refusal()───▶  answer
    event    ──render()────▶  frames           to everybody who listens, the same for all of them

A dialect holds no state, waits for nothing and reads no clock: replies and refusals are given the time,
events carry theirs. What differs from one connection to the next (batching, compression, positions)
belongs to session and transport; which conversations a connection hears unasked is declared here as data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from messaging.domain.commands import Command
from messaging.domain.errors import ClientError
from messaging.domain.events import Event
from messaging.domain.replies import Reply
from messaging.domain.values import dataclass

Payload = dict[str, Any]
"""A JSON object."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message on the wire, in either direction.

    `name` is the Socket.IO event name or the `type` of a JSON frame. `payload` is the event's first
    argument, or the whole JSON frame, envelope included.
    """

    name: str
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A frame understood: a command, or why it is none.

    `named` is what the frame named (`conversationId`, `room`, `messageId`, …) in the dialect's own
    spelling; the details of a refusal repeat it.
    """

    name: str
    command: Command | None = None
    error: ClientError | None = None
    named: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the one who asked: an ack, where the dialect has acks and one was asked for,
    and then frames, in this order."""

    ack: Payload | None = None
    frames: tuple[Frame, ...] = ()


class Hears(StrEnum):
    """Which conversations a connection hears without joining them."""

    JOINED = "joined"
    """None: only those that it joined."""
    DIRECT = "direct"
    """The user's direct conversations."""
    ALL = "all"
    """All that the user is a member of."""


class Dialect(Protocol):
    """One wire language."""

    name: str
    """As in logs, metrics and documents."""
    hears: Hears
    writes_need_join: bool
    """Whether a connection must have joined a group or room before it may write there."""
    budget: str
    """The rate limit that counts what is sent: `messages`, or one of the dialect's own."""
    names_partner: bool
    """Whether events of a direct conversation name the other one of the two, and so differ for each."""

    def greeting(self, device: str, after: int | None) -> Sequence[Request]:
        """What the session carries out by itself when a client connects, in this order, before anything
        that the client asks; the answers are written as if it had asked. `after` is where it wants to go
        on, if it said so."""

    def requests(self, frame: Frame) -> Sequence[Request]:
        """What a frame asks for; more than one where it is a batch. Never raises."""

    def reply(self, request: Request, reply: Reply, at: datetime) -> Answer:
        """How a command's reply is told. Called for every kind of reply that `requests` can lead to."""

    def refusal(self, request: Request | None, error: ClientError, at: datetime) -> Answer:
        """How a refusal is told; None: it was no command that failed but the frame or the connection."""

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told; no frames where the dialect has no words for it.

        `viewer` is who is told, given where `names_partner` and the conversation is a direct one.
        """
