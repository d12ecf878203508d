"""Clients come back to where they stopped after a restart of all processes, and on another one."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable

import aiohttp
import pytest
import socketio

from tests.acceptance.stage import FREELY, Stage, call, heard, join, new_id
from tests.acceptance.test_recovery import is_back, texts, through
from tests.clients import NodeClients
from tests.conftest import Serve
from tests.proxy import Proxy

Make = Callable[..., Stage]


@pytest.fixture
def make(serve: Serve, clients: NodeClients, http: aiohttp.ClientSession) -> Make:
    """`make(environment, processes=1)` starts a service that the test may stop."""

    def start(processes: int = 1, **environment: str) -> Stage:
        servers = tuple(serve({**FREELY, **environment}) for _ in range(processes))
        return Stage(servers=servers, clients=clients, http=http)

    return start


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_after_a_restart_of_the_only_process_a_client_goes_on_where_it_stopped(
    make: Make, how: str
) -> None:
    stage = make()
    server = stage.servers[0]
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    async with Proxy.to(server.port) as proxy:
        client, chat = await through(proxy, stage, bob), await through(proxy, stage, bob, "/chat")
        await join(client, group)
        await call(chat, "conversation:join", conversationId=int(group))
        await stage.post(alice, group, "before")
        await heard(client, "before")
        await chat.wait_for("message:new")
        positions = len(client.seen), len(chat.seen)
        proxy.closed = True
        await to_thread(server.kill if how == "killed" else server.stop)
        await to_thread(server.start)
        await stage.post(alice, group, "missed")
        proxy.closed = False
        assert (await is_back(client, positions[0])).fields["recovered"] is True
        assert (await is_back(chat, positions[1])).fields["recovered"] is True
        await stage.post(alice, group, "live")
        await heard(client, "live")
        assert texts(client) == ["before", "missed", "live"]
        await chat.wait_for("message:new", where=lambda seen: seen.data["message"]["content"] == "live")
        said = [seen.data["message"]["content"] for seen in chat.events("message:new")]
        assert said == ["before", "missed", "live"]


async def test_a_client_goes_on_in_another_process_and_hears_what_other_programs_emit(
    make: Make, mongodb_uri: str, redis_url: str
) -> None:
    stage = make(2, MONGODB_URI=mongodb_uri, REDIS_URL=redis_url)
    one, other = stage.servers
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    program = socketio.RedisManager(redis_url, write_only=True)
    async with Proxy.to(one.port) as proxy:
        client = await through(proxy, stage, bob, transports=["polling", "websocket"])
        await join(client, group)
        await stage.post(alice, group, "before")
        await heard(client, "before")
        await to_thread(program.emit, "news", "a text", namespace="/messaging", room=f"conversation:{group}")
        news = await client.wait_for("news")
        assert news.args[0] == "a text", "what is at the end of it is no offset of ours"
        for number, target in enumerate((other, one, other)):
            position = len(client.seen)
            proxy.closed = True
            proxy.cut()
            await stage.post(alice, group, f"missed {number}")
            proxy.target, proxy.closed = target.port, False
            assert (await is_back(client, position)).fields["recovered"] is True
            await heard(client, f"missed {number}")
        await to_thread(one.kill)
        await Stage(servers=(other,), clients=stage.clients, http=stage.http).post(alice, group, "live")
        await heard(client, "live")
        assert texts(client) == ["before", "missed 0", "missed 1", "missed 2", "live"]
        sid = next(seen for seen in reversed(client.seen) if seen.kind == "connect").fields["sid"]
        await to_thread(program.emit, "yours", {"n": 1}, namespace="/messaging", room=sid)
        await client.wait_for("yours")
        await to_thread(program.emit, "news", "after", namespace="/messaging", room=f"conversation:{group}")
        await client.wait_for("news", where=lambda seen: seen.args[0] == "after")


async def test_without_recovery_nobody_gets_offsets_and_everybody_begins_anew(make: Make) -> None:
    stage = make(RECOVERY="off")
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    async with Proxy.to(stage.servers[0].port) as proxy:
        client = await through(proxy, stage, bob)
        await join(client, group)
        await stage.post(alice, group, "before")
        await heard(client, "before")
        position = len(client.seen)
        proxy.cut()
        assert (await is_back(client, position)).fields["recovered"] is False
        assert {len(seen.args) for seen in client.events()} == {1}
