"""Paced: what is due at once is done in its order, a little at a time."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise

from messaging.gateway import paced
from messaging.gateway.paced import Paced
from tests.gateway.house import until


async def test_errands_are_done_in_their_order_and_few_in_one_turn() -> None:
    errands = Paced(0.01)
    done: list[int] = []
    for number in range(paced.AT_ONCE * 3):
        errands.add(partial(done.append, number))
    steps: set[int] = set()
    while len(done) < paced.AT_ONCE * 3:
        await asyncio.sleep(0)
        steps.add(len(done))
    assert done == list(range(paced.AT_ONCE * 3))
    assert max(later - sooner for sooner, later in pairwise(sorted(steps))) <= paced.AT_ONCE


async def test_an_errand_that_was_called_off_is_not_done() -> None:
    errands = Paced(0.01)
    done: list[int] = []
    errands.add(partial(done.append, 1))
    errands.add(partial(done.append, 2)).cancel()
    errands.add(partial(done.append, 3))
    await until(lambda: done == [1, 3])


async def test_an_errand_is_not_done_before_its_time_whatever_was_due_earlier() -> None:
    loop, errands = asyncio.get_running_loop(), Paced(0.05)
    done: list[float] = []
    errands.add(partial(done.append, 1))
    await asyncio.sleep(0.03)
    given = loop.time()
    errands.add(lambda: done.append(loop.time()))
    await until(lambda: len(done) == 2)
    assert done[1] - given >= 0.05 - 0.001


async def test_what_is_due_soon_after_others_is_done_together() -> None:
    loop, errands = asyncio.get_running_loop(), Paced(0.01, together=0.1)
    done: list[float] = []
    for _ in range(5):
        errands.add(lambda: done.append(loop.time()))
        await asyncio.sleep(0.015)  # each would be done before the next one is given
    await until(lambda: len(done) == 5)
    first, *others = done
    assert others[0] - first >= 0.1 - 0.001
    assert others[-1] - others[0] < 0.05
