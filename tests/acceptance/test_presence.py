"""Presence of a user over all devices, namespaces and settings."""

from __future__ import annotations

import aiohttp
import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import FREELY, Stage, call, new_id, say
from tests.clients import NodeClient, NodeClients
from tests.conftest import Serve
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def servers(service: Service) -> tuple[ServerProcess, ...]:
    """One process whose large groups begin at four members."""
    return service({"PRESENCE_MAX_MEMBERS": "3"})


async def contacts(stage: Stage) -> tuple[NodeClient, str, str]:
    """Alice's client, a contact of hers who is not here, and their group."""
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    return await stage.messaging(alice), bob, group


def told(client: NodeClient) -> list[tuple[str, str]]:
    """What was told of whose status."""
    return [
        (seen.name, seen.data["userId"])
        for seen in client.events()
        if seen.name in ("user-online", "user-offline")
    ]


async def test_a_user_is_online_until_the_last_device_is_gone(stage: Stage) -> None:
    alice, bob, _ = await contacts(stage)
    phone, laptop = await stage.messaging(bob), await stage.chat(bob, transports=["polling"])
    await alice.wait_for("user-online")
    await phone.close()
    group = await stage.group(bob)
    await call(laptop, "conversation:join", conversationId=int(group))
    await laptop.close()
    gone = (await alice.wait_for("user-offline")).data
    assert gone["lastSeen"].endswith("Z")
    assert told(alice) == [("user-online", bob), ("user-offline", bob)]


async def test_a_short_absence_is_not_told(stage: Stage) -> None:
    alice, bob, group = await contacts(stage)
    client = await stage.messaging(bob, reconnectionDelay=10)
    await alice.wait_for("user-online")
    await client.break_connection()
    await client.wait_for("connect", since=client.seen.index(await client.wait_for("disconnect")))
    carol = new_id()
    await stage.rest("PUT", f"/api/conversations/{group}/members/{carol}", {})
    marker = await stage.messaging(carol)
    await alice.wait_for("user-online", where=lambda seen: seen.data["userId"] == carol)
    await marker.close()
    await alice.wait_for("user-offline", where=lambda seen: seen.data["userId"] == carol)
    assert ("user-offline", bob) not in told(alice)


async def test_who_is_offline_by_choice_is_seen_nowhere(stage: Stage) -> None:
    alice, bob, group = await contacts(stage)
    client = await stage.messaging(bob)
    await alice.wait_for("user-online")
    await call(client, "set-status", status="offline")
    await alice.wait_for("user-offline")
    online = (await call(alice, "list-online-users", conversationId=group))["onlineUsers"]
    assert bob not in online
    assert (await stage.rest("GET", f"/api/users/{bob}/status")).body["online"] is False
    await call(client, "set-status", status="busy")
    again = await alice.wait_for("user-online", where=lambda seen: seen.data["status"] == "busy")
    assert again.data["userId"] == bob


async def test_away_and_busy_are_no_crossing_in_chat(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    chat = await stage.chat(alice)
    await call(chat, "conversation:join", conversationId=int(group))
    client = await stage.messaging(bob)
    for status in ("away", "busy", "online"):
        await call(client, "set-status", status=status)
    await say(client, group, "marker")
    await chat.wait_for("message:new")
    assert len(chat.events("user:online")) == 1
    assert not chat.events("user:offline")


async def test_strangers_and_members_of_large_groups_are_told_nothing_but_may_ask(stage: Stage) -> None:
    names = [new_id() for _ in range(4)]
    group = await stage.group(*names)
    alice = await stage.messaging(names[0])
    await stage.messaging(names[1])
    await stage.messaging(new_id())
    friend = new_id()
    await stage.group(names[0], friend)
    await stage.messaging(friend)
    await alice.wait_for("user-online", where=lambda seen: seen.data["userId"] == friend)
    assert told(alice) == [("user-online", friend)]
    online = (await call(alice, "list-online-users", conversationId=group))["onlineUsers"]
    assert sorted(online) == sorted(names[:2])


async def test_presence_can_be_switched_off(
    serve: Serve, clients: NodeClients, http: aiohttp.ClientSession
) -> None:
    server = serve({**FREELY, "PRESENCE": "off"})
    stage = Stage(servers=(server,), clients=clients, http=http)
    alice, bob, group = await contacts(stage)
    client = await stage.messaging(bob)
    await say(client, group, "marker")
    await call(alice, "join-conversation", conversationId=group)
    await alice.wait_for("conversation-history")
    assert told(alice) == []
