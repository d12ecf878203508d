"""The part of the store that says where conversations end: all that has to be asked before what was read of
one a moment ago can be shown again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from messaging.domain.pages import End


class Ends(Protocol):
    """See `Store`, which this is a part of."""

    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        """Where each of these conversations ends; without those that do not exist. With the kept marks that
        cover any message past the seq given for it, in the same order whenever they are the same; with none
        where that is None."""
