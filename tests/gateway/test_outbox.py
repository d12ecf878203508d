"""An outbox keeps order and knows its bounds."""

from __future__ import annotations

import pytest

from messaging.gateway.outbox import Outbox


def test_it_gives_back_in_order_what_it_took() -> None:
    outbox: Outbox[str] = Outbox(max_frames=9, max_bytes=9)
    for letter in "abc":
        assert outbox.append(letter)
    taken = outbox.take_all(max_bytes=2)
    assert [data for data, _ in taken] == ["a", "b"]
    outbox.put_back(taken)
    assert [data for data, _ in outbox.take_all()] == ["a", "b", "c"]
    assert len(outbox) == 0
    with pytest.raises(IndexError):
        outbox.take()


def test_one_entry_is_given_even_when_it_is_larger_than_asked_for() -> None:
    outbox: Outbox[str] = Outbox(max_frames=9, max_bytes=9)
    outbox.append("long")
    assert outbox.take_all(max_bytes=1) == [("long", True)]


def test_live_entries_count_by_number_and_size_and_history_does_not() -> None:
    outbox: Outbox[str] = Outbox(max_frames=2, max_bytes=10)
    assert outbox.append("x" * 100, live=False)
    half_full = [outbox.half_full]
    assert outbox.append("a")
    half_full.append(outbox.half_full)
    assert half_full == [False, True]
    assert outbox.append("b")
    assert not outbox.append("c")
    outbox.clear()
    assert outbox.append("x" * 10)
    assert not outbox.append("y")


def test_what_is_put_back_counts_again() -> None:
    outbox: Outbox[bytes] = Outbox(max_frames=1, max_bytes=10)
    outbox.append(b"a")
    taken = outbox.take_all()
    assert outbox.append(b"b")
    outbox.put_back(taken)
    assert not outbox.append(b"c")
