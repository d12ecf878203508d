"""What operators and their tools ask over HTTP: is it alive, is it ready, what does it count."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from messaging.dialects import rest
from messaging.domain.errors import AuthFailed, ClientError
from messaging.gateway.gateway import Gateway
from messaging.service.ports import Bus, Store
from messaging.transports import strict_json
from messaging.transports.credentials import bearer
from messaging.transports.figures import together
from messaging.transports.neighbours import Neighbours

_CHECK_SECONDS = 1.5


class Operations:
    """Health, readiness and metrics of this process."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        bus: Bus,
        *,
        metrics_token: str | None,
        open_metrics: bool,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._gateway = gateway
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {"store": store.ping, "bus": bus.check}
        self._metrics_token = metrics_token
        self._open_metrics = open_metrics
        self._neighbours = neighbours

    def routes(self) -> list[web.RouteDef]:
        """What is served, and by whom."""
        return [
            web.get("/healthz", self.health),
            web.get("/readyz", self.readiness),
            web.get("/metrics", self.metrics),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """200 as long as the process answers at all."""
        return web.json_response({"status": "ok"})

    async def readiness(self, _request: web.Request) -> web.Response:
        """200 while clients should be sent here; 503, with what is wrong, while they should not."""
        if self._gateway.draining:
            return web.json_response({"status": "draining"}, status=503)
        if self._gateway.starting:
            return web.json_response({"status": "starting"}, status=503)
        outcomes = await asyncio.gather(*(_outcome(check) for check in self._checks.values()))
        parts = dict(zip(self._checks, outcomes, strict=True))
        ready = all(outcome == "ok" for outcome in outcomes)
        body = {"status": "ready" if ready else "unavailable", **parts}
        return web.json_response(body, status=200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """The counters of all workers, for whoever has the metrics token or a service's."""
        if not (self._open_metrics or await self._may_see_metrics(request)):
            refusal = rest.refusal(None, AuthFailed("Show METRICS_TOKEN, or a token of a service."))
            return web.Response(
                status=refusal.status,
                text=strict_json.dumps(refusal.body),
                content_type="application/json",
                headers={**refusal.headers, "WWW-Authenticate": "Bearer"},
            )
        if self._neighbours is None:
            text = generate_latest(self._gateway.metrics.registry)
        else:
            text = together(await self._neighbours.figures())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _may_see_metrics(self, request: web.Request) -> bool:
        token = bearer(request.headers.get("Authorization", ""))
        if not token:
            return False
        if self._metrics_token and hmac.compare_digest(token.encode(), self._metrics_token.encode()):
            return True
        try:
            identity = await self._gateway.ctx.tokens.verify(token)
            self._gateway.ctx.revocations.check(identity)
        except ClientError:
            return False
        return identity.service or identity.admin


async def _outcome(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except (ClientError, TimeoutError):
        return "unavailable"
    return "ok"
