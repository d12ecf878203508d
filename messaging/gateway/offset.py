"""Offsets: where a Socket.IO client stands, in a string that it gives back when it returns. Pure.

    a1764190000000.5kQx0Zp1:17:3.h2Wm9aLq:4:0~Zk3-_q:16
    ││             │        │  │              └ the mark of a reader, and up to which message: told as well
    ││             │        │  └ the last change (rev) of a message there
    ││             │        └ the last message (seq) there
    ││             └ the mark of a conversation that it joined
    │└ up to when it was told all that others read, in milliseconds since 1970
    └ the tag of its pid

An official client keeps the last argument of an event, where that is a string, and knows nothing of what it
says (docs/design.md, Coming back). It also returns an offset of an earlier pid, so consecutive pids of one
client have different tags; two are enough, and clients that stand in one and the same place share one text.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from messaging.domain.values import dataclass

TAGS = ("a", "b")
_MARK_BYTES = 6
_READER_MARK_BYTES = 5
MAX_RECENT_READS = 16
"""How many of the last reads stand in an offset one by one."""
_OFFSET = re.compile(
    r"([ab])([0-9]{0,16})((?:\.[A-Za-z0-9_-]{8}:[0-9]{1,16}:[0-9]{1,16})*)"
    r"((?:~[A-Za-z0-9_-]{6}:[0-9]{1,16})*)\Z"
)
MAX_OFFSET_CHARACTERS = 10_000
"""A longer one is of nobody who was ever here."""


def milliseconds(time: datetime) -> int:
    """Since 1970."""
    return round(time.timestamp() * 1000)


def mark_of(conversation_id: str) -> str:
    """A short name for a conversation, the same in every process; two conversations of one client share one
    as good as never (48 bits)."""
    return urlsafe_b64encode(blake2b(conversation_id.encode(), digest_size=_MARK_BYTES).digest()).decode()


class Reached(NamedTuple):
    """Up to where somebody was told everything of a conversation."""

    seq: int
    rev: int


@dataclass(frozen=True, slots=True)
class Point:
    """A place in one conversation, by seq and rev, and how it stands in an offset."""

    conversation_id: str
    at: tuple[int, int]
    text: str


def point(conversation_id: str, mark: str, seq: int, rev: int) -> Point:
    """The place after message `seq` and change `rev`."""
    return Point(conversation_id, (seq, rev), f".{mark}:{seq}:{rev}")


class Told(NamedTuple):
    """A read that a client was told: when it was made, and how it stands in an offset."""

    at: int
    text: str


_text_of = attrgetter("text")


def reader_mark_of(conversation_id: str, user_id: str) -> str:
    """A short name for a reader in a conversation."""
    both = f"{conversation_id}\0{user_id}".encode()
    return urlsafe_b64encode(blake2b(both, digest_size=_READER_MARK_BYTES).digest()).decode()[:6]


def told(conversation_id: str, user_id: str, cursor: int, at: datetime) -> Told:
    """That somebody read up to `cursor`."""
    return Told(milliseconds(at), f"~{reader_mark_of(conversation_id, user_id)}:{cursor}")


class Trail:
    """Where one client stands in all conversations that it joined: what ends all that it is told there."""

    __slots__ = ("_points", "_recent", "reads", "tag", "whole")

    def __init__(self, tag: str, reads: int = 0) -> None:
        self.tag = tag
        self.reads = reads
        self.whole = True
        """Whether it was told all reads up to then wherever it joined; not while it is still coming back."""
        self._points: dict[str, Point] = {}
        self._recent: list[Told] = []

    def reach(self, here: Point, reads: int = 0) -> bool:
        """The client is being told all up to here; and, by what is live, what others read up to then. Whether
        it stands nowhere else and was told no other reads: all who do so with one tag have one offset."""
        self._points[here.conversation_id] = here
        if reads > self.reads:  # seldom: it stands still for a while
            self.read_up_to(reads)
        return self.reads == reads and len(self._points) == 1 and not self._recent

    def raise_to(self, here: Point) -> None:
        """The same, unless it had been told more before."""
        known = self._points.get(here.conversation_id)
        if known is None or known.at <= here.at:
            self._points[here.conversation_id] = here

    def read_up_to(self, reads: int) -> None:
        """The client is told what others read up to then, by what is live."""
        if self.whole and reads > self.reads:
            self.reads = reads
            if self._recent:
                self._recent = [each for each in self._recent if each.at > reads]

    def told(self, read: Told) -> None:
        """The client is told this one. Few are remembered one by one; before them, all have been told."""
        self._recent.append(read)
        if len(self._recent) > MAX_RECENT_READS:
            first = min(self._recent, key=lambda each: each.at)
            self._recent.remove(first)
            self.reads = max(self.reads, first.at)

    def leave(self, conversation_id: str) -> None:
        """The client no longer hears a conversation."""
        self._points.pop(conversation_id, None)

    def point(self, conversation_id: str) -> Point | None:
        """Where the client stands there; None while it was told nothing."""
        return self._points.get(conversation_id)

    @property
    def offset(self) -> str:
        """The client's whole offset."""
        places = "".join(map(_text_of, self._points.values()))
        reads = "".join(map(_text_of, self._recent)) if self._recent else ""
        return f"{self.tag}{self.reads}{places}{reads}"


@dataclass(frozen=True, slots=True)
class Offset:
    """What an offset says: of which pid it is, and where its client stood, by mark."""

    tag: str
    reached: Mapping[str, Reached] = field(default_factory=dict)
    reads: int | None = None
    readers: Mapping[str, int] = field(default_factory=dict)


def read(text: str) -> Offset | None:
    """What an offset says; None for what is none."""
    found = _OFFSET.match(text) if len(text) <= MAX_OFFSET_CHARACTERS else None
    if found is None:
        return None
    reached = {}
    for part in found[3].split(".")[1:]:
        mark, seq, rev = part.split(":")
        reached[mark] = Reached(int(seq), int(rev))
    readers: dict[str, int] = {}
    for part in found[4].split("~")[1:]:
        reader, _, cursor = part.partition(":")
        readers[reader] = max(int(cursor), readers.get(reader, 0))
    return Offset(found[1], reached, int(found[2]) if found[2] else None, readers)
