"""Nothing is handled before sign-in succeeded, whatever is tried (docs/design.md, Getting in)."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from messaging.domain.errors import RateLimited
from messaging.domain.models import Identity, Profile
from messaging.gateway import farewell
from messaging.transports.entrance import Entrance
from messaging.transports.handshake import Limits
from messaging.transports.origins import Origins
from tests.http import http_client
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import Echo, EchoApp
from tests.transports.socketio.raw import RawPolling, RawWebSocket, eventually


async def test_an_unknown_namespace_is_refused_in_the_official_words(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(namespaces={"/messaging": Echo(), "/chat": Echo()})
    ws = await RawWebSocket.open(http, app.url)
    assert await ws.connect("/nope") == '44/nope,{"message":"Invalid namespace"}'
    assert await ws.connect("/") == '44{"message":"Invalid namespace"}'
    assert (await ws.connect("/chat")).startswith('40/chat,{"sid":')


async def test_a_bad_token_is_told_why(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws = await RawWebSocket.open(http, app.url)
    answer = await ws.connect(auth={"token": "bad"})
    assert json.loads(answer[2:]) == {
        "message": "The token is bad.",
        "data": {"code": "AUTH_FAILED", "details": {}},
    }
    await ws.send('42["message","hello"]', '40{"token":"good"}')
    assert (await ws.next()).startswith('40{"sid":')
    assert (await app.main.client()).heard == []


@pytest.mark.parametrize(("token", "code"), [("bug", 1011), ("away", 1013)])
async def test_any_other_failure_closes_without_a_refusal(
    app: EchoApp, http: aiohttp.ClientSession, token: str, code: int
) -> None:
    ws = await RawWebSocket.open(http, app.url)
    assert await ws.connect(auth={"token": token}) is None
    assert ws.ws.close_code == code
    assert app.sockets == {}
    assert app.main.clients == []


async def test_a_parallel_post_waits_for_sign_in(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url)
    connecting = asyncio.create_task(client.post('40{"token":"slow"}'))
    await eventually(lambda: app.sockets[client.sid].busy)
    early = asyncio.create_task(client.post('42["message","early"]'))
    done, _ = await asyncio.wait({connecting, early}, timeout=0.2)
    assert not done
    assert app.main.clients == []
    app.main.gate.set()
    assert [await connecting, await early] == [(200, "ok")] * 2
    assert (await app.main.client()).heard == [("message", ["early"])]


async def test_events_of_somebody_outside_are_dropped(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws = await RawWebSocket.open(http, app.url)
    await ws.send('42["message","no"]', '42/custom,["message","no"]', '421["message","no"]')
    assert (await ws.connect()).startswith('40{"sid":')
    assert await ws.next() == '42["auth",{}]'
    assert (await app.main.client()).heard == []


async def test_the_answer_to_connect_comes_before_the_first_event(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    ws = await RawWebSocket.open(http, app.url)
    assert (await ws.connect("/custom", {"token": "123"})).startswith('40/custom,{"sid":')
    assert await ws.next() == '42/custom,["auth",{"token":"123"}]'


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting"])
async def test_reserved_names_reach_no_handler(app: EchoApp, http: aiohttp.ClientSession, name: str) -> None:
    ws = await RawWebSocket.open(http, app.url)
    await ws.connect()
    assert await ws.next() == '42["auth",{}]'
    await ws.send(f'427["{name}","x"]', '428[12,"x"]', '429[{"a":1},"x"]')
    assert [await ws.next() for _ in range(3)] == ["437[]", '438["x"]', '439["x"]']
    assert {heard for heard, _ in (await app.main.client()).heard} == {""}


async def test_who_enters_no_namespace_in_time_is_closed(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=Limits(connect_seconds=0.1))
    ws = await RawWebSocket.open(http, app.url)
    assert await ws.closed() == farewell.NO_SIGN_IN.code
    polling = await RawPolling.open(http, app.url)
    assert (await polling.get()) == (200, "1")
    assert app.sockets == {}


async def test_who_leaves_during_sign_in_is_never_started(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url)
    connecting = asyncio.create_task(client.post('40{"token":"slow"}'))
    await eventually(lambda: app.sockets[client.sid].busy)
    app.sockets[client.sid].end(farewell.LOST)
    app.main.gate.set()
    await connecting
    assert (await app.main.client()).farewells == [farewell.LOST]
    assert app.server.manager.rooms == {}


async def test_the_token_may_come_with_the_first_request(app: EchoApp, http: aiohttp.ClientSession) -> None:
    by_query = await RawWebSocket.open(http, app.url, token="bad")
    assert (await by_query.connect()).startswith("44{")
    assert (await by_query.connect(auth={"token": "good"})).startswith("40{")


class Strict:
    """A gateway that knows one good token and has had enough of everybody else."""

    draining = False

    def __init__(self) -> None:
        self.failures = 0

    async def sign_in(self, token: str | None, peer: str, dialect: str) -> Identity:  # noqa: ARG002  as the gateway
        if token == "good":
            return Identity(profile=Profile(id="alice"))
        self.failures += 1
        raise RateLimited("Too many failed sign-ins.", retryAfter=7)


async def test_after_too_many_failures_a_bad_token_is_refused_before_the_upgrade(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    gateway = Strict()
    entrance = Entrance(gateway)
    app = await start(entrance=entrance)
    with pytest.raises(RateLimited):
        await entrance.sign_in("bad", "127.0.0.1")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await RawWebSocket.open(http, app.url, token="bad")
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "7"
    assert (await (await RawWebSocket.open(http, app.url, token="good")).connect()).startswith("40")


async def test_an_address_has_a_limited_number_of_connections(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(entrance=Entrance(Strict(), max_connections_per_address=1))
    first = await RawWebSocket.open(http, app.url)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
        await RawWebSocket.open(http, app.url)
    await first.ws.close()
    await eventually(lambda: not app.sockets)
    await RawWebSocket.open(http, app.url)


async def test_a_cookie_counts_only_from_an_allowed_page(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(origins=Origins(("*", "https://app.example")))
    for origin, answer in (("https://app.example", "44{"), ("https://other.example", "40{")):
        headers = {"Origin": origin, "Cookie": "access_token=bad"}
        async with http_client(headers=headers) as browser:
            ws = await RawWebSocket.open(browser, app.url)
            assert (await ws.connect()).startswith(answer)
