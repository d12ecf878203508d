"""When a lane that failed is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from messaging.domain.models import Hook, Message
from messaging.webhooks.lanes import MAX_REMEMBERED, Lanes, in_order, is_hopeless, pause_seconds

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def created(number: int) -> Hook:
    """Of a message with this id."""
    message = Message(
        id=number,
        conversation_id="c",
        seq=number,
        sender_id="a",
        sender_seq=number,
        content="",
        created_at=NOW,
    )
    return Hook(id=number, lane="c", type="message.created", at=NOW, message_id=number, message=message)


def other(number: int, about: int | None = None, type_: str = "message.edited") -> Hook:
    """Of something else."""
    return Hook(id=number, lane="c", type=type_, at=NOW, message_id=about)


@pytest.mark.parametrize(
    ("hooks", "limit", "told"),
    [
        ([], 9, []),
        ([created(1), created(3), other(2), other(4)], 9, [1, 2, 3, 4]),
        ([created(1), created(3), other(2, about=3)], 9, [1, 3, 2]),
        ([created(5), other(9, type_="conversation.created")], 9, [9, 5]),
        ([created(1), created(3), other(2), other(4)], 2, [1, 2, 3]),
        ([created(1), created(3), other(9, about=1)], 2, [1, 3]),
        ([other(7), other(8)], 9, [7, 8]),
    ],
)
def test_in_a_lane_time_decides_and_nothing_comes_before_what_it_is_about(
    hooks: list[Hook], limit: int, told: list[int]
) -> None:
    assert [hook.id for hook in in_order(hooks, limit)] == told


def test_pauses_double_up_to_a_bound() -> None:
    assert [pause_seconds(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_seconds(10_000) == 300
    assert pause_seconds(10_000, longest=30) == 30


def test_a_lane_rests_longer_after_each_failure_and_not_at_all_after_success() -> None:
    lanes = Lanes()
    assert not lanes.rests("c", 0)
    lanes.failed("c", 0)
    assert lanes.rests("c", 0.9)
    assert not lanes.rests("c", 1.0)
    assert not lanes.rests("d", 0)
    lanes.failed("c", 1)
    assert lanes.rests("c", 2.9)
    lanes.worked("c")
    assert not lanes.rests("c", 2.9)
    lanes.failed("c", 3)
    assert not lanes.rests("c", 4.0)


def test_what_is_remembered_has_a_bound() -> None:
    lanes = Lanes()
    for number in range(MAX_REMEMBERED + 5):
        lanes.failed(str(number), 0)
    assert not lanes.rests("0", 0)
    assert lanes.rests(str(MAX_REMEMBERED), 0)


def test_what_is_three_days_old_is_hopeless() -> None:
    assert not is_hopeless(NOW - timedelta(days=2), NOW)
    assert is_hopeless(NOW - timedelta(days=4), NOW)
