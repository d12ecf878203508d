"""Unmodified socket.io-clients that lose the connection go on where they stopped: `socket.recovered`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.stage import (
    Json,
    Stage,
    call,
    eventually,
    heard,
    join,
    new_id,
    refused,
    say,
    token,
)
from tests.clients import NodeClient, Seen
from tests.proxy import Proxy


@pytest.fixture
async def proxy(stage: Stage) -> AsyncIterator[Proxy]:
    """The network between the clients of a test and the first process."""
    async with Proxy.to(stage.servers[0].port) as proxy:
        yield proxy


async def through(
    proxy: Proxy, stage: Stage, user: str, namespace: str = "/messaging", **options: Json
) -> NodeClient:
    """A client that connects through the proxy."""
    usual: dict[str, Json] = {
        "auth": {"token": token(user)},
        "transports": ["websocket"],
        "reconnectionDelay": 100,
        "reconnectionDelayMax": 300,
    }
    return await stage.clients.connect(proxy.url, namespace, **{**usual, **options})


async def is_back(client: NodeClient, since: int) -> Seen:
    """How the client came back from a loss after position `since`."""
    lost = await client.wait_for("disconnect", since=since)
    after = next(n for n, seen in enumerate(client.seen) if seen is lost)
    return await client.wait_for("connect", since=after, timeout=20)


def texts(client: NodeClient, since: int = 0) -> list[str]:
    """What the client heard in `/messaging` since then, in the order in which it came."""
    return [seen.data["content"] for seen in client.seen[since:] if seen.name == "new-message"]


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_after_a_cut_a_client_goes_on_where_it_stopped(
    stage: Stage, proxy: Proxy, transports: list[str]
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob, transports=transports)
    sid = client.seen[0].fields["sid"]
    await join(client, group)
    await stage.post(alice, group, "before")
    await heard(client, "before")
    position = len(client.seen)
    proxy.closed = True
    proxy.cut()
    for number in range(5):
        await stage.post(alice, group, f"missed {number}")
    proxy.closed = False
    back = await is_back(client, position)
    assert back.fields["recovered"] is True
    assert back.fields["sid"] == sid
    await stage.post(alice, group, "live")
    await heard(client, "live")
    assert texts(client) == ["before", *(f"missed {number}" for number in range(5)), "live"]
    assert [seen.name for seen in client.events("conversation-history")] == ["conversation-history"]


async def test_a_client_in_several_conversations_and_both_namespaces_goes_on_in_all_of_them(
    stage: Stage, proxy: Proxy
) -> None:
    alice, bob = new_id(), new_id()
    groups = [await stage.group(alice, bob) for _ in range(3)]
    client = await through(proxy, stage, bob, forceNew=False)
    chat = await through(proxy, stage, bob, "/chat", forceNew=False)
    for group in groups[:2]:
        await join(client, group)
    for group in groups[1:]:
        await call(chat, "conversation:join", conversationId=int(group))
    for group in groups:
        await stage.post(alice, group, f"before {group}")
    await heard(client, f"before {groups[1]}")
    await chat.wait_for("message:new", where=lambda seen: seen.data["message"]["content"].endswith(groups[2]))
    positions = len(client.seen), len(chat.seen)
    proxy.closed = True
    proxy.cut()
    for round_ in range(3):
        for group in groups:
            await stage.post(alice, group, f"missed {round_} {group}")
    proxy.closed = False
    assert (await is_back(client, positions[0])).fields["recovered"] is True
    assert (await is_back(chat, positions[1])).fields["recovered"] is True
    for group in groups:
        await stage.post(alice, group, f"live {group}")
    await heard(client, f"live {groups[1]}")
    await chat.wait_for(
        "message:new", where=lambda seen: seen.data["message"]["content"] == f"live {groups[2]}"
    )
    for group in groups[:2]:
        own = [text for text in texts(client) if text.endswith(group)]
        assert own == [f"before {group}", *(f"missed {n} {group}" for n in range(3)), f"live {group}"]
    assert not [text for text in texts(client) if text.endswith(groups[2])]
    for group in groups[1:]:
        said = [seen.data["message"]["content"] for seen in chat.events("message:new")]
        own = [text for text in said if text.endswith(group)]
        assert own == [f"before {group}", *(f"missed {n} {group}" for n in range(3)), f"live {group}"]


async def test_a_client_may_be_lost_again_and_again(stage: Stage, proxy: Proxy) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, group)
    for number in range(6):
        position = len(client.seen)
        proxy.cut()
        await stage.post(alice, group, f"{number}")
        assert (await is_back(client, position)).fields["recovered"] is True
        if number % 2:
            await heard(client, f"{number}")
    await heard(client, "5")
    assert texts(client) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
async def test_who_is_lost_while_many_missed_messages_come_misses_none_and_hears_none_twice(
    stage: Stage, proxy: Proxy, transports: list[str]
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob, transports=transports)
    sender = await stage.messaging(alice)
    await join(client, group)
    position = len(client.seen)
    proxy.closed = True
    proxy.cut()
    for start in range(0, 1_500, 50):
        said = [
            await sender.send_with_ack(
                "send-message", {"conversationId": group, "content": f"{number:04} " + "x" * 3_000}
            )
            for number in range(start, start + 50)
        ]
        await asyncio.gather(*said)
    proxy.closed = False
    back = await is_back(client, position)
    assert back.fields["recovered"] is True
    await client.wait_for("new-message", since=position)
    proxy.cut()
    assert (await is_back(client, position + 2)).fields["recovered"] is True
    await client.wait_for("new-message", where=lambda seen: seen.data["seq"] == 1_500, timeout=30)
    assert [seen.data["seq"] for seen in client.events("new-message")] == list(range(1, 1_501))


async def test_who_has_heard_nothing_yet_comes_back_to_what_came_meanwhile(
    stage: Stage, proxy: Proxy
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    await stage.post(alice, group, "long ago")
    idle = await through(proxy, stage, bob)
    chat = await through(proxy, stage, bob, "/chat")
    await call(chat, "conversation:join", conversationId=int(group))
    positions = len(idle.seen), len(chat.seen)
    proxy.closed = True
    proxy.cut()
    await stage.post(alice, group, "missed")
    proxy.closed = False
    assert (await is_back(idle, positions[0])).fields["recovered"] is True
    assert (await is_back(chat, positions[1])).fields["recovered"] is True
    await chat.wait_for("message:new")
    await stage.post(alice, group, "live")
    await chat.wait_for("message:new", where=lambda seen: seen.data["message"]["content"] == "live")
    assert [seen.data["message"]["content"] for seen in chat.events("message:new")] == ["missed", "live"]
    assert idle.events("new-message") == []


async def test_a_client_whose_old_connection_is_still_half_alive_hears_everything_once(
    stage: Stage, proxy: Proxy
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, group)
    await stage.post(alice, group, "before")
    await heard(client, "before")
    position = len(client.seen)
    proxy.stall()
    await stage.post(alice, group, "into the void")
    await client.break_connection()
    assert (await is_back(client, position)).fields["recovered"] is True
    await say(client, group, "here again")
    await heard(client, "here again")
    assert texts(client) == ["before", "into the void", "here again"]

    async def the_old_one_is_gone() -> bool:
        return f"WS_DISCONNECT: UserID={bob}," in stage.servers[0].log

    await eventually(the_old_one_is_gone)


async def test_who_left_or_was_removed_meanwhile_is_not_let_in_again(stage: Stage, proxy: Proxy) -> None:
    alice, bob = new_id(), new_id()
    left, lost = await stage.group(alice, bob), await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, left)
    await join(client, lost)
    await call(client, "leave-conversation", conversationId=left)
    position = len(client.seen)
    proxy.cut()
    assert (await is_back(client, position)).fields["recovered"] is True
    await stage.post(alice, left, "not for who left")
    await stage.post(alice, lost, "for who is there")
    await heard(client, "for who is there")
    position = len(client.seen)
    proxy.closed = True
    proxy.cut()
    await stage.rest("DELETE", f"/api/conversations/{lost}/members/{bob}")
    await stage.post(alice, lost, "not for who was removed")
    proxy.closed = False
    assert (await is_back(client, position)).fields["recovered"] is False
    assert (await refused(client, "join-conversation", conversationId=lost))["code"] == "ROOM_NOT_FOUND"
    assert texts(client) == ["for who is there"]


async def test_who_says_goodbye_begins_anew(stage: Stage, proxy: Proxy) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, group)
    position = len(client.seen)
    await client.disconnect()
    await client.open()
    assert (await client.wait_for("connect", since=position)).fields["recovered"] is False
    await stage.post(alice, group, "not joined")
    await join(client, group)
    await stage.post(alice, group, "joined again")
    await heard(client, "joined again")
    assert texts(client) == ["joined again"]


@pytest.mark.parametrize("offset", ["", "hello", "a.12345678:1", 7, None, {"a": 1}, "x" * 20_000])
async def test_with_an_offset_that_is_none_a_client_begins_anew(
    stage: Stage, proxy: Proxy, offset: Json
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, group)
    await stage.post(alice, group, "before")
    await heard(client, "before")
    position = len(client.seen)
    await client.set_auth({"token": token(bob), "offset": offset if offset is not None else False})
    proxy.closed = True
    proxy.cut()
    await stage.post(alice, group, "missed")
    proxy.closed = False
    back = await is_back(client, position)
    assert back.fields["recovered"] is False
    history = await join(client, group)
    assert history["lastSeq"] == 2
    assert texts(client) == ["before"]


async def test_nobody_comes_back_as_somebody_else(stage: Stage, proxy: Proxy) -> None:
    alice, bob, eve = new_id(), new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await through(proxy, stage, bob)
    await join(client, group)
    position = len(client.seen)
    await client.set_auth({"token": token(eve)})
    proxy.cut()
    assert (await is_back(client, position)).fields["recovered"] is False
    await stage.post(alice, group, "not for eve")
    assert (await refused(client, "join-conversation", conversationId=group))["code"] == "ROOM_NOT_FOUND"
    assert texts(client) == []


async def test_edits_deletions_reactions_and_reads_come_back_too(stage: Stage, proxy: Proxy) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    writer = await stage.messaging(alice)
    client = await through(proxy, stage, bob)
    await join(client, group)
    own = await say(client, group, "of bob")
    ids = [(await say(writer, group, f"{number}"))["id"] for number in range(3)]
    await heard(client, "2")
    position = len(client.seen)
    proxy.closed = True
    proxy.cut()
    await call(writer, "edit-message", messageId=ids[0], content="edited")
    await call(writer, "delete-message", messageId=ids[1])
    await call(writer, "add-reaction", messageId=ids[2], emoji="👍")
    await call(writer, "mark-as-read", messageId=own["id"])
    last = await say(writer, group, "missed")
    proxy.closed = False
    for _ in range(2):  # the second time there is nothing to be told
        assert (await is_back(client, position)).fields["recovered"] is True
        await stage.post(alice, group, "live")
        await heard(client, "live", since=position)
        names = ("new-message", "message-edited", "message-deleted", "reaction-updated", "message-read")
        told = [(seen.name, seen.data) for seen in client.seen[position:] if seen.name in names]
        if told[0][0] == "new-message" and told[0][1]["content"] == "live":
            break
        missed = [(name, data.get("messageId") or data["id"]) for name, data in told[:-1]]
        assert missed == [
            ("new-message", last["id"]),
            ("message-edited", ids[0]),
            ("message-deleted", ids[1]),
            ("reaction-updated", ids[2]),
            ("message-read", own["id"]),
        ]
        assert told[1][1]["content"] == "edited"
        position = len(client.seen)
        proxy.cut()
    else:
        pytest.fail("what was missed was told again")


@pytest.mark.parametrize(
    ("query", "agent", "takes"),
    [
        ("EIO=4&transport=websocket", "a browser", True),
        ("transport=websocket&EIO=4", "", False),
        ("EIO=4&transport=websocket", "Dart/3.5 (dart:io)", False),
    ],
)
async def test_a_client_that_cannot_take_offsets_is_known_by_its_first_request(
    stage: Stage, query: str, agent: str, takes: bool
) -> None:
    url = f"{stage.servers[0].url}/socket.io/?{query}"
    async with stage.http.ws_connect(url, headers={"User-Agent": agent}) as ws:
        await ws.receive_str()
        await ws.send_str("40/messaging," + json.dumps({"token": token(new_id())}))
        answer = json.loads((await ws.receive_str()).removeprefix("40/messaging,"))
    assert ("pid" in answer) is takes
