"""What is answered over HTTP by the transports themselves, for the documents of REST."""

from __future__ import annotations

from messaging.dialects.answers import TEXT, shape
from messaging.dialects.rest import Page, Who
from messaging.dialects.uploads import UPLOAD_PAGES

PAGES = (
    Page(
        name="getToken",
        method="GET",
        path="/api/messaging/token",
        who=Who.COOKIE,
        summary="The token of the HttpOnly cookie, for signing in over a socket",
        answer=shape(token=TEXT),
    ),
    Page(
        name="getHealth",
        method="GET",
        path="/healthz",
        who=Who.ANYBODY,
        summary="Whether the process lives",
        answer={"type": "object"},
    ),
    Page(
        name="getReadiness",
        method="GET",
        path="/readyz",
        who=Who.ANYBODY,
        summary="Whether it can serve; 503 while it cannot",
        answer={"type": "object"},
    ),
    Page(
        name="getMetrics",
        method="GET",
        path="/metrics",
        who=Who.METRICS,
        summary="Figures for Prometheus",
        media="text/plain",
        answer=TEXT,
    ),
    Page(
        name="getOpenApi",
        method="GET",
        path="/api/openapi.json",
        who=Who.ANYBODY,
        summary="This document",
        answer={"type": "object"},
    ),
    Page(
        name="getAsyncApi",
        method="GET",
        path="/api/asyncapi.json",
        who=Who.ANYBODY,
        summary="The document of the protocols of Socket.IO and WebSocket, in AsyncAPI 3.0",
        answer={"type": "object"},
    ),
    Page(
        name="getDocs",
        method="GET",
        path="/docs",
        who=Who.ANYBODY,
        summary="Both documents on one page, for people to read",
        media="text/html",
        answer=TEXT,
    ),
    *UPLOAD_PAGES,
)
