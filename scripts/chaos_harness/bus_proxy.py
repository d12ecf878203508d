"""A proxy before Redis that loses messages of the bus on purpose, and nothing else.

It knows as much of RESP2 as it takes to find where a reply ends and whether it is a pub/sub message.
"""

from __future__ import annotations

import random

from scripts.chaos_harness.proxy import Pipe, Proxy

MESSAGE = b"*3\r\n$7\r\nmessage\r\n"
LINE_END = b"\r\n"


def reply_end(data: bytes, start: int = 0) -> int | None:
    """Where the reply ends that begins at `start`, or None while not all of it is there."""
    line = data.find(LINE_END, start)
    if line < 0:
        return None
    kind, after = data[start : start + 1], line + len(LINE_END)
    if kind in b"+-:":
        return after
    length = int(data[start + 1 : line])
    if kind == b"$":
        end = after if length < 0 else after + length + len(LINE_END)
        return end if end <= len(data) else None
    assert kind == b"*", f"not RESP2: {data[start : start + 20]!r}"
    for _ in range(length):
        end_of_item = reply_end(data, after)
        if end_of_item is None:
            return None
        after = end_of_item
    return after


class BusProxy(Proxy):
    """Loses this share of the pub/sub messages; `lost` counts them."""

    def __init__(self, target_port: int, chance: random.Random) -> None:
        super().__init__(target_port)
        self.share = 0.0
        self.carried = self.lost = 0
        self._chance = chance
        self._parts: dict[Pipe, bytes] = {}

    def filter(self, pipe: Pipe, data: bytes) -> bytes:
        """The whole replies in `data` and what was there before, without those that are lost."""
        data = self._parts.pop(pipe, b"") + data
        kept, start = [], 0
        while (end := reply_end(data, start)) is not None:
            if not self._loses(data, start):
                kept.append(data[start:end])
            start = end
            if start == len(data):
                break
        if start < len(data):
            self._parts[pipe] = data[start:]
        return b"".join(kept)

    def _loses(self, data: bytes, start: int) -> bool:
        if not data.startswith(MESSAGE, start):
            return False
        self.carried += 1
        loses = self._chance.random() < self.share
        self.lost += loses
        return loses
