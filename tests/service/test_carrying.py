"""Carrying through: what was begun comes to its end, whoever waits."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.errors import Unavailable
from messaging.service.carrying import carried_through
from tests.gateway.house import until


async def test_what_nobody_waits_for_any_more_goes_on() -> None:
    may, done = asyncio.Event(), []

    async def work() -> None:
        await may.wait()
        done.append(True)

    waiting = asyncio.create_task(carried_through(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may.set()
    await until(lambda: done)


async def test_who_waits_hears_what_came_of_it() -> None:
    async def work(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    assert await carried_through(work(None)) == 7
    with pytest.raises(Unavailable):
        await carried_through(work(Unavailable()))


@pytest.mark.parametrize(("error", "lines"), [(Unavailable(), 0), (ZeroDivisionError(), 1)])
async def test_only_a_bug_is_worth_a_line_where_nobody_waits(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    may, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may.wait()
        ended.set()
        raise error

    waiting = asyncio.create_task(carried_through(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    may.set()
    await ended.wait()
    await until(lambda: len(caplog.records) == lines)
    assert waiting.cancelled()
