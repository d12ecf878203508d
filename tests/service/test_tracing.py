"""Which headers name a trace (W3C Trace Context, section 3.2), and how far it reaches."""

from __future__ import annotations

import asyncio

import pytest

from messaging.service import tracing
from messaging.service.hooks import TYPES
from tests.stage import staged

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        (TRACE, TRACE),
        ("cc" + TRACE[2:], TRACE),
        ("cc" + TRACE[2:] + "-what-comes-later", TRACE),
        (TRACE + "-more", ""),
        ("ff" + TRACE[2:], ""),
        (TRACE.upper(), ""),
        ("00-" + "0" * 32 + TRACE[35:], ""),
        (TRACE[:36] + "0" * 16 + "-01", ""),
        (TRACE[:-1], ""),
        (f" {TRACE}", ""),
        (TRACE + "\n", ""),
        ("cc" + TRACE[2:] + "-" + "x" * 500, ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_header_names_a_trace_or_none(header: str | None, parsed: str) -> None:
    assert tracing.parsed(header) == parsed


async def test_what_is_begun_within_a_trace_belongs_to_it() -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return tracing.current()

    assert tracing.current() == ""
    with tracing.tracing(TRACE):
        begun = asyncio.create_task(look())
        assert tracing.trace_id() == "0af7651916cd43dd8448eb211c80319c"
    assert tracing.current() == ""
    assert await begun == TRACE


async def test_webhooks_are_told_in_which_trace_it_happened() -> None:
    async with staged(webhooks=frozenset(TYPES)) as stage:
        alice = await stage.user("alice")
        with tracing.tracing(TRACE):
            await stage.group("1", "alice")
            await stage.send(alice, "1")
        await stage.send(alice, "1")
        traces = [hook.trace for hook in await stage.ctx.store.hooks("1", limit=10)]
        assert traces == [TRACE, "", TRACE]
