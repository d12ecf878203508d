"""The real service exports spans to a real collector, and nothing of what anybody wrote."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.acceptance.stage import SECRET, Stage, new_id, say
from tests.conftest import Serve

TEXT = "what nobody else is to read"


async def test_spans_of_commands_and_store_calls_reach_the_collector(stage: Stage, serve: Serve) -> None:
    exported = bytearray()

    async def collect(request: web.Request) -> web.Response:
        exported.extend(await request.read())
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.add_routes([web.post("/v1/traces", collect)])
    collector = TestServer(app, host="127.0.0.1")
    async with collector:
        url = str(collector.make_url("")).rstrip("/")
        server = serve(
            {"JWT_SECRET": SECRET, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "chat"}
        )
        here = Stage(servers=(server,), clients=stage.clients, http=stage.http)
        alice = new_id()
        group = await here.group(alice)
        await say(await here.messaging(alice), group, TEXT)
        assert await asyncio.to_thread(server.stop) == 0
    for name in (b"command SendMessage", b"command PutConversation", b"store append", b"chat"):
        assert name in exported
    assert TEXT.encode() not in exported
