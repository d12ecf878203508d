"""Offsets say where a client stands, and what is none is told apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.commands import PutConversation
from messaging.gateway.offset import (
    MAX_OFFSET_CHARACTERS,
    MAX_RECENT_READS,
    Reached,
    Told,
    Trail,
    mark_of,
    point,
    read,
    reader_mark_of,
    told,
)
from tests.gateway.house import built
from tests.stores.build import T0

IDS = st.text(min_size=1, max_size=128)
NUMBERS = st.integers(min_value=0, max_value=2**53 - 1)


@given(st.dictionaries(IDS, st.tuples(NUMBERS, NUMBERS), max_size=5), st.sampled_from("ab"))
def test_an_offset_says_what_the_trail_has_reached(places: dict[str, tuple[int, int]], tag: str) -> None:
    trail = Trail(tag, 1_764_000_000_000)
    for where, (seq, rev) in places.items():
        trail.reach(point(where, mark_of(where), seq, rev))
    found = read(trail.offset)
    assert found is not None
    assert (found.tag, found.reads) == (tag, 1_764_000_000_000)
    assert found.reached == {mark_of(where): Reached(*place) for where, place in places.items()}


@given(st.text(max_size=60))
def test_what_is_no_offset_is_none(text: str) -> None:
    found = read(text)
    assert found is None or text[0] in "ab"


@pytest.mark.parametrize(
    "text",
    [
        *("", "c", "a.", "a.x:1:2", "a.12345678:1", "a.12345678:1:-2", "a.12345678:1:2\n", "a.12345678:١:2"),
        *("hello", '{"a": 1}', "b.12345678:12345678901234567:0"),
        "a" + ".12345678:1:2" * MAX_OFFSET_CHARACTERS,
    ],
)
def test_what_is_nearly_an_offset_is_none(text: str) -> None:
    assert read(text) is None


def test_a_history_takes_nobody_back_behind_what_they_were_told() -> None:
    trail = Trail("a")
    trail.raise_to(point("7", mark_of("7"), 9, 2))
    trail.raise_to(point("7", mark_of("7"), 4, 2))
    assert trail.offset == f"a0.{mark_of('7')}:9:2"
    trail.leave("7")
    assert trail.offset == "a0"


def test_the_last_reads_stand_in_an_offset_until_all_from_their_time_are_known() -> None:
    trail = Trail("a", 1_000)
    for number in range(MAX_RECENT_READS):
        trail.told(Told(2_000 + number, told("7", f"u{number}", number, T0).text))
    found = read(trail.offset)
    assert found is not None
    assert (found.reads, len(found.readers)) == (1_000, MAX_RECENT_READS)
    assert found.readers[reader_mark_of("7", "u3")] == 3
    trail.told(told("7", "one more", 9, T0))
    assert trail.reads == 2_000, "the first is known by its time now"
    trail.read_up_to(2_000 + MAX_RECENT_READS)
    found = read(trail.offset)
    assert found is not None
    assert found.readers == {reader_mark_of("7", "one more"): 9}


async def test_what_is_told_in_a_conversation_ends_with_the_place_reached_in_all_that_was_joined() -> None:
    async with built() as house:
        for group in ("7", "8"):
            await house.one.do(PutConversation(conversation_id=group, member_ids=("ann", "bob", "cleo")))
        ann, bob, cleo = [await house.one.connect(name) for name in ("ann", "bob", "cleo")]
        for client, tag in ((ann, "a"), (bob, "a")):
            client.session.trail = Trail(tag)
            await client.join("7")
        await ann.join("8")
        await cleo.say("7", "hello")
        seven, eight = mark_of("7"), mark_of("8")
        assert places(ann.offsets) == [{seven: 0}, {seven: 0, eight: 0}, {seven: 1, eight: 0}]
        assert places(bob.offsets) == [{seven: 0}, {seven: 1}]
        await ann.call("leave-conversation", conversationId="7")
        await cleo.say("8", "hello")
        assert places(ann.offsets[-1:]) == [{eight: 1}]


async def test_who_cannot_come_back_is_told_no_offset() -> None:
    async with built() as house:
        await house.one.do(PutConversation(conversation_id="7", member_ids=("ann", "bob")))
        ann, bob = await house.one.connect("ann"), await house.one.connect("bob")
        bob.session.trail = Trail("a")
        await ann.join("7")
        await bob.join("7")
        await bob.say("7", "hello")
        assert ann.messages == [1]
        assert ann.offsets == []


def places(offsets: Sequence[str]) -> list[dict[str, int]]:
    """Up to which message each of these stands, by the mark of the conversation."""
    found = [read(offset) for offset in offsets]
    assert None not in found
    return [{mark: reached.seq for mark, reached in each.reached.items()} for each in found if each]
