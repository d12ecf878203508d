"""Rules are read as the limits library reads them, and counted exactly."""

from __future__ import annotations

import pytest

from messaging.backplanes.budgets import LocalLimits, Rule, parse_rules


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        ("  ", []),
        ("10/minute", [(10, 60)]),
        ("60/10 seconds;2000/hour", [(60, 10), (2000, 3600)]),
        ("1 per second, 5 per 2 days", [(1, 1), (5, 172_800)]),
    ],
)
def test_rules_are_read(text: str, rules: list[tuple[int, int]]) -> None:
    assert parse_rules(text) == tuple(Rule(amount=amount, seconds=seconds) for amount, seconds in rules)


@pytest.mark.parametrize("text", ["10", "ten/minute", "10/fortnight", "10/minute;", "0/minute", "-1/day"])
def test_other_texts_are_value_errors(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate limit|at least 1"):
        parse_rules(text)


def test_the_wait_is_until_the_oldest_take_is_over() -> None:
    clock = Clock()
    limits = LocalLimits({"b": "2/10 seconds"}, clock=clock)
    assert limits.take_now("b", "k") == 0
    clock.now = 4
    assert limits.take_now("b", "k") == 0
    clock.now = 5
    assert limits.take_now("b", "k") == 5
    clock.now = 10
    assert limits.take_now("b", "k") == 0
    assert limits.take_now("b", "k") == 4


def test_the_longest_wait_of_all_rules_counts_and_a_refusal_does_not() -> None:
    clock = Clock()
    limits = LocalLimits({"b": "1/second;3/minute"}, clock=clock)
    for now in (0, 1, 2):
        clock.now = now
        assert limits.take_now("b", "k") == 0
        assert limits.take_now("b", "k") > 0
    clock.now = 3
    assert limits.take_now("b", "k") == 57


def test_idle_keys_are_forgotten() -> None:
    clock = Clock()
    limits = LocalLimits({"b": "2/10 seconds"}, clock=clock)
    for user in range(100):
        limits.take_now("b", str(user))
    clock.now = 61
    limits.take_now("b", "new")
    assert limits.keys == 1
