"""`/ws/rooms` as its users meet it, and how one signs in to any of the three plain WebSockets."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.sockets import CLIENTS, PROTOCOLS, Client, Sockets
from tests.acceptance.stage import Json, new_id, token
from tests.websockets import ROOMS, Protocol, Refused, Socket

ON_BOTH_CLIENTS = pytest.mark.parametrize("client", CLIENTS)
ON_ALL_PROTOCOLS = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


async def two(sockets: Sockets, **how: Json) -> tuple[Socket, Socket, str, str, str]:
    """Alice and Bob in a room that Alice has made by joining it; its name, their ids."""
    alice_id, bob_id, room = new_id(), new_id(), f"salon-{new_id()}"
    alice, bob = [await sockets.rooms(user, **how) for user in (alice_id, bob_id)]
    assert await alice.ask("join", room=room) == {"type": "joined", "room": room, "online": [alice_id]}
    joined = await bob.ask("join", room=room)
    assert sorted(joined["online"]) == sorted([alice_id, bob_id])
    return alice, bob, room, alice_id, bob_id


# --- its commands ------------------------------------------------------------------------------------


@ON_BOTH_CLIENTS
async def test_a_room_is_made_by_joining_it(sockets: Sockets, client: Client) -> None:
    alice, bob, room, alice_id, _ = await two(sockets, client=client)
    said = await alice.ask("message", room=room, content="yo")
    assert said == {
        "type": "message",
        "id": said["id"],
        "seq": 1,
        "room": room,
        "from": alice_id,
        "content": "yo",
        "timestamp": said["timestamp"],
    }
    assert isinstance(said["id"], str)
    assert await bob.hears("message") == said
    assert await bob.ask("leave", room=room) == {"type": "left", "room": room}
    await alice.ask("message", room=room, content="gone?")
    assert (await bob.refused("message", room=room, content="still here"))["code"] == "PERMISSION_DENIED"
    assert bob.all("message", "content") == ["yo"]


async def test_direct_messages_need_no_room(sockets: Sockets) -> None:
    alice, bob, _, alice_id, bob_id = await two(sockets)
    tablet = await sockets.rooms(bob_id)
    sent = await alice.ask("dm", to=bob_id, content="salut", client_message_id="1")
    assert (sent["from"], sent["to"], sent["content"]) == (alice_id, bob_id, "salut")
    for socket in (bob, tablet):
        assert await socket.hears("dm") == sent
    answer = await bob.ask("dm", to=int(alice_id), content="ça va ?")
    past = await alice.ask("dm_history", **{"with": bob_id})
    assert past == {"type": "dm_history", "with": bob_id, "messages": past["messages"], "has_more": False}
    told = [{key: message[key] for key in ("id", "from", "to", "content")} for message in past["messages"]]
    assert told == [{key: m[key] for key in ("id", "from", "to", "content")} for m in (sent, answer)]
    assert (await alice.refused("dm", to=new_id(), content="x"))["code"] == "USER_NOT_FOUND"


async def test_history_is_read_backwards_by_seq(sockets: Sockets) -> None:
    alice, bob, room, _, _ = await two(sockets)
    for number in range(1, 8):
        await alice.ask("message", room=room, content=f"{number}")
    page = await bob.ask("history", room=room, limit=3)
    assert [message["seq"] for message in page["messages"]] == [5, 6, 7]
    assert page["has_more"] is True
    page = await bob.ask("history", room=room, limit=50, before=5)
    assert [message["content"] for message in page["messages"]] == ["1", "2", "3", "4"]
    assert page["has_more"] is False
    assert (await bob.ask("history", room=room))["room"] == room


async def test_what_was_missed_comes_after_joining_and_before_anything_live(sockets: Sockets) -> None:
    alice, _, room, _, _ = await two(sockets)
    for number in range(1, 6):
        await alice.ask("message", room=room, content=f"{number}")

    async def keep_talking() -> None:
        for number in range(6, 30):
            await alice.ask("message", room=room, content=f"{number}")

    talking = asyncio.create_task(keep_talking())
    late = await sockets.rooms(new_id())
    await late.ask("join", room=room, after=2)
    await talking
    await late.hears("message", seq=29)
    assert late.frames[0]["type"] == "joined"
    assert late.all("message", "seq") == list(range(3, 30))


async def test_contacts_are_told_of_coming_and_going(sockets: Sockets) -> None:
    alice, bob, _, _, bob_id = await two(sockets)
    await alice.ask("dm", to=bob_id, content="now we know each other")
    await bob.close()
    await alice.hears("status", user=bob_id, online=False)
    await sockets.rooms(bob_id)
    await alice.hears("status", user=bob_id, online=True)


async def test_the_name_of_a_private_room_cannot_be_joined_nor_made(sockets: Sockets) -> None:
    alice, _, _, alice_id, bob_id = await two(sockets)
    private = await sockets.stage.group(bob_id, id=f"private-{new_id()}")
    direct = f"dm:{min(alice_id, bob_id)}:{max(alice_id, bob_id)}"
    for name in (private, direct, "not a name", "x" * 65):
        error = await alice.refused("join", room=name)
        assert (error["code"], error["details"]["room"]) == ("PERMISSION_DENIED", name)
        assert set(error) == {"type", "code", "message", "details"}
    assert (await alice.refused("history", room=private))["code"] == "ROOM_NOT_FOUND"
    assert (await alice.refused("message", room=private, content="x"))["code"] == "ROOM_NOT_FOUND"


async def test_an_ended_token_stops_everything_until_there_is_a_new_one(sockets: Sockets) -> None:
    alice, bob, room, alice_id, _ = await two(sockets)
    brief = await sockets.rooms(alice_id, seconds=-8.0)  # of 10 seconds' leeway, 2 are left
    await brief.ask("join", room=room)
    await brief.hears("error", code="AUTH_FAILED")
    await bob.ask("message", room=room, content="meanwhile")
    assert not brief.all("message")
    assert (await brief.ask("authenticate", token=token(alice_id)))["expires_at"].endswith("Z")
    await brief.hears("message", content="meanwhile")
    await brief.ask("message", room=room, content="on it goes")
    await alice.hears("message", content="on it goes")


# --- signing in, for all three -----------------------------------------------------------------------


async def works(socket: Socket) -> None:
    await socket.ask("ping")


@ON_ALL_PROTOCOLS
@ON_BOTH_CLIENTS
async def test_each_way_to_bring_a_token_is_taken(
    sockets: Sockets, protocol: Protocol, client: Client
) -> None:
    good = token(new_id())
    ways: list[tuple[Json, list[str], dict[str, str], str | None]] = [
        ({"token": good}, [], {}, None),
        ({}, [], {"Authorization": f"Bearer {good}"}, None),
        ({}, ["bearer", good], {}, "bearer"),
        ({}, [good], {}, good),
        ({"token": good}, ["permessage-deflate"], {}, "permessage-deflate"),
        ({}, [], {"Cookie": f"access_token={good}"}, None),  # of a program that is no browser
        (
            {},
            [],
            {"Cookie": f"access_token={good}", "Origin": sockets.stage.servers[0].url},
            None,
        ),
    ]
    for query, protocols, headers, answered in ways:
        socket = await sockets.open(protocol, query, client=client, protocols=protocols, headers=headers)
        assert socket.subprotocol == answered
        assert socket.extensions == "permessage-deflate"
        await works(socket)


@ON_ALL_PROTOCOLS
@ON_BOTH_CLIENTS
async def test_a_bad_token_is_told_in_a_frame_and_closed_with_4401(
    sockets: Sockets, protocol: Protocol, client: Client
) -> None:
    good = token(new_id())
    ways: list[tuple[Json, dict[str, str]]] = [
        ({"token": "wrong"}, {}),
        ({"token": token(new_id(), seconds=-60)}, {}),
        ({}, {}),
        ({"token": "wrong"}, {"Authorization": f"Bearer {good}"}),  # the first decides
    ]
    for query, headers in ways:
        socket = await sockets.open(protocol, query, client=client, headers=headers)
        error = protocol.content(await socket.wait_for("error"))
        assert error["code"] == "AUTH_FAILED"
        assert isinstance(error["details"], dict)
        assert await socket.closed() == 4401


@ON_ALL_PROTOCOLS
@ON_BOTH_CLIENTS
async def test_a_foreign_page_is_refused_by_http(
    sockets: Sockets, protocol: Protocol, client: Client
) -> None:
    query = {"token": token(new_id())}
    with pytest.raises(Refused) as refused:
        await sockets.open(protocol, query, client=client, headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403


@ON_BOTH_CLIENTS
async def test_oversize_and_nonsense_are_told_apart(sockets: Sockets, client: Client) -> None:
    socket = await sockets.open(ROOMS, {"token": token(new_id())}, client=client)
    assert (await socket.refused("message", room=["general"], content={}))["code"] == "INVALID_FORMAT"
    since = len(socket.frames)
    await socket.send([1, 2, 3])
    await socket.hears("error", since=since, code="INVALID_FORMAT")
    await works(socket)
    await socket.do("message", room="general", content="x" * 70_000)
    assert await socket.closed() == 1009
