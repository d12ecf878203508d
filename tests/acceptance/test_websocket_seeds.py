"""The code of the plain-WebSocket documents runs as it stands there (tests/node/websocket_seeds.js)."""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from tests.acceptance.stage import FREELY, Json, new_id, token
from tests.acceptance.test_seeds import Program
from tests.clients import NodeScript
from tests.conftest import Serve
from tests.servers import ServerProcess

Start = Callable[..., Awaitable[Program]]
TYPES = (
    *("join_room_ack", "room_message", "direct_message", "message_history", "pong", "error"),
    *("user_connected", "user_disconnected"),
)


@pytest.fixture
async def start(node: str) -> AsyncIterator[Start]:
    """`start("class", server, user)` opens a page as this user."""
    programs: list[Program] = []

    async def begin(name: str, server: ServerProcess, user: str, **more: Json) -> Program:
        options = {
            "url": server.url.replace("http", "ws"),
            "token": token(user, username=f"user-{user}"),
            "types": TYPES,
            **more,
        }
        program = Program(await NodeScript.start("websocket_seeds.js", name, json.dumps(options)))
        programs.append(program)
        return program

    yield begin
    for program in programs:
        await program.close()


def says(expected: Json, frame: Json) -> bool:
    """Whether a frame says all this."""
    return bool(frame.items() >= expected.items())


async def test_the_class_of_the_ws_chat_document_chats(
    servers: tuple[ServerProcess, ...], start: Start
) -> None:
    alice, bob = new_id(), new_id()
    hers, his = [await start("class", servers[0], user) for user in (alice, bob)]
    for page in (hers, his):
        await page.shows("connected")
        await page.do("joinRoom", "general")
        answer = {"room": "general", "success": True, "message": "Joined room successfully"}
        assert await page.shows("join_room_ack") == answer
    await hers.shows("user_connected", lambda data: data["user_id"] == int(bob))
    await hers.do("sendRoomMessage", "general", "Bonjour tout le monde !")
    await hers.do("sendDirectMessage", int(bob), "Salut, comment ça va ?")
    for page in (hers, his):
        said = await page.shows("room_message", lambda data: data["content"] == "Bonjour tout le monde !")
        assert (said["user_id"], said["username"]) == (int(alice), f"user-{alice}")
        told = await page.shows("direct_message")
        assert (told["from_user_id"], told["to_user_id"]) == (int(alice), int(bob))
    await his.do("getRoomHistory", "general", 1)
    page_of_history = await his.shows("message_history")
    assert page_of_history["messages"][-1]["content"] == "Bonjour tout le monde !"
    await his.do("joinRoom", "nonexistent_room")
    error = await his.shows("error")
    assert (error["code"], error["details"]) == ("ROOM_NOT_FOUND", {"room": "nonexistent_room"})
    await his.do("send", "ping", {})
    assert (await his.shows("pong"))["timestamp"].endswith("Z")
    await his.do("disconnect")
    await hers.shows("user_disconnected", lambda data: data["user_id"] == int(bob))


async def test_the_hook_of_the_ws_chat_document_shows_messages_and_history(
    servers: tuple[ServerProcess, ...], start: Start
) -> None:
    alice, bob = new_id(), new_id()
    other = await start("class", servers[0], bob)
    await other.shows("connected")
    await other.do("joinRoom", "general")
    await other.shows("join_room_ack")
    page = await start("hook", servers[0], alice)

    async def connected() -> None:
        # The hook shows no sign of being connected, and drops what is sent before: its user tries again.
        for _ in range(100):
            await page.do("joinRoom", "general")
            try:
                await other.shows("user_connected", lambda data: data["user_id"] == int(alice), seconds=0.1)
            except TimeoutError:
                continue
            return
        raise AssertionError("it did not connect")

    await connected()
    await page.do("sendMessage", "general", "from the hook")
    await page.shows("messages", lambda shown: [m["content"] for m in shown][-1:] == ["from the hook"])
    await other.do("sendRoomMessage", "general", "to the hook")
    await page.shows("messages", lambda shown: [m["content"] for m in shown][-1:] == ["to the hook"])
    await page.do("history", "general")
    await page.shows("messages", lambda shown: [m["content"] for m in shown].count("to the hook") == 2)
    await page.do("unmount")
    await other.shows("user_disconnected", lambda data: data["user_id"] == int(alice))


async def test_the_class_comes_back_by_itself_when_the_server_restarts(serve: Serve, start: Start) -> None:
    server = serve(FREELY)
    alice, bob = new_id(), new_id()
    hers = await start("class", server, alice)
    his = await start("socket", server, bob, path="/ws/rooms")
    for page in (hers, his):
        await page.shows("connected")
    await to_thread(server.restart)
    assert await his.shows("closed") == 1012
    again = await start("class", server, bob)
    await again.shows("connected")
    await hers.do("sendDirectMessage", int(bob), "before or after")
    for _ in range(100):  # what is sent while it is not connected, it drops
        try:
            await again.shows("direct_message", seconds=0.1)
            break
        except TimeoutError:
            await hers.do("sendDirectMessage", int(bob), "before or after")
    await hers.shows("direct_message", lambda data: data["from_user_id"] == int(alice))


@pytest.mark.parametrize(("program", "protocol"), [("headers", ""), ("compressed", "permessage-deflate")])
async def test_the_other_ways_of_the_ws_chat_document_to_connect(
    servers: tuple[ServerProcess, ...], start: Start, program: str, protocol: str
) -> None:
    page = await start(program, servers[0], new_id())
    assert await page.shows("connected") == protocol
    await page.do("send", {"type": "ping", "data": {}})
    frame = await page.shows("frame")
    assert frame["type"] == "pong"
    assert "user_id" not in frame


async def test_the_frames_of_the_rooms_document_are_answered_as_it_says(
    servers: tuple[ServerProcess, ...], start: Start
) -> None:
    alice, bob = new_id(), new_id()
    hers, his = [await start("socket", servers[0], user, path="/ws/rooms") for user in (alice, bob)]
    for page in (hers, his):
        await page.shows("connected")
        await page.do("send", {"type": "join", "room": "general"})
        await page.shows("frame", lambda frame: frame["type"] == "joined")
    await hers.do("send", {"type": "message", "room": "general", "content": "yo"})
    yo = {"type": "message", "room": "general", "from": alice, "content": "yo"}
    await hers.do("send", {"type": "dm", "to": bob, "content": "salut"})
    salut = {"type": "dm", "from": alice, "content": "salut"}
    for expected in (yo, salut):
        seen = await his.shows("frame", partial(says, expected))
        assert isinstance(seen["timestamp"], str)
    await his.do("send", {"type": "history", "room": "general", "limit": 50})
    page_of_history = await his.shows("frame", lambda frame: frame["type"] == "history")
    assert page_of_history["room"] == "general"
    assert page_of_history["messages"][-1].items() >= {"from": alice, "content": "yo"}.items()
