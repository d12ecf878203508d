"""Values: dataclasses that are made and frozen in C, by msgspec.

A message passes through more than a dozen of them, and a dataclass's own `__init__` takes four times as long
as that of a msgspec struct; that of a frozen one, which sets each field by `object.__setattr__`, far longer.
To everybody else they are dataclasses: `replace`, `fields`, `asdict` and orjson take them as such.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, kw_only: bool = False, frozen: bool = False, slots: bool = False) -> Any:
        """As `dataclasses.dataclass`. A struct has slots in any case, and mypy is to know it."""
        if not slots:
            raise TypeError("a value has slots")

        def made(cls: type) -> type:
            described = dataclasses.dataclass(cls, kw_only=kw_only)
            fields = dataclasses.fields(described)
            struct = msgspec.defstruct(
                cls.__name__,
                [_field(field) for field in fields],
                namespace=_own(cls, {field.name for field in fields}),
                module=cls.__module__,
                kw_only=kw_only,
                frozen=frozen,
            )
            struct.__dataclass_fields__ = described.__dataclass_fields__
            struct.__qualname__ = cls.__qualname__
            return struct

        return made


def _field(field: dataclasses.Field[Any]) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default is not dataclasses.MISSING:
        return field.name, field.type, field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return field.name, field.type


def _own(cls: type, fields: set[str]) -> dict[str, Any]:
    """What a class has besides its fields: methods, properties, its text."""
    made = {"__dict__", "__weakref__", "__init__", "__repr__", "__eq__", "__hash__", "__match_args__"}
    return {
        name: value
        for name, value in vars(cls).items()
        if name not in made | fields and not name.startswith("__dataclass")
    }


__all__ = ["dataclass"]
