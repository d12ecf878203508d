"""REST over HTTP: moves requests to the table of routes in `dialects/routes.py`, and answers back.

The token comes in the Authorization header; in the cookie for reading, or from an allowed Origin.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from messaging import __version__
from messaging.dialects import asyncapi, openapi, page, rest
from messaging.dialects.base import Request
from messaging.dialects.routes import ROUTES
from messaging.domain.commands import Actor, Command
from messaging.domain.errors import (
    AuthFailed,
    InvalidFormat,
    PayloadTooLarge,
    PermissionDenied,
)
from messaging.domain.models import Identity
from messaging.gateway.gateway import Gateway
from messaging.transports import strict_json
from messaging.transports.credentials import bearer
from messaging.transports.entrance import Entrance
from messaging.transports.origins import Origins
from messaging.transports.peer import peer_address

API = "/api/"
REST = "rest"
"""The dialect, as in metrics."""
COOKIE = "access_token"
READ_SECONDS = 20.0
"""How long a body may take to come in."""
WRITE_SECONDS = 20.0
"""How long a client may take nothing of what is written."""
WRITE_BYTES = 64 * 1024
"""How much is written at a time: a client that takes so much in `WRITE_SECONDS` is slow, and not gone."""
_READING = ("GET", "HEAD")
_ELSEWHERE = ("cross-site", "same-site")
"""What `Sec-Fetch-Site` says of requests that another site's page makes (W3C Fetch Metadata)."""

logger = logging.getLogger("messaging.http")


