"""What processes write to each other about the polls and posts of sessions that live in another one. Pure.

asker → owner   poll, post      a request of its client        still   is there no answer yet?
                taken, missed   the answer was written to the client, or could not be
                here, gone      the client still waits, or has hung up
owner → asker   answer          with its HTTP status           check   does the client still wait?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

POLL, POST, STILL, TAKEN, MISSED, HERE, GONE = "poll", "post", "still", "taken", "missed", "here", "gone"
ANSWER, CHECK = "answer", "check"


@dataclass(frozen=True, slots=True)
class Letter:
    """One of them. `question` is the asker's number of the request; `about` a sid, or an HTTP status."""

    kind: str
    question: str
    sender: str
    about: str = "-"
    body: str = ""

    def encode(self) -> bytes:
        """A line, and the body."""
        return f"{self.kind} {self.question} {self.sender} {self.about}\n{self.body}".encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What `encode` made. ValueError for what it did not."""
        line, separator, body = data.partition(b"\n")
        words = line.decode().split(" ")
        if not separator or len(words) != 4:
            raise ValueError("not a letter")
        kind, question, sender, about = words
        return cls(kind, question, sender, about, body.decode())
