"""HTTP clients for tests, which leave nothing open behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


@asynccontextmanager
async def http_client(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """An aiohttp client; what WebSockets it still has open at the end are closed with it.

    aiohttp's own `close` cuts their connections, but lets the objects be collected at any later moment, by a
    test that knows nothing of them, with a warning that they were never closed.
    """
    upgraded: list[aiohttp.ClientResponse] = []

    async def note(_session: Any, _context: Any, end: aiohttp.TraceRequestEndParams) -> None:
        if end.response.status == 101:
            upgraded.append(end.response)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace], **options) as session:
        try:
            yield session
        finally:
            for response in upgraded:
                response.close()
