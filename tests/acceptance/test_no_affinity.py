"""Several processes behind one address, without sticky sessions: workers that share a port, and servers that
share nothing but Redis behind a load balancer that sends each connection to the next."""

from __future__ import annotations

import asyncio
import json
from asyncio import to_thread
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import (
    FREELY,
    UPGRADE,
    Json,
    Stage,
    contents,
    heard,
    join,
    new_id,
    say,
    token,
)
from tests.clients import NodeClient, NodeClients
from tests.conftest import Serve
from tests.round_robin import round_robin
from tests.servers import ServerProcess

WORKERS = ("-m", "messaging", "serve", "--workers", "2")


@pytest.fixture(scope="module")
def workers(service: Service, on_mongodb_and_redis: dict[str, str]) -> tuple[ServerProcess, ...]:
    """One service of two workers."""
    return service(on_mongodb_and_redis, arguments=WORKERS)


@pytest.fixture(scope="module")
def servers(service: Service, on_mongodb_and_redis: dict[str, str]) -> tuple[ServerProcess, ...]:
    """Two servers, each by itself."""
    return service(on_mongodb_and_redis, 2)


@pytest.fixture(params=["workers", "servers"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where both processes are reached, whichever takes the connection."""
    running: tuple[ServerProcess, ...] = request.getfixturevalue(request.param)
    if request.param == "workers":
        yield running[0].url
        return
    async with round_robin(*(server.url for server in running)) as proxy:
        yield proxy.url


async def connected(
    clients: NodeClients, url: str, user: str, transports: tuple[str, ...] = ("polling",), **options: Json
) -> NodeClient:
    usual = {"auth": {"token": token(user)}, "transports": list(transports)}
    return await clients.connect(url, "/messaging", **{**usual, **options})


async def test_clients_that_only_poll_hear_everything_once_and_in_order(
    stage: Stage, clients: NodeClients, url: str
) -> None:
    names = [new_id() for _ in range(4)]
    group = await stage.group(*names)
    people = [await connected(clients, url, name) for name in names]
    for one in people:
        await join(one, group)
    sent = [f"{number}" for number in range(40)]
    for number, content in enumerate(sent):
        await say(people[number % 4], group, content)
    for one in people:
        await heard(one, sent[-1])
        assert contents(one) == sent
        assert not any(seen.kind == "disconnect" for seen in one.seen)


async def test_clients_that_upgrade_or_cannot_lose_nothing(
    stage: Stage, clients: NodeClients, url: str
) -> None:
    names = [new_id() for _ in range(8)]
    group = await stage.group(*names)
    people = [await connected(clients, url, name, UPGRADE) for name in names]
    for one in people:
        await join(one, group)
    sent = [f"{number}" for number in range(24)]
    for number, content in enumerate(sent):
        await say(people[number % 8], group, content)
    for one in people:
        await heard(one, sent[-1])
        assert contents(one) == sent
        assert not any(seen.kind == "disconnect" for seen in one.seen)


async def test_workers_take_upgrades_whichever_the_connection_comes_to(
    workers: tuple[ServerProcess, ...], clients: NodeClients
) -> None:
    people = [await connected(clients, workers[0].url, new_id(), UPGRADE) for _ in range(8)]
    for one in people:
        assert (await one.wait_for("upgrade")).fields["transport"] == "websocket"


async def test_a_client_whose_upgrade_comes_to_another_machine_stays_on_polling(
    servers: tuple[ServerProcess, ...], stage: Stage, clients: NodeClients
) -> None:
    def choose(first: bytes) -> str:
        return servers[b"transport=websocket" in first].url

    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    async with round_robin(choose=choose) as proxy:
        one = await connected(clients, proxy.url, alice, UPGRADE)
        other = await connected(clients, proxy.url, bob)
        for client in (one, other):
            await join(client, group)
        for number in range(10):
            await say(one, group, f"{number}")
            await heard(other, f"{number}")
        assert contents(one) == [f"{number}" for number in range(10)]
        assert {seen.kind for seen in one.seen} <= {"connect", "event", "ack"}


async def test_a_session_whose_process_is_gone_is_unknown(
    serve: Serve, on_mongodb_and_redis: dict[str, str], http: aiohttp.ClientSession
) -> None:
    here, there = (serve({**FREELY, **on_mongodb_and_redis}) for _ in range(2))
    async with http.get(f"{there.url}/socket.io/?EIO=4&transport=polling") as answer:
        sid = json.loads((await answer.text())[1:])["sid"]
    poll = asyncio.create_task(fetch(http, "GET", here.url, sid))
    assert await fetch(http, "POST", here.url, sid, "40/messaging,{}") == (200, "ok")
    assert (await poll)[0] == 200
    waiting = asyncio.create_task(fetch(http, "GET", here.url, sid))
    await asyncio.sleep(0.2)
    await to_thread(there.kill)
    unknown = (400, json.dumps({"code": 1, "message": "Session ID unknown"}, separators=(",", ":")))
    assert await waiting == unknown
    assert await fetch(http, "POST", here.url, sid, "2") == unknown


async def fetch(
    http: aiohttp.ClientSession, method: str, url: str, sid: str, body: str | None = None
) -> tuple[int, str]:
    """One request of a polling session."""
    query = {"EIO": "4", "transport": "polling", "sid": sid}
    async with http.request(method, f"{url}/socket.io/", params=query, data=body) as answer:
        return answer.status, await answer.text()
