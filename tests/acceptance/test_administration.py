"""Administrators see who is connected and send users away, over two processes with real clients."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import SERVICE, Json, Stage, call, eventually, join, new_id, token
from tests.servers import RedisServer, ServerProcess

COMPARISON_SECONDS = 3.0


@pytest.fixture(scope="module")
def servers(service: Service, on_mongodb_and_redis: dict[str, str]) -> tuple[ServerProcess, ...]:
    """Two processes that know administrators."""
    return service({**on_mongodb_and_redis, "ADMIN_ROLES": "boss"}, 2)


def fresh(user: str) -> str:
    """A token that was issued a moment from now: `iat` has whole seconds."""
    return token(user, iat=int(time.time()) + 2)


async def disconnect(stage: Stage, user: str, **body: Json) -> None:
    answer = await stage.rest("POST", f"/api/admin/users/{user}/disconnect", body or None)
    assert answer.status == 200, answer


async def test_all_connections_of_a_user_end_on_all_protocols_and_processes(
    stage: Stage, sockets: Sockets
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    raw = [
        await sockets.ws_chat(alice, process=1),
        await sockets.unified(alice, process=1),
        await sockets.rooms(alice, client="ws", process=0),
    ]
    official = [
        await stage.messaging(alice, process=1),
        await stage.chat(alice, process=0),
        await stage.messaging(alice, process=1, transports=["polling"]),
    ]
    other = await stage.messaging(bob, process=1)
    await join(other, group)
    await disconnect(stage, alice)
    assert [await socket.closed() for socket in raw] == [4403] * 3
    for socket in raw:
        assert any("AUTH_FAILED" in str(frame) for frame in socket.frames[-1:]), socket.frames
    for number, client in enumerate(official):
        gone = await client.wait_for("disconnect")
        assert (number, gone.fields["reason"]) == (number, "io server disconnect")
        assert client.events("error")[-1].data["code"] == "AUTH_FAILED"
    await call(other, "send-message", conversationId=group, content="still here")


async def test_old_tokens_are_refused_everywhere_and_new_ones_taken(stage: Stage) -> None:
    alice = new_id()
    old = token(alice)
    for process in (0, 1):
        assert (await stage.rest("GET", "/api/conversations", user=alice, process=process)).status == 200
    await disconnect(stage, alice)
    headers = {"Authorization": f"Bearer {old}"}

    async def refused_everywhere() -> bool:
        answers = [
            await stage.rest("GET", "/api/conversations", user=None, headers=headers, process=process)
            for process in (0, 1)
        ]
        return [answer.status for answer in answers] == [401, 401]

    await eventually(refused_everywhere)
    client = await stage.messaging(alice, process=1, wait=False, auth={"token": old})
    assert (await client.wait_for("connect_error")).fields["data"]["code"] == "AUTH_FAILED"
    again = await stage.messaging(alice, process=1, auth={"token": fresh(alice)})
    await join(again, "general")


async def test_without_revoking_the_user_may_come_back_with_the_same_token(stage: Stage) -> None:
    alice = new_id()
    client = await stage.messaging(alice, process=1)
    await disconnect(stage, alice, revoke=False)
    await client.wait_for("disconnect")
    await client.open()
    await client.wait_for("connect", since=len(client.seen) - 1)
    await join(client, "general")


async def test_a_revocation_outlives_the_process_that_took_it(
    stage: Stage, servers: tuple[ServerProcess, ...]
) -> None:
    alice = new_id()
    old = {"Authorization": f"Bearer {token(alice)}"}
    await disconnect(stage, alice)
    await to_thread(servers[0].kill)
    await to_thread(servers[0].start)
    answer = await stage.rest("GET", "/api/conversations", user=None, headers=old)
    assert answer.status == 401


async def test_administrators_are_those_with_the_role(stage: Stage) -> None:
    boss = {"Authorization": f"Bearer {token(new_id(), role='boss')}"}
    for path in ("/api/admin/connections", "/api/admin/stats"):
        assert (await stage.rest("GET", path, user=None, headers=boss)).status == 200
        assert (await stage.rest("GET", path, user=new_id())).status == 403
        assert (await stage.rest("GET", path, user=SERVICE)).status == 200
    path = f"/api/admin/users/{new_id()}/disconnect"
    assert (await stage.rest("POST", path, user=None, headers=boss)).status == 200


async def test_connections_of_all_processes_are_listed(stage: Stage) -> None:
    alice = new_id()
    await stage.messaging(alice, process=0)
    await stage.chat(alice, process=1)
    listed: list[Json] = []

    async def both() -> bool:
        answer = await stage.rest("GET", f"/api/admin/connections?userId={alice}")
        listed[:] = answer.body["connections"]
        return len(listed) == 2

    await eventually(both)
    assert {(each["userId"], each["dialect"]) for each in listed} == {(alice, "messaging"), (alice, "chat")}
    assert len({each["process"] for each in listed}) == 2
    assert listed[0].keys() == {"id", "userId", "process", "dialect", "address", "connectedAt"}

    async def counted() -> bool:
        stats = (await stage.rest("GET", "/api/admin/stats")).body
        return len(stats["processes"]) == 2 and stats["connections"].get("chat", 0) >= 1

    await eventually(counted)


async def test_without_redis_the_other_process_finds_out_within_one_comparison(
    service: Service, stage: Stage, mongodb_uri: str, own_redis: RedisServer
) -> None:
    pair = service({"MONGODB_URI": mongodb_uri, "REDIS_URL": own_redis.url}, 2)
    apart = Stage(servers=pair, clients=stage.clients, http=stage.http)
    alice = new_id()
    client = await apart.messaging(alice, process=1)
    await to_thread(own_redis.kill)
    await disconnect(apart, alice)
    began = asyncio.get_running_loop().time()
    await client.wait_for("disconnect", timeout=30)
    assert asyncio.get_running_loop().time() - began < COMPARISON_SECONDS + 5, "on a busy machine"
