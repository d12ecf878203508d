"""Lists that are told newest first, by a number that rises: where one goes on."""

from __future__ import annotations

import re

from messaging.domain.errors import InvalidFormat

_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


def before(told: str | None) -> int | None:
    """Below which number to go on, by the `next` of the last answer; None from the beginning. InvalidFormat
    for what no answer said."""
    if told is None:
        return None
    if not _NUMBER.fullmatch(told):
        raise InvalidFormat("This is not where a list went on.", field="next")
    return int(told)
