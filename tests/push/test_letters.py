"""Users' letters are brought in turn, however many one of them has."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.pushing import Subscription
from messaging.push.letters import PER_USER, Letter, Letters

T0 = datetime(2026, 11, 20, tzinfo=UTC)


def letter(user_id: str, text: str = "") -> Letter:
    to = Subscription(
        user_id=user_id, endpoint=f"https://{user_id}.example", p256dh="", auth="", created_at=T0
    )
    return Letter(to=to, payload=text.encode(), topic="t")


def taken(letters: Letters) -> list[str]:
    """Whose letters are given out now, in order."""
    found = []
    while (each := letters.take()) is not None:
        found.append(each.to.user_id)
    return found


def test_one_user_with_thousands_of_letters_holds_up_nobody() -> None:
    letters = Letters()
    for number in range(3_000):
        letters.put(letter("slow", str(number)))
    for user_id in ("bob", "carol"):
        letters.put(letter(user_id))
    assert taken(letters) == ["slow", "bob", "carol", "slow"]  # and the slow one's are under way for ever
    for number in range(300):
        letters.put(letter(f"u{number}"))
    assert taken(letters) == [f"u{number}" for number in range(300)]


def test_each_users_letters_stay_in_order() -> None:
    letters = Letters()
    for number in range(5):
        letters.put(letter("alice", str(number)))
    seen = []
    while (each := letters.take()) is not None:
        seen.append(each.payload)
        letters.done(each)
    assert seen == [b"0", b"1", b"2", b"3", b"4"]
    assert len(letters) == 0


def test_the_oldest_of_who_has_most_is_thrown_away() -> None:
    letters = Letters()
    letters.put(letter("bob", "his"))
    for number in range(3):
        letters.put(letter("alice", str(number)))
    letters.drop()
    assert len(letters) == 3
    assert [each.payload for _ in range(3) if (each := letters.take())] == [b"his", b"1", b"2"]
    letters.drop()  # nothing is left to be


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "take", "done", "drop"]))))
def test_whatever_comes_no_letter_is_stuck_or_given_out_twice(steps: list[tuple[str, str]]) -> None:
    letters, out, count = Letters(), list[Letter](), 0
    for user_id, step in steps:
        match step:
            case "put":
                letters.put(letter(user_id))
                count += 1
            case "take" if (each := letters.take()) is not None:
                out.append(each)
                count -= 1
            case "done" if out:
                letters.done(out.pop(0))
            case "drop":
                letters.drop()
                count = max(0, count - 1)
            case _:
                pass
        assert len(letters) == count
        assert all(sum(o.to.user_id == u for o in out) <= PER_USER for u in "abc")
    for each in out:
        letters.done(each)
    left = 0
    while (each := letters.take()) is not None:
        letters.done(each)
        left += 1
    assert (left, len(letters)) == (count, 0)
