# ruff: noqa: SLF001  the tables that must be empty are nobody else's business
"""P8 and P14 in short: when all clients of a storm are gone, however they went, nothing of them is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from messaging.app import Service
from messaging.backplanes.memory import LocalCapacity
from messaging.settings import IN_MEMORY, Settings
from messaging.transports.socketio.engine import EngineServer
from messaging.transports.socketio.server import SIGN_IN_SECONDS, SocketServer
from scripts.chaos_harness.by_hand import Client, Gone, PollingCarrier, WebSocketCarrier
from scripts.chaos_harness.people import NO_LIMIT, SECRET, Crowd, crowd
from scripts.chaos_harness.record import until
from tests.conftest import Serve
from tests.servers import free_port

CLIENTS = 80
GRACE_SECONDS = 0.2
BASE_SECONDS = 5.0
USERS = [f"user{n}" for n in range(20)]


async def live(people: Crowd, chance: random.Random) -> None:
    """One client of the storm: comes as far as chance wants, and goes without a word."""
    carrier = await PollingCarrier.open(people.http, people.bases[0])
    ends = [before_sign_in, while_signing_in, mid_join, with_sends_in_flight, politely]
    try:
        if chance.random() < 0.2:
            await carrier.receive()  # a polling client that is never seen again
            await carrier.send('40/messaging,{"token":"bad"}' if chance.random() < 0.5 else "1")
        else:
            await chance.choice(ends)(people, chance.choice(USERS), chance)
    except (Gone, TimeoutError):
        pass


async def before_sign_in(people: Crowd, _user: str, _chance: random.Random) -> None:
    carrier = await WebSocketCarrier.open(people.http, people.bases[0])
    await carrier.receive()
    await vanish(carrier)


async def while_signing_in(people: Crowd, user: str, chance: random.Random) -> None:
    task = asyncio.create_task(people.connect(user))
    await asyncio.wait([task], timeout=chance.uniform(0, 0.02))
    task.cancel()
    for client in await asyncio.gather(task, return_exceptions=True):
        if isinstance(client, Client):
            await leave(client)


async def mid_join(people: Crowd, user: str, chance: random.Random) -> None:
    client = await people.connect(user, namespace="/messaging")
    for _ in range(3):
        await client.say("2", '["join-conversation",{"conversationId":"1"}]')
        await client.say("2", '["user-typing",{"conversationId":"1"}]')
        await client.say("2", f'["join-conversation",{{"conversationId":"room{chance.randint(1, 3)}"}}]')
    await leave(client)


async def with_sends_in_flight(people: Crowd, user: str, _chance: random.Random) -> None:
    client = await people.connect(user, namespace="/chat")
    await client.ask("conversation:join", {"conversationId": 1})
    for _ in range(30):
        await client.say("2", '["message:send",{"conversationId":1,"content":"x"}]')
    await leave(client)


async def politely(people: Crowd, user: str, chance: random.Random) -> None:
    client = await people.connect(user, polling=chance.random() < 0.5)
    await client.ask("join-conversation", {"conversationId": "1"})
    await client.say("1", "")
    await client.close()


async def leave(client: Client) -> None:
    assert isinstance(client.carrier, WebSocketCarrier)
    await vanish(client.carrier)
    await client.close()


async def vanish(carrier: WebSocketCarrier) -> None:
    carrier.abort()
    await carrier.close()


async def storm(people: Crowd, chance: random.Random) -> None:
    await people.group("1", *USERS)
    for _ in range(3):
        lives = (live(people, random.Random(chance.random())) for _ in range(CLIENTS))
        await asyncio.gather(*lives)


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def engine_of(app: web.Application) -> EngineServer:
    """The Engine.IO server that answers in this app."""
    handlers = (route.handler for route in app.router.routes())
    engines = [owner for h in handlers if isinstance(owner := getattr(h, "__self__", None), EngineServer)]
    return engines[0]


def left_over(service: Service, engine: EngineServer) -> dict[str, object]:
    """All tables that grow with clients, as far as something is in them."""
    gateway, sink, capacity = service.gateway, engine.sink, service.backplane.capacity
    assert isinstance(sink, SocketServer)
    assert isinstance(capacity, LocalCapacity)
    rooms = sink.manager.rooms.values()
    tables: dict[str, Any] = {
        "sessions": gateway.sessions,
        "channels": gateway.hub.channels,
        "followers": gateway.hub.followers,
        "tasks": gateway.tasks._running,
        "typists": service.ctx.typists._typists,
        "attendance": [gateway.attendance._wanted, gateway.attendance._told],
        "connections": range(sink.connections),
        "engine sockets": engine.sockets,
        "clients in rooms": range(sink.manager.population),
        "rooms": [room for namespace in rooms for room in namespace.values()],
        "connections of users and addresses": capacity.held,
    }
    return {name: list(table) for name, table in tables.items() if any(table)}


async def empty(service: Service, engine: EngineServer) -> None:
    """Wait until no table has anything in it; AssertionError names those that have."""
    try:
        async with asyncio.timeout(SIGN_IN_SECONDS + BASE_SECONDS):
            while left_over(service, engine):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(left_over(service, engine)) from None


async def test_after_a_storm_every_table_is_empty(chance: random.Random) -> None:
    settings = Settings(
        jwt_secret=SECRET,
        database_path=IN_MEMORY,
        presence_grace_seconds=GRACE_SECONDS,
        rate_limit_messages=NO_LIMIT,
        rate_limit_queries=NO_LIMIT,
        rate_limit_signals=NO_LIMIT,
        rate_limit_auth_failures=NO_LIMIT,
    )
    service = Service(settings)
    app = service.web_app()
    engine = engine_of(app)
    async with running(app) as url:
        before = asyncio.all_tasks()
        async with crowd(url) as people:
            await storm(people, chance)
        await empty(service, engine)
        await until(lambda: asyncio.all_tasks() <= {*before, asyncio.current_task()}, BASE_SECONDS, "tasks")


async def test_after_a_storm_no_connection_is_counted(
    serve: Serve, environment: dict[str, str], chance: random.Random
) -> None:
    server = serve(environment)
    async with crowd(server.url) as people:
        await storm(people, chance)
        opened = await people.metric("messaging_connections_opened_total")
        async with asyncio.timeout(BASE_SECONDS):
            while await people.metric("messaging_connections") != 0:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        client = await people.connect("user1")
        assert (await client.ask("list-conversations"))["success"]
        await client.close()
    print(f"{opened:.0f} connections came and went")  # noqa: T201
    assert opened > CLIENTS
    assert "Traceback" not in server.log
