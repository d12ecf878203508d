"""Clients come back by themselves after a restart and after storage was away; nothing acked is lost."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread
from collections.abc import Callable

import aiohttp
import pytest

from tests.acceptance.stage import FREELY, Json, Stage, call, eventually, heard, join, new_id, refused, say
from tests.clients import AckFailed, NodeClient, NodeClients
from tests.conftest import Serve
from tests.servers import MongoServer, ServerProcess

STORES = pytest.mark.parametrize("store", ["sqlite", "mongodb"])
SEEDS_CLIENT: dict[str, Json] = {
    "reconnectionAttempts": 5,
    "reconnectionDelay": 1000,
    "reconnectionDelayMax": 5000,
}
"""How often, and how soon, the client of the seed tries to come back."""
Make = Callable[..., Stage]


@pytest.fixture
def make(serve: Serve, clients: NodeClients, http: aiohttp.ClientSession) -> Make:
    """`make(environment)` starts a service that the test may stop."""

    def start(**environment: str) -> Stage:
        return Stage(servers=(serve({**FREELY, **environment}),), clients=clients, http=http)

    return start


def settings(store: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Those of a service on this store."""
    return {"MONGODB_URI": request.getfixturevalue("mongodb_uri")} if store == "mongodb" else {}


async def watching(stage: Stage, name: str, group: str, **options: Json) -> NodeClient:
    """A client that has joined the group."""
    client = await stage.messaging(name, **options)
    await join(client, group)
    return client


async def is_back(client: NodeClient, position: int) -> None:
    """The client, which nobody helps, has lost its connection and has another one."""
    lost = await client.wait_for("disconnect", since=position)
    assert lost.fields["reason"] in ("transport close", "transport error")
    await client.wait_for("connect", since=client.seen.index(lost), timeout=20)


# --- restarts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "stopped"])
@STORES
async def test_after_a_restart_clients_come_back_by_themselves_and_miss_nothing(
    make: Make, store: str, how: str, request: pytest.FixtureRequest
) -> None:
    stage = make(**settings(store, request))
    server = stage.servers[0]
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    ways: list[dict[str, Json]] = [{"transports": ["websocket"]}, {"transports": ["polling"]}, SEEDS_CLIENT]
    devices = [await watching(stage, bob, group, **way) for way in ways]
    chat = await stage.chat(alice)
    sent = [await stage.post(alice, group, "before")]
    for device in devices:
        await heard(device, "before")
    positions = [len(device.seen) for device in devices]
    await to_thread(server.kill if how == "killed" else server.stop)
    await to_thread(server.start)
    for device, position in zip(devices, positions, strict=True):
        await is_back(device, position)
    sent += [await stage.post(alice, group, "after")]
    for device in devices:
        await join(device, group, after=1)
        await device.wait_for("conversation-history", where=lambda seen: seen.data["messages"] == [sent[1]])
    await chat.wait_for("connect", since=chat.seen.index(await chat.wait_for("disconnect")))
    await call(chat, "message:send", conversationId=int(group), content="live")
    for device in devices:
        await heard(device, "live")
    assert [message["id"] for message in await stage.stored(group, bob)][:2] == [m["id"] for m in sent]


async def sending(client: NodeClient, group: str, acked: list[str], name: str) -> None:
    """Send, one after the other, until there is no answer any more."""
    for number in range(100_000):
        content = f"{name} {number}"
        words = {"conversationId": group, "content": content, "clientMessageId": content}
        try:
            answer = await client.emit_with_ack("send-message", words, timeout=3)
        except AckFailed:
            return
        if not answer["success"]:
            return
        acked.append(content)


@pytest.mark.parametrize(
    ("store", "how"), [("sqlite", "killed"), ("sqlite", "stopped"), ("mongodb", "killed")]
)
async def test_what_was_acked_before_the_end_is_there_after_it(
    make: Make, store: str, how: str, request: pytest.FixtureRequest
) -> None:
    stage = make(**settings(store, request))
    server = stage.servers[0]
    alice = new_id()
    group = await stage.group(alice)
    acked: list[str] = []
    senders = [await stage.messaging(alice, reconnection=False) for _ in range(8)]
    tasks = [asyncio.create_task(sending(client, group, acked, client.name)) for client in senders]

    async def has_begun() -> bool:
        return len(acked) > 300

    await eventually(has_begun, every=0.01)
    await to_thread(server.kill if how == "killed" else server.stop)
    await asyncio.gather(*tasks)
    await to_thread(server.start)
    stored = await stage.stored(group, alice)
    contents = [message["content"] for message in stored]
    assert set(acked) <= set(contents)
    assert len(set(contents)) == len(contents)
    assert [message["seq"] for message in stored] == list(range(1, len(stored) + 1))


