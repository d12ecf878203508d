"""Where devices stand, in MongoDB: one document per user, device and conversation in `positions`.

A device's document with conversation "" says that the device is known at all, and when it was last seen.
Each document is collected by the age of its own `seenAt`. Those of quiet conversations must not go while the
device is in use (it would be sent the whole conversation again), so they are refreshed, but not every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import UpdateMany, UpdateOne

from messaging.domain.models import Position

_KNOWN: Final = ""
_REFRESH_AFTER: Final = timedelta(days=1)

Update = UpdateOne | UpdateMany


def raised_positions(
    user_id: str, device: str, positions: Mapping[str, Position], at: datetime
) -> Sequence[Update]:
    """What raises the positions of the device and of "", in any order, and once or twice."""
    return [each for name in {device, ""} for each in _raised(user_id, name, positions, at)]


def _raised(user_id: str, device: str, positions: Mapping[str, Position], at: datetime) -> Sequence[Update]:
    whole = {"userId": user_id, "device": device}
    old = {**whole, "seenAt": {"$lt": at - _REFRESH_AFTER}}
    return [
        UpdateMany(old, {"$max": {"seenAt": at}}),
        *(
            UpdateOne({**whole, "conversationId": where}, {"$max": _raised_to(position, at)}, upsert=True)
            for where, position in {**positions, _KNOWN: Position()}.items()
        ),
    ]


def _raised_to(position: Position, at: datetime) -> dict[str, Any]:
    raised = {"seq": position.seq, "seenAt": at}
    return raised | {"rev": position.rev} if position.rev else raised


def positions_from(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Position] | None:
    """The positions that all documents of a device hold; None for no documents."""
    if not documents:
        return None
    return {
        each["conversationId"]: Position(each["seq"], each.get("rev", 0))
        for each in documents
        if each["conversationId"] != _KNOWN
    }
