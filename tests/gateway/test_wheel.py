"""Many deadlines on one wheel."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.gateway.paced import AT_ONCE
from messaging.gateway.wheel import NOWHERE, RESOLUTION_SECONDS, Deadlines, Wheel
from tests.gateway.house import until

ALL = 1_000
CLOCK_SECONDS = 0.002
"""How coarse the clocks of loops are."""


class Egg:
    """Is due, and writes down when."""

    def __init__(self) -> None:
        self.slot = NOWHERE
        self.due_at: list[float] = []

    def due(self) -> None:
        self.due_at.append(asyncio.get_running_loop().time())


def test_nobody_is_due_early_or_later_than_the_next_slot() -> None:
    wheel, egg = Wheel(0.25), Egg()
    wheel.put(egg, 10.1)
    assert wheel.take(10.1, ALL) == []
    assert wheel.next == 10.25
    assert wheel.take(10.25, ALL) == [egg]
    assert wheel.next is None


def test_who_is_put_again_is_due_at_the_later_time_alone() -> None:
    wheel, egg = Wheel(0.25), Egg()
    wheel.put(egg, 10.0)
    wheel.put(egg, 20.0)
    assert wheel.take(19.9, ALL) == []
    assert wheel.take(20.0, ALL) == [egg]


def test_who_is_dropped_is_not_due_and_may_be_dropped_again() -> None:
    wheel, egg, other = Wheel(0.25), Egg(), Egg()
    wheel.put(egg, 10.0)
    wheel.put(other, 10.0)
    wheel.drop(egg)
    wheel.drop(egg)
    assert wheel.take(10.0, ALL) == [other]


def test_so_many_are_taken_and_the_others_are_still_due() -> None:
    wheel, eggs = Wheel(0.25), [Egg() for _ in range(5)]
    for egg in eggs:
        wheel.put(egg, 10.0)
    first, second = wheel.take(11.0, 3), wheel.take(11.0, 3)
    assert (len(first), len(second)) == (3, 2)
    assert {*first, *second} == set(eggs)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100) | st.none(), st.floats(0, 100))))
def test_whatever_was_put_and_dropped_each_is_due_once_and_in_time(
    steps: list[tuple[int, float | None, float]],
) -> None:
    wheel, eggs, due, now = Wheel(0.25), [Egg() for _ in range(10)], dict[Egg, float](), 0.0
    for number, wait, passed in steps:
        egg = eggs[number]
        if wait is None:
            wheel.drop(egg)
            if egg in due:
                del due[egg]
        else:
            wheel.put(egg, now + wait)
            due[egg] = now + wait
        now += passed
        taken = wheel.take(now, ALL)
        assert len(taken) == len(set(taken))
        assert all(due[egg] <= now for egg in eggs if egg in taken)
        due = {egg: at for egg, at in due.items() if egg not in taken}
        assert all(at > now - 0.25 for at in due.values())


async def test_each_is_due_in_its_time_by_one_timer() -> None:
    deadlines, eggs, loop = Deadlines(), [Egg() for _ in range(6)], asyncio.get_running_loop()
    began = loop.time()
    for number, egg in enumerate(reversed(eggs)):
        deadlines.put(egg, 0.05 * (6 - number))
    gone = Egg()
    deadlines.put(gone, 0.1)
    deadlines.drop(gone)
    await until(lambda: eggs[-1].due_at != [])
    for number, egg in enumerate(eggs):
        assert len(egg.due_at) == 1
        assert egg.due_at[0] >= began + 0.05 * (number + 1) - CLOCK_SECONDS
    assert gone.due_at == []


async def test_where_very_many_are_due_few_are_in_one_turn() -> None:
    deadlines, eggs, turns = Deadlines(), [Egg() for _ in range(AT_ONCE * 3)], 0
    for egg in eggs:
        deadlines.put(egg, 0.0)
    async with asyncio.timeout(5):
        while not all(egg.due_at for egg in eggs):
            before = sum(len(egg.due_at) for egg in eggs)
            await asyncio.sleep(0)
            turns += (grown := sum(len(egg.due_at) for egg in eggs) - before) > 0
            assert grown <= AT_ONCE
    assert turns >= 3


async def test_one_that_fails_does_not_keep_the_others_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Egg):
        def due(self) -> None:
            raise KeyError("a bug")

    deadlines, eggs = Deadlines(), [Bad(), Egg(), Bad()]
    for egg in eggs:
        deadlines.put(egg, RESOLUTION_SECONDS)
    await until(lambda: eggs[1].due_at != [])
    assert "what was due failed" in caplog.text
