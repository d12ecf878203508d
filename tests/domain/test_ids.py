"""Ids: which values are one, what a direct conversation's says, and that new ones only rise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain import ids

T0 = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def is_user_id(text: str) -> bool:
    try:
        return ids.user_id(text) == text
    except ValueError:
        return False


user_ids = st.text(min_size=1, max_size=128).filter(is_user_id) | st.sampled_from(
    ["alice", "bob:x", "a%3Ab", "dm:a:b", "élise", "😀", "7", "a b", "%", ":"]
)


@given(user_ids, user_ids)
def test_a_direct_id_names_both_users_and_is_the_same_for_both(one: str, other: str) -> None:
    text = ids.direct_id(one, other)
    assert text == ids.direct_id(other, one)
    if one == other:
        assert ids.direct_members(text) is None
    else:
        assert ids.direct_members(text) == tuple(sorted((one, other)))
        assert ids.conversation_id(text) == text


@given(user_ids, user_ids, user_ids, user_ids)
def test_two_pairs_of_users_never_share_a_direct_id(a: str, b: str, c: str, d: str) -> None:
    assert (ids.direct_id(a, b) == ids.direct_id(c, d)) == (sorted((a, b)) == sorted((c, d)))


@pytest.mark.parametrize(
    "text",
    [
        "dm:", "dm:a", "dm:a:", "dm::b", "dm:b:a", "dm:a:a", "dm:a:b:c", "dm:a:%62", "dm:a:%ff", "dm:a:b%2f",
        "dm:a:system", "dm:a%3ab:c", "dm:a: b", "DM:a:b", "dm:a:%00",
    ],
)  # fmt: skip
def test_only_the_one_spelling_of_a_direct_id_is_one(text: str) -> None:
    assert ids.direct_members(text) is None
    if text.startswith("dm:"):
        with pytest.raises(ValueError, match="direct"):
            ids.conversation_id(text)


@given(st.text(max_size=140))
def test_nobody_can_choose_an_id_that_is_a_direct_one(text: str) -> None:
    try:
        chosen = ids.chosen_conversation_id("dm:" + text)
    except ValueError:
        return
    pytest.fail(f"{chosen!r} was taken")


@given(st.integers())
def test_a_user_id_may_be_an_integer(number: int) -> None:
    text = str(number)
    if len(text) <= ids.MAX_ID_CHARACTERS:
        assert ids.user_id(number) == text


@pytest.mark.parametrize(
    "value",
    [None, True, False, 1.5, [], {}, {"$ne": None}, "", " a", "a\t", "a/b", "a\nb", "\ud800", "x" * 129],
)
def test_what_is_no_id_is_refused_everywhere(value: object) -> None:
    for read in (ids.user_id, ids.conversation_id, ids.chosen_conversation_id, ids.message_id):
        with pytest.raises(ValueError, match="must"):
            read(value)


def test_nobody_is_called_system() -> None:
    with pytest.raises(ValueError, match="reserved"):
        ids.user_id(ids.SYSTEM_USER)


@given(st.text(max_size=20) | st.integers(min_value=-5, max_value=2**60).map(str))
def test_a_numeric_id_reads_back_as_the_same_text(text: str) -> None:
    shown = ids.numeric(text)
    assert str(shown) == text
    plain = text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 2**53
    assert isinstance(shown, int) == plain


@given(st.integers(min_value=1, max_value=ids.MAX_INTEGER))
def test_a_message_id_is_the_same_as_a_number_or_in_decimal(number: int) -> None:
    assert ids.message_id(number) == ids.message_id(str(number)) == number


@pytest.mark.parametrize("value", [0, -1, 2**53, "0", "01", "+1", "1.0", "١", "1e3", "９"])
def test_other_numbers_are_no_message_ids(value: object) -> None:
    with pytest.raises(ValueError, match="must be a message id"):
        ids.message_id(value)


@given(st.lists(st.floats(min_value=-7200, max_value=7200), max_size=300), st.integers(0, 31))
def test_new_ids_rise_whatever_the_clock_does_and_fit_into_53_bits(jumps: list[float], process: int) -> None:
    now = T0
    source = ids.IdSource(lambda: now, process)
    made = []
    for jump in jumps:
        now = T0 + timedelta(seconds=jump)
        made += [source.next(), source.next()]
    assert made == sorted(set(made))
    assert all(1 <= number <= ids.MAX_INTEGER for number in made)
    assert {number >> 7 & 31 for number in made} <= {process}


def test_new_ids_are_roughly_ordered_by_time_over_all_processes() -> None:
    earlier = ids.IdSource(lambda: T0, 31).next()
    later = ids.IdSource(lambda: T0 + timedelta(milliseconds=1), 0).next()
    assert earlier < later


def test_processes_with_different_bits_never_make_the_same_id() -> None:
    sources = [ids.IdSource(lambda: T0, process) for process in range(32)]
    made = [source.next() for source in sources for _ in range(500)]
    assert len(set(made)) == len(made)


def test_ids_last_beyond_2090() -> None:
    far = datetime(2091, 1, 1, tzinfo=UTC)
    assert ids.IdSource(lambda: far, 31).next() <= ids.MAX_INTEGER


@given(st.datetimes(datetime(2025, 1, 1), datetime(2094, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_id_tells_when_it_was_made(time: datetime) -> None:
    made = ids.time_of(ids.IdSource(lambda: time).next())
    assert timedelta(0) <= time - made < timedelta(milliseconds=1)


def test_any_message_id_has_some_time() -> None:
    assert ids.time_of(1) < ids.time_of(ids.MAX_INTEGER)
