"""Ids: what is one, how two users' direct conversation is named, and how new ones are made.

Users and conversations carry the host application's own ids (strings of 1 to 128 characters);
messages and server-made groups carry 53-bit integers, which every JSON parser keeps exactly.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, unquote

MAX_ID_CHARACTERS = 128
MAX_INTEGER = 2**53 - 1
"""The largest integer that a JavaScript number holds exactly (RFC 8259, section 6)."""

INBOX = "\x01inbox"
"""Stands for what concerns a user alone where positions are kept by conversation; no conversation's id."""

SYSTEM_USER = "system"
"""The sender of system messages. Nobody can sign in under this id."""

_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PROCESS_BITS = 5
_COUNT_BITS = 7
_COUNT_MASK = (1 << _COUNT_BITS) - 1

_DIRECT_PREFIX = "dm:"
_ROOM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PLAIN_ASCII_ID = re.compile(r"[!-.0-~]{1,128}")  # neither white space nor `/`: nothing else to look at
_CANONICAL_INTEGER = re.compile(r"0|[1-9][0-9]{0,15}")


def _text(value: object) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a string or an integer")
    return str(value)


def _plain_id(text: str) -> str:
    if _PLAIN_ASCII_ID.fullmatch(text):
        return text
    if not 1 <= len(text) <= MAX_ID_CHARACTERS:
        raise ValueError(f"must have 1 to {MAX_ID_CHARACTERS} characters")
    if text != text.strip():
        raise ValueError("must not begin or end with white space")
    if "/" in text or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("must not contain control characters or '/'")
    return text


def user_id(value: object) -> str:
    """The user id that a JSON value names; ValueError says what is wrong with any other."""
    text = _plain_id(_text(value))
    if text == SYSTEM_USER:
        raise ValueError("is reserved")
    return text


def conversation_id(value: object) -> str:
    """The conversation id that a JSON value names, a direct conversation's included; else ValueError."""
    text = _text(value)
    if not text.startswith(_DIRECT_PREFIX):
        return _plain_id(text)
    if direct_members(text) is None:
        raise ValueError("is not the id of a direct conversation")
    return text


def chosen_conversation_id(value: object) -> str:
    """An id that somebody may choose for a group or room: any but those that begin with `dm:`."""
    text = _plain_id(_text(value))
    if text.startswith(_DIRECT_PREFIX):
        raise ValueError("must not begin with 'dm:'")
    return text


def message_id(value: object) -> int:
    """The message id that a JSON value names: 1 to 2^53 - 1, as an integer or in decimal; else ValueError."""
    text = _text(value)
    if not _CANONICAL_INTEGER.fullmatch(text) or not 1 <= int(text) <= MAX_INTEGER:
        raise ValueError("must be a message id")
    return int(text)


def is_room_name(text: str) -> bool:
    """Whether a public room may have this name: 1 to 64 of `A-Z a-z 0-9 _ . -`."""
    return _ROOM_NAME.fullmatch(text) is not None


def direct_id(one: str, other: str) -> str:
    """The id of two users' direct conversation; the same for both."""
    first, second = sorted((one, other))
    return f"{_DIRECT_PREFIX}{quote(first, safe='')}:{quote(second, safe='')}"


@lru_cache(10_000)  # asked several times for each direct message
def direct_members(text: str) -> tuple[str, str] | None:
    """The two users of a direct conversation's id; None when `text` is no such id."""
    if not text.startswith(_DIRECT_PREFIX):
        return None
    first, colon, second = text.removeprefix(_DIRECT_PREFIX).partition(":")
    if not colon:
        return None
    try:
        users = user_id(unquote(first, errors="strict")), user_id(unquote(second, errors="strict"))
    except (ValueError, UnicodeDecodeError):
        return None
    return users if users[0] != users[1] and direct_id(*users) == text else None


def time_of(message_id: int) -> datetime:
    """When an id was made, by the clock of the process that made it; for an id from elsewhere, some time."""
    return _EPOCH + timedelta(milliseconds=message_id >> (_PROCESS_BITS + _COUNT_BITS))


def numeric(text: str) -> int | str:
    """The id as dialects with numeric ids show it: a number when it is a plain decimal below 2^53."""
    if _CANONICAL_INTEGER.fullmatch(text) and int(text) <= MAX_INTEGER:
        return int(text)
    return text


class IdSource:
    """Makes 53-bit ids: 41 bits of milliseconds since 2025, 5 bits for the process, 7 bits of count.

    Ids of one source rise strictly, also when the clock steps back. Two processes may (one pair in 32)
    share the process bits, and then, rarely, an id: the store's unique index notices, and the writer
    takes another.
    """

    def __init__(self, clock: Callable[[], datetime], process: int | None = None) -> None:
        self._clock = clock
        self._process = secrets.randbelow(1 << _PROCESS_BITS) if process is None else process
        self._last = 0  # milliseconds and count, without the process bits between them
        self._at = _EPOCH  # the last time that was given, and its milliseconds, for all that is sent then
        self._milliseconds = 0

    def next(self, at: datetime | None = None) -> int:
        """A new id, larger than all before it; for a message that is sent at this time, else now."""
        at = at or self._clock()
        if at is not self._at:
            self._at, self._milliseconds = at, (at - _EPOCH) // _MILLISECOND
        self._last = last = max(self._last + 1, self._milliseconds << _COUNT_BITS)
        count = last & _COUNT_MASK
        return (last - count << _PROCESS_BITS) | self._process << _COUNT_BITS | count