# --- SIGTERM -----------------------------------------------------------------------------------------


async def test_at_sigterm_clients_are_sent_away_softly_and_the_exit_is_clean_and_soon(make: Make) -> None:
    stage = make()
    server = stage.servers[0]
    clients = [await stage.messaging(new_id(), transports=[way]) for way in ("websocket", "polling") * 3]
    started = time.monotonic()
    stopping = asyncio.create_task(to_thread(server.stop))
    statuses: list[int | None] = []

    async def is_not_ready() -> bool:
        statuses.append(await to_thread(server.status, "/readyz"))
        return statuses[-1] != 200

    await eventually(is_not_ready, 5, every=0.01)
    assert statuses[-1] in (503, None)
    assert await stopping == 0
    assert time.monotonic() - started < 20
    for client in clients:
        lost = await client.wait_for("disconnect")
        assert lost.fields["reason"] in ("transport close", "transport error")
    assert "Traceback" not in server.log
    await to_thread(server.start)
    for client in clients:
        await client.wait_for("connect", since=client.seen.index(await client.wait_for("disconnect")))


async def test_a_request_that_was_begun_before_sigterm_is_finished(make: Make) -> None:
    stage = make()
    alice = new_id()
    group = await stage.group(alice)
    client = await stage.messaging(alice)
    acks = [
        await client.send_with_ack("send-message", {"conversationId": group, "content": str(number)})
        for number in range(200)
    ]
    first = await acks[0]
    assert first["success"] is True
    await to_thread(stage.servers[0].stop)
    answers = await asyncio.gather(*acks, return_exceptions=True)
    acked = [a["message"]["id"] for a in answers if isinstance(a, dict) and a["success"]]
    await to_thread(stage.servers[0].start)
    stored = [message["id"] for message in await stage.stored(group, alice)]
    assert stored[: len(acked)] == acked


# --- storage that is away ----------------------------------------------------------------------------


async def test_while_mongodb_is_away_answers_say_so_and_afterwards_all_works_again(
    make: Make, own_mongodb: MongoServer
) -> None:
    stage = make(MONGODB_URI=own_mongodb.url)
    server = stage.servers[0]
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    her, him = await watching(stage, alice, group), await watching(stage, bob, group)
    await say(her, group, "before")
    await to_thread(own_mongodb.stop)
    path, words = f"/api/conversations/{group}/messages", {"content": "lost", "clientMessageId": "d-1"}
    answer, by_rest = await asyncio.gather(
        refused(her, "send-message", conversationId=group, **words),
        stage.rest("POST", path, words, user=alice),
    )
    assert answer["code"] == "UNAVAILABLE"
    assert (by_rest.status, by_rest.code) == (503, "UNAVAILABLE")
    assert (await stage.rest("GET", "/readyz", user=None)).status == 503
    assert (await stage.rest("GET", "/healthz", user=None)).status == 200
    newcomer = await stage.messaging(new_id(), wait=False)
    await newcomer.wait_for("disconnect", "reconnect_attempt")
    await to_thread(own_mongodb.start)

    async def is_ready() -> bool:
        return await to_thread(server.status, "/readyz") == 200

    await eventually(is_ready, 15)
    await say(her, group, "lost", clientMessageId="d-1")
    await heard(him, "lost")
    await newcomer.wait_for("connect", timeout=15)
    assert not [seen for seen in newcomer.seen if seen.kind == "connect_error" and seen.fields.get("data")]
    assert [message["content"] for message in await stage.stored(group, alice)][-1] == "lost"


async def test_a_service_that_starts_before_its_storage_is_ready_once_that_is_there(
    serve: Serve, own_mongodb: MongoServer, clients: NodeClients, http: aiohttp.ClientSession
) -> None:
    await to_thread(own_mongodb.stop)
    server = ServerProcess(own_mongodb.folder / "early", {**FREELY, "MONGODB_URI": own_mongodb.url})
    starting = asyncio.create_task(to_thread(server.start))
    try:

        async def is_alive() -> bool:
            return await to_thread(server.status, "/healthz") == 200

        await eventually(is_alive, 20)
        stage = Stage(servers=(server,), clients=clients, http=http)
        assert (await stage.rest("GET", "/readyz", user=None)).status == 503
        early = await stage.messaging("1", wait=False)
        await early.wait_for("reconnect_attempt")
        await to_thread(own_mongodb.start)
        await starting
        await early.wait_for("connect")
        await join(await stage.messaging("1"), "general")
    finally:
        server.kill()