class Rest:
    """All routes under `/api/`."""

    def __init__(
        self, gateway: Gateway, entrance: Entrance, origins: Origins, *, trusted_hops: int = 0
    ) -> None:
        self._gateway = gateway
        self._entrance = entrance
        self._origins = origins
        self._trusted_hops = trusted_hops
        described, told = openapi.document(__version__), asyncapi.document(__version__)
        self._documents = {"/api/openapi.json": described, "/api/asyncapi.json": told}
        self._page = page.page(described, told)

    def routes(self) -> list[web.RouteDef]:
        """What is served, and by whom."""
        return [
            *(_definition(route.method, route.path, self._serving(route)) for route in ROUTES),
            web.get("/api/messaging/token", self.token),
            *(_definition("GET", path, _document(found)) for path, found in self._documents.items()),
            web.get("/docs", self.docs),
        ]

    def _serving(self, route: rest.Route[Any]) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            identity = await self.sign_in(request, in_query=route.download is not None)
            body = await _body(request)
            asked = route.request(request.match_info, request.query, body)
            if asked.command is None:
                return _response(rest.refusal(asked, asked.error or InvalidFormat()))
            return await self._answer(request, route, asked, identity)

        return serve

    async def _answer(
        self, request: web.Request, route: rest.Route[Any], asked: Request, identity: Identity
    ) -> web.StreamResponse:
        actor = Actor(identity=identity, service=identity.service, admin=identity.admin)
        started = time.monotonic()
        try:
            outcome = await self._gateway.perform(actor, cast(Command, asked.command))
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            refusal = self._gateway.refusal_of(error)
            self._gateway.metrics.failed(REST, refusal.code)
            return _response(rest.refusal(asked, refusal))
        self._gateway.count(REST, asked, started)
        if (file := route.file(outcome.reply)) is not None:
            return await self._send(request, file)
        return _response(route.respond(outcome.reply))

    async def _send(self, request: web.Request, file: rest.Download) -> web.StreamResponse:
        """Write a file page by page, as fast as the client takes it: so there is never more than one page.

        What goes wrong after the beginning cuts the connection, so that nobody takes a part for the whole.
        """
        headers = {**file.headers, **self.cors(request), "Content-Type": file.writing.media}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            if request.method != "HEAD":
                await _write(response, file)
        except ConnectionError:
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            self._gateway.refusal_of(error)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def token(self, request: web.Request) -> web.StreamResponse:
        """The token of the HttpOnly cookie, for a page of ours to sign in over a socket with."""
        origin, host = request.headers.get("Origin"), request.headers.get("Host")
        if not self._origins.trusts(origin, host) or request.headers.get("Sec-Fetch-Site") in _ELSEWHERE:
            raise PermissionDenied("Only this site's own pages may ask for the token.")
        token = request.cookies.get(COOKIE)
        if not token:
            raise AuthFailed("There is no access_token cookie.")
        await self._entrance.sign_in(token, self._peer(request), REST)
        return web.json_response({"token": token}, headers={"Cache-Control": "no-store"})

    async def docs(self, _request: web.Request) -> web.StreamResponse:
        """Both documents, for people to read."""
        return web.Response(text=self._page, content_type="text/html", headers=page.HEADERS)

    def middleware(self) -> Middleware:
        """Errors as JSON, CORS headers, and one line in the log, for every request under `/api/`."""

        @web.middleware
        async def api(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(API):
                return await handler(request)
            started = time.monotonic()
            response = await self._answered(request, handler)
            response.headers.update(self.cors(request))
            logger.info(
                "HTTP: Method=%s, Path=%s, Status=%d, Duration=%.3fs",
                request.method,
                request.path,
                response.status,
                time.monotonic() - started,
            )
            return response

        return api

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "OPTIONS":  # a browser asks whether a page may ask; the headers tell
            return web.Response(status=204)
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _response(rest.refusal(None, PayloadTooLarge()))
        except web.HTTPException as other:
            error = InvalidFormat("There is no such route." if other.status == 404 else other.reason)
            response = _response(rest.refusal(None, error, status=other.status))
            if "Allow" in other.headers:
                response.headers["Allow"] = other.headers["Allow"]
            return response
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            return _response(rest.refusal(None, self._gateway.refusal_of(error)))

    async def sign_in(self, request: web.Request, *, in_query: bool = False) -> Identity:
        """Who asks; `in_query` where the token may also stand in the URL. Raises AuthFailed."""
        token = bearer(request.headers.get("Authorization", ""))
        if not token and in_query:
            token = request.query.get("token", "")
        if not token and self._trusts_cookie(request):
            token = request.cookies.get(COOKIE)
        return await self._entrance.sign_in(token, self._peer(request), REST)

    def cors(self, request: web.Request) -> Mapping[str, str]:
        """What lets pages of other origins read the answer, where they may."""
        origin, host = request.headers.get("Origin"), request.headers.get("Host")
        return self._origins.headers(origin, host, preflight=request.method == "OPTIONS")

    def _trusts_cookie(self, request: web.Request) -> bool:
        if request.method in _READING:
            return True
        return self._origins.trusts(request.headers.get("Origin"), request.headers.get("Host"))

    def _peer(self, request: web.Request) -> str:
        forwarded = request.headers.getall("X-Forwarded-For", [])
        return peer_address(request.remote, forwarded, self._trusted_hops)


def _definition(method: str, path: str, handler: Handler) -> web.RouteDef:
    return web.get(path, handler) if method == "GET" else web.route(method, path, handler)  # GET has HEAD


def _document(document: openapi.Document) -> Handler:
    text = strict_json.dumps(document)

    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    return serve


async def _body(request: web.Request) -> object:
    """The JSON value that was sent, None for nothing; PayloadTooLarge, or InvalidFormat, for what is none."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            data = await request.read()
    except TimeoutError:
        raise InvalidFormat("The body takes too long to come in.") from None
    except (web.RequestPayloadError, ConnectionError):  # not encoded as it says, or cut
        raise InvalidFormat("The body cannot be read.") from None
    if not data:
        return None
    try:
        return strict_json.loads(data)
    except ValueError:
        raise InvalidFormat("The body must be JSON.") from None


async def _write(response: web.StreamResponse, file: rest.Download) -> None:
    await _write_text(response, file.writing.begin())
    async for items in file.pages:
        await _write_text(response, file.writing.page(items))
    await _write_text(response, file.writing.end())
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write_eof()


async def _write_text(response: web.StreamResponse, text: str) -> None:
    """As bytes; each write waits until the client has taken most of those before. TimeoutError for one that
    takes nothing for so long."""
    data = text.encode()
    for start in range(0, len(data), WRITE_BYTES):
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(data[start : start + WRITE_BYTES])


def _response(response: rest.Response) -> web.Response:
    return web.Response(
        status=response.status,
        text=strict_json.dumps(response.body),
        content_type="application/json",
        headers=dict(response.headers),
    )
