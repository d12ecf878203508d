"""Refusals: everything that a client can be told is wrong, and nothing else.

    ClientError                 code, message, details
    ├── AuthFailed              AUTH_FAILED
    ├── InvalidFormat           INVALID_FORMAT
    ├── PermissionDenied        PERMISSION_DENIED
    ├── RoomNotFound            ROOM_NOT_FOUND      any conversation, or one that the asker may not see
    ├── UserNotFound            USER_NOT_FOUND
    ├── MessageNotFound         MESSAGE_NOT_FOUND
    ├── MessageTooLong          MESSAGE_TOO_LONG
    ├── RateLimited             RATE_LIMITED        details.retryAfter, in seconds
    ├── PayloadTooLarge         PAYLOAD_TOO_LARGE
    ├── Conflict                CONFLICT
    ├── Unavailable             UNAVAILABLE         the storage is away; the same request may go through later
    └── Internal                INTERNAL            a bug; details.id finds it in the log

A class's docstring is its default message. Messages never repeat what a user wrote. Any exception that
is not a ClientError is a bug: it is logged with an id, and the client is told `Internal` with that id.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    """The stable names of all refusals, the same in every dialect."""

    AUTH_FAILED = "AUTH_FAILED"
    INVALID_FORMAT = "INVALID_FORMAT"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    ROOM_NOT_FOUND = "ROOM_NOT_FOUND"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    MESSAGE_TOO_LONG = "MESSAGE_TOO_LONG"
    RATE_LIMITED = "RATE_LIMITED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    CONFLICT = "CONFLICT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class ClientError(Exception):
    """The request was refused."""

    code: Code

    def __init__(self, message: str | None = None, /, **details: object) -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.details: Mapping[str, object] = details
        super().__init__(self.message)


class AuthFailed(ClientError):
    """Sign-in failed: the token is missing, invalid or expired."""

    code = Code.AUTH_FAILED


class InvalidFormat(ClientError):
    """The request is not of the form that this command takes."""

    code = Code.INVALID_FORMAT


class PermissionDenied(ClientError):
    """You may not do this here."""

    code = Code.PERMISSION_DENIED


class RoomNotFound(ClientError):
    """There is no such conversation."""

    code = Code.ROOM_NOT_FOUND


class UserNotFound(ClientError):
    """There is no such user."""

    code = Code.USER_NOT_FOUND


class MessageNotFound(ClientError):
    """There is no such message."""

    code = Code.MESSAGE_NOT_FOUND


class MessageTooLong(ClientError):
    """The message is too long."""

    code = Code.MESSAGE_TOO_LONG


class RateLimited(ClientError):
    """Too many requests; try again later."""

    code = Code.RATE_LIMITED


class PayloadTooLarge(ClientError):
    """The request is too large."""

    code = Code.PAYLOAD_TOO_LARGE


class Conflict(ClientError):
    """This contradicts what is there already."""

    code = Code.CONFLICT


class Unavailable(ClientError):
    """The storage is not available at the moment; try again."""

    code = Code.UNAVAILABLE


class Internal(ClientError):
    """Something went wrong on the server."""

    code = Code.INTERNAL
