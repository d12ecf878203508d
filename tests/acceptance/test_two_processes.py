"""Two processes with one MongoDB and one Redis are one service, also without Redis or when one dies."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread
from functools import partial
from itertools import count

import aiohttp
import pytest
import socketio

from tests.acceptance.conftest import Service
from tests.acceptance.stage import (
    FREELY,
    Json,
    Stage,
    call,
    contents,
    eventually,
    heard,
    join,
    new_id,
    refused,
    say,
    token,
)
from tests.clients import NodeClient, NodeClients
from tests.conftest import Serve
from tests.servers import RedisServer, ServerProcess


@pytest.fixture(scope="module")
def servers(service: Service, on_mongodb_and_redis: dict[str, str]) -> tuple[ServerProcess, ...]:
    """Two processes."""
    return service(on_mongodb_and_redis, 2)


async def apart(stage: Stage) -> tuple[NodeClient, NodeClient, str, tuple[str, str]]:
    """Alice on the first process and Bob on the second, in a group that both have joined; its id; theirs."""
    names = (new_id(), new_id())
    group = await stage.group(*names)
    alice, bob = [await stage.messaging(name, process=number) for number, name in enumerate(names)]
    for client in (alice, bob):
        await join(client, group)
    return alice, bob, group, names


# --- all that is heard across ------------------------------------------------------------------------


async def test_messages_typing_reads_and_unread_counts_cross(stage: Stage) -> None:
    alice, bob, group, (alice_id, bob_id) = await apart(stage)
    await alice.emit("user-typing", {"conversationId": group})
    assert (await bob.wait_for("user-typing")).data["userId"] == alice_id
    sent = await say(alice, group, "across")
    assert await heard(bob, "across") == sent
    await bob.wait_for("user-stopped-typing")
    unread = await bob.wait_for("unread-count-updated", where=lambda seen: seen.data["totalUnread"] == 1)
    assert unread.data["conversationId"] == group
    await call(bob, "mark-as-read", messageId=sent["id"])
    read = (await alice.wait_for("message-read")).data
    assert (read["messageId"], read["userId"]) == (sent["id"], bob_id)
    chat = await stage.chat(bob_id, process=1)
    await call(chat, "conversation:join", conversationId=int(group))
    await stage.post(alice_id, group, "by REST")
    assert (await chat.wait_for("message:new")).data["message"]["content"] == "by REST"


async def test_devices_on_both_processes_agree_on_what_is_unread(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    devices = [await stage.messaging(bob, process=process) for process in (0, 1)]
    message = await stage.post(alice, group, "hello")
    for device in devices:
        await device.wait_for("unread-count-updated", where=lambda seen: seen.data["totalUnread"] == 1)
    positions = [len(device.seen) for device in devices]
    await call(devices[0], "mark-as-read", messageId=message["id"])
    for device, position in zip(devices, positions, strict=True):
        counted = await device.wait_for("unread-count-updated", since=position)
        assert counted.data["totalUnread"] == 0


async def test_coming_and_going_is_told_across_and_online_users_are_those_of_both(stage: Stage) -> None:
    alice, bob, group, names = await apart(stage)
    await alice.wait_for("user-online", where=lambda seen: seen.data["userId"] == names[1])
    for client in (alice, bob):
        online = (await call(client, "list-online-users", conversationId=group))["onlineUsers"]
        assert sorted(online) == sorted(names)
    await bob.close()
    assert (await alice.wait_for("user-offline")).data["userId"] == names[1]


async def test_who_watches_a_room_is_known_to_both(stage: Stage) -> None:
    names = [new_id(), new_id()]
    clients = [await stage.messaging(name, process=number) for number, name in enumerate(names)]
    for client in clients:
        await join(client, "general")

    async def both(client: NodeClient) -> bool:
        online = (await call(client, "list-online-users", conversationId="general"))["onlineUsers"]
        return set(names) <= set(online)

    for client in clients:
        await eventually(partial(both, client))


async def test_new_and_changed_conversations_are_announced_across(stage: Stage) -> None:
    alice, bob = sorted([new_id(), new_id()])
    her, him = await stage.messaging(alice), await stage.messaging(bob, process=1)
    await say(her, f"dm:{alice}:{bob}", "just us")
    assert (await him.wait_for("conversation-updated")).data["id"] == f"dm:{alice}:{bob}"
    group = await stage.group(alice, bob)
    await him.wait_for("conversation-updated", where=lambda seen: seen.data["id"] == group)
    await stage.rest("PATCH", f"/api/conversations/{group}", {"name": "Salon"})
    await him.wait_for("conversation-updated", where=lambda seen: seen.data.get("name") == "Salon")


async def test_a_removed_member_hears_nothing_more_on_the_other_process(stage: Stage) -> None:
    alice, bob, group, (_, bob_id) = await apart(stage)
    gone = await stage.rest("DELETE", f"/api/conversations/{group}/members/{bob_id}", process=0)
    assert gone.status == 200
    told = (await bob.wait_for("conversation-updated")).data
    assert told == {"id": group, "removed": True}
    await say(alice, group, "without Bob")
    other = await stage.group(bob_id)
    await bob.wait_for("conversation-updated", where=lambda seen: seen.data["id"] == other)
    assert contents(bob) == []
    assert (await refused(bob, "join-conversation", conversationId=group))["code"] == "ROOM_NOT_FOUND"


async def test_everybody_sees_one_dense_order_of_what_both_write(stage: Stage) -> None:
    alice, bob, group, _ = await apart(stage)
    acks = [
        await client.send_with_ack("send-message", {"conversationId": group, "content": f"{name} {number}"})
        for number in range(100)
        for name, client in (("a", alice), ("b", bob))
    ]
    assert all(ack["success"] for ack in await asyncio.gather(*acks))
    orders = []
    for client in (alice, bob):
        await client.wait_for("new-message", where=lambda seen: seen.data["seq"] == 200)
        orders.append([(seen.data["seq"], seen.data["content"]) for seen in client.events("new-message")])
    assert orders[0] == orders[1]
    assert [seq for seq, _ in orders[0]] == list(range(1, 201))


async def test_the_same_client_message_id_on_both_at_once_stores_one_message(stage: Stage) -> None:
    alice, _, group, (alice_id, _) = await apart(stage)
    other = await stage.messaging(alice_id, process=1)
    words = {"conversationId": group, "content": "once", "clientMessageId": "d-1"}
    acks = [await client.send_with_ack("send-message", words) for client in (alice, other) * 4]
    answers = await asyncio.gather(*acks)
    assert len({answer["message"]["id"] for answer in answers}) == 1
    assert [message["content"] for message in await stage.stored(group, alice_id)] == ["once"]


async def test_what_another_program_emits_reaches_clients_of_both(
    stage: Stage, on_mongodb_and_redis: dict[str, str]
) -> None:
    alice, bob, group, _ = await apart(stage)
    stranger = await stage.messaging(new_id(), process=1)
    manager = socketio.RedisManager(on_mongodb_and_redis["REDIS_URL"], write_only=True)

    def emit(name: str, **to: Json) -> None:
        manager.emit(name, {"n": 1}, namespace="/messaging", **to)

    await to_thread(emit, "job-done", room=f"conversation:{group}")
    for client in (alice, bob):
        assert (await client.wait_for("job-done")).data == {"n": 1}
    await to_thread(emit, "to-all")
    await stranger.wait_for("to-all")
    assert not stranger.events("job-done")
    manager.redis.close()
    manager.pubsub.close()


# --- rate limits -------------------------------------------------------------------------------------


async def test_ten_messages_are_ten_over_both_processes_and_services_are_exempt(
    serve: Serve, on_mongodb_and_redis: dict[str, str], clients: NodeClients, http: aiohttp.ClientSession
) -> None:
    environment = {**FREELY, **on_mongodb_and_redis, "RATE_LIMIT_MESSAGES": "10/hour"}
    stage = Stage(servers=(serve(environment), serve(environment)), clients=clients, http=http)
    alice = new_id()
    group = await stage.group(alice)
    both = [await stage.messaging(alice, process=process) for process in (0, 1)]
    answers = [
        await both[number % 2].emit_with_ack(
            "send-message", {"conversationId": group, "content": str(number)}
        )
        for number in range(14)
    ]
    assert [answer["success"] for answer in answers] == [True] * 10 + [False] * 4
    assert answers[-1]["code"] == "RATE_LIMITED"
    assert answers[-1]["details"]["retryAfter"] > 0
    path = f"/api/conversations/{group}/messages"
    by_rest = await stage.rest("POST", path, {"content": "x"}, user=alice)
    assert (by_rest.status, by_rest.code) == (429, "RATE_LIMITED")
    assert int(by_rest.headers["Retry-After"]) >= 1
    for number in range(15):
        sent = await stage.rest("POST", path, {"content": str(number), "senderId": alice})
        assert sent.status == 201


async def test_a_user_has_a_limited_number_of_connections_over_both_processes(
    serve: Serve, on_mongodb_and_redis: dict[str, str], http: aiohttp.ClientSession
) -> None:
    environment = {**FREELY, **on_mongodb_and_redis, "MAX_CONNECTIONS_PER_USER": "3"}
    servers = [serve(environment), serve(environment)]

    async def connect(process: int) -> aiohttp.ClientWebSocketResponse:
        return await http.ws_connect(f"{servers[process].url}/ws/rooms?token={token(alice)}")

    alice = new_id()
    opened = [await connect(process) for process in (0, 1, 0)]
    with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
        await connect(1)
    await opened[0].close()

    async def room() -> bool:
        try:
            opened.append(await connect(1))
        except aiohttp.WSServerHandshakeError:
            return False
        return True

    await eventually(room)
    await asyncio.gather(*(ws.close() for ws in opened))


# --- faults ------------------------------------------------------------------------------------------


async def test_users_of_a_killed_process_go_offline_within_60_seconds(
    serve: Serve, on_mongodb_and_redis: dict[str, str], stage: Stage
) -> None:
    doomed = serve({**FREELY, **on_mongodb_and_redis})
    three = Stage(servers=(*stage.servers, doomed), clients=stage.clients, http=stage.http)
    alice, bob, carol = new_id(), new_id(), new_id()
    group = await stage.group(alice, bob, carol)
    watching = await three.messaging(alice)
    await three.messaging(bob, process=2, reconnection=False)
    stays = await three.messaging(carol, process=2, reconnection=False)
    await three.messaging(carol, process=1)
    for name in (bob, carol):
        await watching.wait_for("user-online", where=lambda seen, name=name: seen.data["userId"] == name)  # type: ignore[misc]
    await to_thread(doomed.kill)
    await stays.wait_for("disconnect")
    gone = await watching.wait_for("user-offline", timeout=55)
    assert gone.data["userId"] == bob
    online = (await call(watching, "list-online-users", conversationId=group))["onlineUsers"]
    assert sorted(online) == sorted([alice, carol])
    assert len(watching.events("user-offline")) == 1


@pytest.fixture
def fragile(
    serve: Serve, mongodb_uri: str, own_redis: RedisServer, clients: NodeClients, http: aiohttp.ClientSession
) -> Stage:
    """Two processes whose Redis may be stopped."""
    environment = {**FREELY, "MONGODB_URI": mongodb_uri, "REDIS_URL": own_redis.url}
    return Stage(servers=(serve(environment), serve(environment)), clients=clients, http=http)


async def measured(client: NodeClient, group: str, contents: list[str]) -> list[float]:
    """How long each ack took; all have to be successes."""
    seconds = []
    for content in contents:
        started = time.monotonic()
        await say(client, group, content)
        seconds.append(time.monotonic() - started)
    return sorted(seconds)


async def is_live(alice: NodeClient, bob: NodeClient, group: str) -> bool:
    """Whether a message gets across at once."""
    content = f"live? {next(_probes)}"
    await say(alice, group, content)
    try:
        await heard(bob, content, timeout=0.4)
    except AssertionError:
        return False
    return True


_probes = count(1)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_without_redis_acks_come_messages_arrive_late_and_then_at_once_again(
    fragile: Stage, own_redis: RedisServer, how: str
) -> None:
    alice, bob, group, _ = await apart(fragile)
    await say(alice, group, "before")
    await heard(bob, "before")
    await to_thread(own_redis.stop if how == "stopped" else own_redis.pause)
    sent = [f"without {number}" for number in range(30)]
    seconds = await measured(alice, group, sent)
    assert seconds[-1] <= 0.5
    await heard(bob, sent[-1], timeout=15)
    await to_thread(own_redis.start if how == "stopped" else own_redis.resume)
    await eventually(partial(is_live, alice, bob, group), 5)
    await say(alice, group, "after")
    await heard(bob, "after")
    received = [seen.data["seq"] for seen in bob.events("new-message")]
    assert received == list(range(1, len(received) + 1))


async def test_without_redis_everybody_still_comes_in_and_reads(
    fragile: Stage, own_redis: RedisServer
) -> None:
    alice = new_id()
    group = await fragile.group(alice)
    await to_thread(own_redis.stop)
    for namespace, command in (("/messaging", "join-conversation"), ("/chat", "conversation:join")):
        client = await fragile.connect(namespace, alice)
        await call(client, command, conversationId=group)
    assert (await fragile.rest("GET", "/api/conversations", user=alice)).status == 200
