"""When a lane that failed is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from messaging.webhooks.lanes import MAX_REMEMBERED, Lanes, is_hopeless, pause_seconds


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
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert not is_hopeless(now - timedelta(days=2), now)
    assert is_hopeless(now - timedelta(days=4), now)
