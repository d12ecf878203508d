"""Values: dataclasses that are frozen for the type checker, and cost no more than others at run time.

A frozen dataclass sets each field by `object.__setattr__`, which takes three times as long as setting it. A
message passes through half a dozen of them. So what nobody may change is watched over by mypy alone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, **options: Any) -> Any:
        """As `dataclasses.dataclass`; a frozen one is hashable, and only mypy keeps it from being changed."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)


__all__ = ["dataclass"]
