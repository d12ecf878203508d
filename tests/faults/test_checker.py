"""The judges find the guilty: a checker that cannot fail proves nothing."""

from __future__ import annotations

from scripts.chaos_harness.checker import Fact, disorder, doubles, lost, phantom


def fact(seq: int, client_id: str | None = "", *, id: str = "") -> Fact:  # noqa: A002
    return Fact(client_id=f"c{seq}" if client_id == "" else client_id, id=id or f"m{seq}", seq=seq)


THREE = [fact(1), fact(2), fact(3)]


def test_what_was_acked_and_is_stored_is_not_lost() -> None:
    assert lost(THREE[:2], THREE) == []


def test_what_was_acked_and_is_not_stored_is_lost() -> None:
    assert lost(THREE, THREE[:2]) == [fact(3)]


def test_what_is_stored_as_something_else_than_the_ack_said_is_lost() -> None:
    assert lost([fact(1, id="other")], THREE) == [fact(1, id="other")]
    assert lost([fact(4, "c3")], THREE) == [fact(4, "c3")]


def test_what_somebody_sent_is_no_phantom_also_without_an_ack() -> None:
    assert phantom(THREE, {"c1", "c2", "c3", "c4"}) == []


def test_what_nobody_sent_is_a_phantom() -> None:
    assert phantom(THREE, {"c1", "c2"}) == [fact(3)]
    assert phantom([fact(1, None)], {"c1"}) == [fact(1, None)]


def test_one_message_per_client_message_id_is_no_double() -> None:
    assert doubles([*THREE, fact(4, None), fact(5, None)]) == []


def test_two_messages_of_one_client_message_id_are_a_double() -> None:
    assert doubles([*THREE, fact(4, "c2")]) == ["c2"]


def test_readers_who_saw_all_in_order_are_innocent() -> None:
    assert disorder({"a": THREE, "b": list(THREE)}, up_to=3) == []
    assert disorder({"a": []}, up_to=0) == []


def test_a_gap_a_repeat_a_swap_and_a_missing_tail_are_disorder() -> None:
    assert disorder({"a": [fact(1), fact(3)]}, up_to=3) == ["a saw 2 of 3; from place 1 on: [3]"]
    assert disorder({"a": [fact(1), fact(1), fact(2), fact(3)]}, up_to=3)
    assert disorder({"a": [fact(2), fact(1), fact(3)]}, up_to=3)
    assert disorder({"a": THREE[:2]}, up_to=3) == ["a saw 2 of 3; from place 2 on: []"]
    assert disorder({"a": THREE}, up_to=2) == ["a saw 3 of 2; from place 2 on: [3]"]


def test_two_readers_who_saw_different_messages_at_one_seq_are_disorder() -> None:
    other = [fact(1), fact(2, "x", id="other"), fact(3)]
    (complaint,) = disorder({"a": THREE, "b": other}, up_to=3)
    assert complaint.startswith("b saw")
