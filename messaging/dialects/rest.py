"""REST as a dialect: what a route is, how it reads a request, and how it answers.

The table itself is in routes.py; the transport only moves bytes between HTTP and these functions, and the
OpenAPI document is made from the same table, so it cannot miss a route.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from messaging.dialects.base import Payload, Request
from messaging.dialects.forms import Arguments, Schema, from_texts, read
from messaging.domain.commands import Command
from messaging.domain.errors import ClientError, Code, InvalidFormat
from messaging.domain.replies import Reply

R = TypeVar("R", bound=Reply)

STATUSES: Mapping[Code, int] = {
    Code.AUTH_FAILED: 401,
    Code.INVALID_FORMAT: 400,
    Code.PERMISSION_DENIED: 403,
    Code.ROOM_NOT_FOUND: 404,
    Code.USER_NOT_FOUND: 404,
    Code.MESSAGE_NOT_FOUND: 404,
    Code.MESSAGE_TOO_LONG: 400,
    Code.RATE_LIMITED: 429,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.CONFLICT: 409,
    Code.UNAVAILABLE: 503,
    Code.INTERNAL: 500,
}


class Who(StrEnum):
    """Who may ask."""

    ANYBODY = "anybody"
    COOKIE = "whoever has the cookie"
    USER = "any signed-in user"
    SERVICE = "services of the host application"
    ADMIN = "services and administrators"
    METRICS = "whoever has the metrics token, and services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What goes back over HTTP, but for its encoding."""

    status: int
    body: Payload
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A route that is no command: the transport carries it out by itself. Here for the documents."""

    name: str
    method: str
    path: str
    who: Who
    summary: str
    media: str = "application/json"
    answer: Payload = field(default_factory=dict)
    takes: Mapping[str, Payload] = field(default_factory=dict)
    """What may be sent, by media type."""
    asks: tuple[Payload, ...] = ()
    """Parameters, as OpenAPI has them."""


class Writing(Protocol):
    """Makes the text of one file, from its beginning to its end."""

    media: str

    def begin(self) -> str:
        """What stands before the first item."""

    def page(self, items: Any) -> str:
        """The next items."""

    def end(self) -> str:
        """What stands after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that is written while it is taken: `writing` makes text of each of the pages."""

    headers: Mapping[str, str]
    writing: Writing
    pages: AsyncIterator[Any]


def _never(_reply: Any) -> bool:
    return False


def _nothing(_reply: Any) -> Payload:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[R]):
    """One command over HTTP. `path` has its variables in braces; `place`, `query` and `body` read the parts
    of a request, each into arguments of the command."""

    name: str
    method: str
    path: str
    who: Who = Who.USER
    summary: str
    command: Callable[..., Command]
    """Makes the command from the arguments; may raise InvalidFormat."""
    reply: type[R]
    shape: Callable[[R], Payload] = _nothing
    """Makes the answer's body."""
    download: Callable[[R], Download] | None = None
    """Makes a file of the answer instead of a body; its token may stand in the query."""
    media: tuple[str, ...] = ("application/json",)
    """What the answer's body is, as media types (RFC 6838)."""
    made: Callable[[R], bool] = _never
    """Whether something was made: 201, otherwise 200."""
    makes: bool = False
    """Whether `made` can be true; for the documents."""
    answer: Payload
    """The JSON Schema of the answer's body."""
    place: Schema | None = None
    query: Schema | None = None
    body: Schema | None = None
    example: Payload = field(default_factory=dict)
    """A body that this route takes."""

    def request(self, variables: Mapping[str, str], query: Mapping[str, str], body: object) -> Request:
        """What is asked for, or why it is nothing. `body` is the JSON value, None for no body. Never raises.

        The variables of the path come decoded.
        """
        arguments: Arguments = {}
        named: Payload = {}
        errors: list[InvalidFormat] = []
        parts: list[tuple[Schema | None, object]] = [
            (self.place, from_texts(self.place, variables) if self.place else {}),
            (self.query, from_texts(self.query, query) if self.query else {}),
            (self.body, body),
        ]
        for schema, payload in parts:
            if schema is not None:
                found, error = read(schema, payload)
                arguments |= found
                named |= _named(schema, found)
                errors += [error] if error else []
        return self._request(arguments, named, errors)

    def _request(self, arguments: Arguments, named: Payload, errors: list[InvalidFormat]) -> Request:
        if errors:
            return Request(name=self.name, error=errors[0], named=named)
        try:
            return Request(name=self.name, command=self.command(**arguments), named=named)
        except InvalidFormat as error:
            return Request(name=self.name, error=error, named=named)

    def respond(self, reply: Reply) -> Response:
        """The answer of a command that was carried out; TypeError for a reply that it does not have."""
        kept = self._own(reply)
        return Response(status=201 if self.made(kept) else 200, body=self.shape(kept))

    def file(self, reply: Reply) -> Download | None:
        """The file that is the answer, where it is one; TypeError as in `respond`."""
        return self.download(self._own(reply)) if self.download is not None else None

    def _own(self, reply: Reply) -> R:
        if not isinstance(reply, self.reply):
            raise TypeError(f"{self.name} cannot be answered with {type(reply).__name__}")
        return reply


def refusal(request: Request | None, error: ClientError, *, status: int | None = None) -> Response:
    """The answer of what was refused. `status` is for what HTTP knows and codes do not: 404 for a path that
    there is not, 405 for a method."""
    details = {**(request.named if request else {}), **error.details}
    body = {"error": {"code": error.code.value, "message": error.message, "details": details}}
    return Response(status=status or STATUSES[error.code], body=body, headers=_retry_after(error))


def _retry_after(error: ClientError) -> dict[str, str]:
    seconds = error.details.get("retryAfter")
    if error.code is not Code.RATE_LIMITED or not isinstance(seconds, int | float):
        return {}
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _named(schema: Schema, arguments: Arguments) -> Payload:
    return {
        spelling: str(arguments[attribute])
        for attribute, spelling, _ in schema.names
        if attribute in arguments
    }
