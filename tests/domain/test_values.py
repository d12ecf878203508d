"""Values are dataclasses to everybody who asks, and cannot be changed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

import orjson
import pytest

from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A book."""

    title: str
    pages: int = 1
    notes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    year: int

    @property
    def thick(self) -> bool:
        """Whether it is a long one."""
        return self.pages > 500

    def longer(self, by: int) -> Book:
        """Another edition."""
        return dataclasses.replace(self, pages=self.pages + by)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things in their order."""

    left: str
    right: Any = None


def test_a_value_cannot_be_changed() -> None:
    book = Book(title="a", year=1)
    with pytest.raises(AttributeError):
        book.pages = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        book.other = 2  # type: ignore[attr-defined]


def test_it_is_made_as_its_fields_say() -> None:
    book = Book(title="a", year=1)
    assert (book.title, book.pages, book.notes, book.year) == ("a", 1, {}, 1)
    assert Pair("a", 2) == Pair(left="a", right=2) != Pair("a")
    with pytest.raises(TypeError):
        Book("a", year=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Book(title="a")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Book(title="a", year=1, other=2)  # type: ignore[call-arg]


def test_each_has_a_default_of_its_own() -> None:
    one, other = Book(title="a", year=1), Book(title="a", year=1)
    assert one.notes is not other.notes


def test_equal_values_are_one_key() -> None:
    assert {Pair("a", 1): "x"}[Pair("a", 1)] == "x"
    assert len({Pair("a", 1), Pair("a", 1), Pair("b", 1)}) == 2


def test_it_has_what_its_class_has() -> None:
    book = Book(title="a", year=1).longer(by=500)
    assert book.thick
    assert book.pages == 501
    assert (Book.__doc__, Book.__name__, Book.__qualname__) == ("A book.", "Book", "Book")
    assert Book.__module__ == __name__


def test_it_is_a_dataclass() -> None:
    book = Book(title="a", year=1, notes={"b": 2})
    assert dataclasses.is_dataclass(book)
    assert [field.name for field in dataclasses.fields(Book)] == ["title", "pages", "notes", "year"]
    assert dataclasses.asdict(book) == {"title": "a", "pages": 1, "notes": {"b": 2}, "year": 1}
    assert orjson.loads(orjson.dumps(book)) == dataclasses.asdict(book)
    assert get_type_hints(Book)["year"] is int
    assert copy.deepcopy(book) == book


def test_it_can_be_taken_apart() -> None:
    match Pair("a", 1):
        case Pair(left, right):
            assert (left, right) == ("a", 1)
    match Book(title="a", year=1):
        case Book(title=title, year=year):
            assert (title, year) == ("a", 1)
