"""Garbage for P8: what the tables of commands and routes take, with something wrong in it, by chance."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from messaging.dialects import DIALECTS
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from messaging.dialects.rest import Route
from messaging.dialects.routes import ROUTES
from tests.faults import nonsense
from tests.websockets import ROOMS, UNIFIED, WS_CHAT, Protocol

NAMESPACES = [name for name, dialect in DIALECTS.items() if isinstance(dialect, Namespace)]
PLAIN: Mapping[str, Protocol] = {"ws-chat": WS_CHAT, "unified": UNIFIED, "rooms": ROOMS}
BROKEN_SHARE = 0.01
"""How many packets of Socket.IO are not even packets: each ends its connection."""
PIECES = [
    *nonsense.NO_VALUES[:12],
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\x00",
    "é",
    "💬",
    "\u202e",
    "null",
    "-",
]


class _Names(dict[str, str]):
    """What stands in a path, or anything."""

    def __missing__(self, _name: str) -> str:
        return "1"


def path_of(route: Route[Any], **names: str) -> str:
    """A path of a route."""
    return route.path.format_map(_Names(names))


class Garbage:
    """As much of it as anybody wants."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._events = {name: _events(name) for name in NAMESPACES}
        self._frames = {name: _frames(name) for name in PLAIN}
        self._bodies = [
            (route, body) for route in ROUTES if route.body is not None for body in nonsense.bodies(route)
        ]

    def packets(self, namespace: str, count: int) -> list[str]:
        """Engine.IO packets: most are events with wrong payloads, some are broken."""
        events = self._chance.choices(self._events[namespace], k=count)
        packets = [f"42/{namespace},{self._chance.randrange(1000)}{event}" for event in events]
        return [self._broken(text) if self._chance.random() < BROKEN_SHARE else text for text in packets]

    def frames(self, name: str, count: int) -> list[str | bytes]:
        """Frames of a plain WebSocket; most are broken, some are not even text."""
        texts = [self._broken(text) for text in self._chance.choices(self._frames[name], k=count)]
        return [text.encode() if self._chance.random() < 0.05 else text for text in texts]

    def bodies(self, count: int) -> list[tuple[Route[Any], bytes]]:
        """Requests with wrong or broken bodies."""
        chosen = self._chance.choices(self._bodies, k=count)
        return [
            (route, (self._broken(body) if self._chance.random() < 0.5 else body).encode(errors="replace"))
            for route, body in chosen
        ]

    def _broken(self, text: str) -> str:
        """The text with something else in one place, or a part of it twice, or less of it."""
        chance = self._chance
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randrange(8))
        middle = chance.choice(
            (chance.choice(PIECES), "", text[start:end] * 2, chr(chance.randrange(0xD800)))
        )
        return text[:start] + middle + text[end:]


def _events(name: str) -> list[str]:
    dialect = DIALECTS[name]
    assert isinstance(dialect, Namespace)
    rows = dialect.rows.values()
    named = [f'["{row.name}",{payload}]' for row in rows for payload in nonsense.payloads(row)]
    nameless = [f"[{text}]" for text in nonsense.NO_NAMES] + [f'["{text}",{{}}]' for text in nonsense.NAMES]
    return [text for text in named if len(text) < 2_000] + nameless * 20


def _frames(name: str) -> Sequence[str]:
    dialect, protocol = DIALECTS[name], PLAIN[name]
    assert isinstance(dialect, Frames)
    texts = []
    for row in dialect.rows.values():
        texts.append(json.dumps(protocol.frame(row.name, dict(row.example))))
        if protocol.body is not None:
            payloads = [text for text in nonsense.wrong_objects(row.form, row.example) if len(text) < 2_000]
            texts += [f'{{"type":"{row.name}","{protocol.body}":{text}}}' for text in payloads]
    return texts
