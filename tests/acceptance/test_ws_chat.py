"""`/ws/chat` as its users meet it: rooms, direct messages, histories, comings and goings, limits."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import CLIENTS, Client, Sockets
from tests.acceptance.stage import Json, Stage, new_id, token
from tests.clients import NodeClients
from tests.websockets import Socket

ON_BOTH_CLIENTS = pytest.mark.parametrize("client", CLIENTS)


async def room_of(stage: Stage, name: str | None = None) -> str:
    """A new public room."""
    room = name or f"room-{new_id()}"
    made = await stage.rest("PUT", f"/api/conversations/{room}", {"kind": "room"})
    assert made.status == 201, made
    return room


async def two(sockets: Sockets, **how: Json) -> tuple[Socket, Socket, str, int, int]:
    """Alice and Bob, who have joined a new room in this order; its name, their ids."""
    names = (new_id(), new_id())
    room = await room_of(sockets.stage)
    alice, bob = [
        await sockets.ws_chat(user, name=name, **how)
        for user, name in zip(names, ("alice", "bob"), strict=True)
    ]
    for socket in (alice, bob):
        answer = await socket.ask("join_room", room=room)
        assert answer == {"room": room, "success": True, "message": "Joined room successfully"}
    return alice, bob, room, int(names[0]), int(names[1])


# --- talking -----------------------------------------------------------------------------------------


@ON_BOTH_CLIENTS
async def test_two_meet_in_a_room_and_talk(sockets: Sockets, client: Client) -> None:
    alice, bob, room, alice_id, bob_id = await two(sockets, client=client)
    assert alice.extensions == "permessage-deflate"
    await alice.hears("user_connected", user_id=bob_id, username="bob", room=room)
    said = await alice.ask("room_message", room=room, content="Bonjour tout le monde !", message_type="text")
    assert said == {
        "id": said["id"],
        "seq": 1,
        "room": room,
        "user_id": alice_id,
        "username": "alice",
        "content": "Bonjour tout le monde !",
        "message_type": "text",
        "created_at": said["created_at"],
    }
    assert (await bob.hears("room_message"))["data"] == said
    await bob.ask("leave_room", room=room)
    await alice.hears("user_disconnected", user_id=bob_id, username="bob", room=room)
    await alice.ask("room_message", room=room, content="gone?")
    await bob.settled()
    assert bob.all("room_message", "content") == ["Bonjour tout le monde !"]


@ON_BOTH_CLIENTS
async def test_direct_messages_reach_all_of_both_without_joining(sockets: Sockets, client: Client) -> None:
    alice_id, bob_id, carol_id = (new_id() for _ in range(3))
    alice, bob = [await sockets.ws_chat(user, client=client) for user in (alice_id, bob_id)]
    tablet, carol = await sockets.ws_chat(bob_id), await sockets.ws_chat(carol_id)
    sent = await alice.ask("direct_message", to_user_id=int(bob_id), content="Salut", message_type="text")
    assert sent == {
        "id": sent["id"],
        "seq": 1,
        "from_user_id": int(alice_id),
        "from_username": alice_id,
        "to_user_id": int(bob_id),
        "content": "Salut",
        "message_type": "text",
        "created_at": sent["created_at"],
    }
    for socket in (bob, tablet):
        assert (await socket.hears("direct_message"))["data"] == sent
    await bob.do("typing", to_user_id=alice_id, is_typing=True)
    await alice.hears("typing", with_user=int(bob_id), user_id=int(bob_id), is_typing=True)
    await bob.do("read", message_id=sent["id"])
    read = {"message_id": sent["id"], "user_id": int(bob_id)}
    await alice.hears("message_read", with_user=int(bob_id), **read)
    await tablet.hears("message_read", with_user=int(alice_id), **read)
    await carol.settled()
    assert not carol.all("direct_message")


async def test_histories_count_back_from_the_newest(sockets: Sockets) -> None:
    alice, bob, room, alice_id, bob_id = await two(sockets)
    for number in range(7):
        await (alice if number % 2 else bob).ask("room_message", room=room, content=f"{number}")
        await alice.ask("direct_message", to_user_id=bob_id, content=f"dm {number}")
    page = await bob.ask("room_history", room=room, limit=3, offset=0)
    assert (page["room"], page["total"], page["has_more"]) == (room, 7, True)
    assert [item["content"] for item in page["messages"]] == ["4", "5", "6"]
    assert page["messages"][1]["user_id"] == alice_id
    assert page["messages"][1]["reactions"] == []
    page = await bob.ask("room_history", room=room, limit=3, offset=6)
    assert [item["content"] for item in page["messages"]] == ["0"]
    assert page["has_more"] is False
    assert (await bob.ask("room_history", room=room, offset=99))["messages"] == []
    page = await bob.ask("dm_history", with_user=alice_id, limit=2, offset=1)
    assert (page["with_user"], page["total"], page["has_more"]) == (alice_id, 7, True)
    assert [item["content"] for item in page["messages"]] == ["dm 4", "dm 5"]
    item = page["messages"][0]
    assert (item["user_id"], item["username"], item["to_user_id"]) == (alice_id, "alice", bob_id)
    nobody = new_id()
    await sockets.ws_chat(nobody)
    page = await bob.ask("dm_history", with_user=nobody)
    assert (page["total"], page["messages"], page["has_more"]) == (0, [], False)


async def test_media_and_answers_keep_what_was_said_of_them(sockets: Sockets) -> None:
    alice, bob, room, _, bob_id = await two(sockets)
    photo = {"message_type": "image", "media_url": "/uploads/images/photo123.jpg", "media_type": "image/jpeg"}
    shown = await alice.ask("room_message", room=room, content="Regardez cette photo !", **photo)
    assert shown.items() >= photo.items()
    voice = {"message_type": "audio", "media_url": "/uploads/audio/voice123.mp3", "duration": 15.5}
    heard = await alice.ask("direct_message", to_user_id=bob_id, content="", client_message_id="v1", **voice)
    assert heard.items() >= {**voice, "client_message_id": "v1"}.items()
    answer = await bob.ask("room_message", room=room, content="Belle !", reply_to=shown["id"])
    assert answer["reply_to"] == shown["id"]
    assert (await bob.hears("direct_message"))["data"] == heard
    again = await alice.ask("direct_message", to_user_id=bob_id, content="again", client_message_id="v1")
    assert again == heard
    past = (await bob.ask("room_history", room=room))["messages"]
    assert past[0].items() >= shown.items()
    await bob.settled()
    assert len(bob.all("direct_message")) == 1


async def test_typing_and_reading_in_a_room_are_told_to_the_others(sockets: Sockets) -> None:
    alice, bob, room, alice_id, bob_id = await two(sockets)
    for typing in (True, False):
        await alice.do("typing", room=room, is_typing=typing)
        await bob.hears("typing", room=room, user_id=alice_id, username="alice", is_typing=typing)
    group = await sockets.stage.group(str(alice_id), str(bob_id))
    for socket in (alice, bob):
        await socket.ask("join_room", room=group)
    sent = await alice.ask("room_message", room=group, content="read me")
    await bob.do("read", message_id=sent["id"])
    for socket in (alice, bob):
        await socket.hears("message_read", message_id=sent["id"], room=group, user_id=bob_id)
    await bob.close()
    await alice.hears("status", user_id=bob_id, status="offline")
    assert not alice.all("typing")


async def test_batches_are_carried_out_in_order_and_each_part_is_answered(sockets: Sockets) -> None:
    alice, bob, room, _, _ = await two(sockets)
    parts: list[Json] = [
        {"type": "room_message", "data": {"room": room, "content": f"part {number}"}} for number in range(20)
    ]
    parts[10] = {"type": "room_message", "data": {"room": room}}
    parts[11] = {"type": "message_batch", "data": {"messages": []}}
    await alice.do("message_batch", messages=[*parts, {"type": "ping", "data": {}}])
    await alice.wait_for("pong")
    assert [error["details"]["index"] for error in alice.all("error")] == [10, 11]
    await bob.hears("room_message", content="part 19")
    expected = [f"part {number}" for number in range(20) if number not in (10, 11)]
    for socket in (alice, bob):
        assert socket.all("room_message", "content") == expected
    assert (await alice.refused("message_batch", messages=[{}] * 101))["code"] == "INVALID_FORMAT"


async def test_who_asks_for_batches_hears_the_same_frames_in_fewer(sockets: Sockets) -> None:
    alice, _, room, _, _ = await two(sockets)
    carol = await sockets.ws_chat(new_id(), batch=1)
    await carol.do("join_room", room=room)

    def parts() -> list[Json]:
        unpacked: list[Json] = []
        for frame in carol.frames:
            unpacked += frame["data"]["messages"] if frame["type"] == "message_batch" else [frame]
        return unpacked

    async def until(wanted: str) -> None:
        async with asyncio.timeout(10):
            while not any(wanted in (part["type"], part["data"].get("content")) for part in parts()):
                await carol.more()

    await until("join_room_ack")
    await alice.ask("room_message", room=room, content="there?")
    await until("there?")
    many = [{"type": "room_message", "data": {"room": room, "content": f"{n}"}} for n in range(50)]
    await alice.do("message_batch", messages=many)
    await until("49")
    heard = [part["data"]["content"] for part in parts() if part["type"] == "room_message"]
    assert heard == ["there?", *(str(n) for n in range(50))]
    assert len(carol.frames) < len(parts())
    assert not alice.all("message_batch")


async def test_what_was_missed_comes_before_anything_live(sockets: Sockets) -> None:
    alice, bob, room, _, _ = await two(sockets)
    for number in range(10):
        await alice.ask("room_message", room=room, content=f"{number}")
    await bob.close()

    async def keep_talking() -> None:
        for number in range(10, 40):
            await alice.ask("room_message", room=room, content=f"{number}")

    talking = asyncio.create_task(keep_talking())
    back = await sockets.ws_chat(new_id())
    await back.ask("join_room", room=room, after=4)
    await talking
    await back.hears("room_message", seq=40)
    assert back.frames[0]["type"] == "join_room_ack"
    assert back.all("room_message", "seq") == list(range(5, 41))


# --- refusals ----------------------------------------------------------------------------------------


async def test_each_refusal_says_what_it_is_about(sockets: Sockets) -> None:
    alice, _, room, _, bob_id = await two(sockets)
    private = await sockets.stage.group(new_id())
    nowhere, stranger = "nonexistent_room", new_id()

    async def code(name: str, **body: Json) -> tuple[str, Json]:
        error = await alice.refused(name, **body)
        assert set(error) == {"message", "code", "details"}
        return error["code"], error["details"]

    assert await code("join_room", room=nowhere) == ("ROOM_NOT_FOUND", {"room": nowhere})
    assert await code("join_room", room=private) == ("ROOM_NOT_FOUND", {"room": private})
    assert await code("room_history", room=int(private)) == ("ROOM_NOT_FOUND", {"room": private})
    other = await room_of(sockets.stage)
    assert await code("room_message", room=other, content="x") == ("PERMISSION_DENIED", {"room": other})
    too_long = ("MESSAGE_TOO_LONG", {"room": room, "limit": 4000})
    assert await code("room_message", room=room, content="x" * 4001) == too_long
    unknown = ("USER_NOT_FOUND", {"to_user_id": int(stranger)})
    assert await code("direct_message", to_user_id=int(stranger), content="x") == unknown
    assert (await code("direct_message", to_user_id=bob_id, content="   "))[0] == "INVALID_FORMAT"
    assert (await code("read", message_id=12345))[0] == "MESSAGE_NOT_FOUND"
    assert (await code("dance"))[0] == "INVALID_FORMAT"
    assert (await code("authenticate", token="wrong"))[0] == "AUTH_FAILED"
    dm = f"dm:{min(str(bob_id), stranger)}:{max(str(bob_id), stranger)}"
    assert await code("join_room", room=dm) == ("ROOM_NOT_FOUND", {"room": dm})
    assert (await alice.ask("room_message", room=room, content="still here"))["seq"] == 1


async def test_ten_messages_a_minute_over_connections_and_processes(
    service: Service, on_mongodb_and_redis: dict[str, str], clients: NodeClients, sockets: Sockets
) -> None:
    limited = {**on_mongodb_and_redis, "RATE_LIMIT_WS_CHAT": "10/minute;100/hour"}
    stage = Stage(servers=service(limited, 2), clients=clients, http=sockets.stage.http)
    user, room = new_id(), await room_of(stage)
    async with Sockets.of(stage) as limited_sockets:
        devices = [await limited_sockets.ws_chat(user, process=process) for process in (0, 1, 1)]
        for device in devices:
            await device.ask("join_room", room=room)
        for number in range(10):
            device = devices[number % 3]
            assert (await device.refused("room_message", room=room, content=""))["code"] == "INVALID_FORMAT"
            once: dict[str, Json] = {"room": room, "client_message_id": f"{number}"}
            await device.do("room_message", content=f"{number}", **once)
            sent = await device.hears("room_message", **once)
            if number % 3 == 1:  # the next one is sent from the same process: giving back is not waited for
                since = len(device.frames)
                await device.do("room_message", content="again", **once)
                assert await device.hears("room_message", since=since, **once) == sent
        for device in devices:
            error = await device.refused("room_message", room=room, content="one too many")
            assert error["code"] == "RATE_LIMITED"
            assert error["details"]["room"] == room
            assert 0 < error["details"]["retryAfter"] <= 60
        assert (await devices[0].ask("room_history", room=room))["total"] == 10
        bob = await limited_sockets.ws_chat(new_id())
        await bob.ask("join_room", room=room)
        await bob.ask("room_message", room=room, content="I have said nothing yet")
        rooms = await limited_sockets.rooms(user)
        await rooms.ask("join", room=room)
        await rooms.ask("message", room=room, content="other protocols count by themselves")


# --- coming and going --------------------------------------------------------------------------------


async def test_a_user_comes_with_their_first_connection_and_goes_with_the_last(sockets: Sockets) -> None:
    alice, bob, room, _, bob_id = await two(sockets)
    tablet = await sockets.ws_chat(str(bob_id), name="bob")
    await tablet.ask("join_room", room=room)
    await bob.ask("leave_room", room=room)
    await alice.ask("room_message", room=room, content="still one left")
    await tablet.hears("room_message", content="still one left")
    await tablet.close()
    await alice.hears("user_disconnected", user_id=bob_id)
    assert len(alice.all("user_connected")) == len(alice.all("user_disconnected")) == 1


async def test_who_comes_back_within_the_grace_was_never_away(sockets: Sockets) -> None:
    alice, bob, room, _, bob_id = await two(sockets)
    await bob.close()
    back = await sockets.ws_chat(str(bob_id), name="bob")
    await back.ask("join_room", room=room)
    carol_id = new_id()
    carol = await sockets.ws_chat(carol_id)
    await carol.ask("join_room", room=room)
    await carol.close()  # after Bob, so that his grace is over when hers is
    await alice.hears("user_disconnected", user_id=int(carol_id))
    assert alice.all("user_connected", "user_id") == [bob_id, int(carol_id)]
    assert alice.all("user_disconnected", "user_id") == [int(carol_id)]


async def test_an_ended_token_stops_everything_until_there_is_a_new_one(sockets: Sockets) -> None:
    alice, bob, room, _, bob_id = await two(sockets)
    brief = await sockets.ws_chat(str(bob_id), seconds=-8.0)  # of 10 seconds' leeway, 2 are left
    await brief.ask("join_room", room=room)
    await brief.hears("error", code="AUTH_FAILED")
    refused = await brief_refusal(brief, room)
    assert refused["code"] == "AUTH_FAILED"
    await alice.ask("room_message", room=room, content="meanwhile")
    await bob.hears("room_message", content="meanwhile")
    assert not brief.all("room_message")
    wrong = len(brief.frames)
    await brief.do("authenticate", token=token(str(new_id())))
    await brief.hears("error", code="AUTH_FAILED", since=wrong)
    renewed = await brief.ask("authenticate", token=token(str(bob_id)))
    assert renewed["success"] is True
    assert renewed["expires_at"].endswith("Z")
    await brief.hears("room_message", content="meanwhile")
    await brief.ask("room_message", room=room, content="and on it goes")
    assert brief.all("room_message", "seq") == [1, 2]


async def brief_refusal(socket: Socket, room: str) -> Json:
    """What a message is answered after the token has ended."""
    since = len(socket.frames)
    await socket.do("room_message", room=room, content="too late")
    return (await socket.wait_for("error", since=since))["data"]


async def test_the_room_of_the_settings_is_there_from_the_start(sockets: Sockets) -> None:
    alice = await sockets.ws_chat(new_id())
    await alice.ask("join_room", room="general")
    pong = await alice.ask("ping")
    assert pong["timestamp"].endswith("Z")
