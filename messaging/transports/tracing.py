"""W3C Trace Context over HTTP: what a request with a `traceparent` leads to belongs to its trace.

A WebSocket is one request: what its client does belongs to the trace that it connected in. A poll carries its
own.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from messaging.service import tracing


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For every request."""
    traceparent = tracing.parsed(request.headers.get("traceparent"))
    if not traceparent:
        return await handler(request)
    with tracing.tracing(traceparent):
        return await handler(request)
