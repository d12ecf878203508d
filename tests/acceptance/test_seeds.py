"""The client code of the two Socket.IO documents runs as it stands there (tests/node/seeds.js)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.stage import Stage, new_id, token
from tests.clients import Json, NodeScript

Start = Callable[..., Awaitable["Program"]]


class Program:
    """A running program of seeds.js: `do` is what its user does, `shows` what its page shows then."""

    def __init__(self, script: NodeScript) -> None:
        self._script = script
        self._shown: list[tuple[str, Json]] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def do(self, action: str, *arguments: Json) -> None:
        """Call a function of the page."""
        await self._script.send([action, *arguments])

    async def shows(
        self, what: str, expected: Callable[[Json], bool] = lambda _: True, *, seconds: float = 10.0
    ) -> Json:
        """The first value of this kind, shown by now or later, for which `expected` is true."""

        def found() -> list[Json]:
            return [value for kind, value in self._shown if kind == what and expected(value)]

        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: bool(found()))
        return found()[0]

    def all(self, what: str) -> list[Json]:
        """All values of this kind so far."""
        return [value for kind, value in self._shown if kind == what]

    async def close(self) -> None:
        """Close the page."""
        await self._script.close()
        await self._reader

    async def _read(self) -> None:
        async for line in self._script.lines():
            async with self._changed:
                self._shown.append((line["what"], line["value"]))
                self._changed.notify_all()


@pytest.fixture
async def start(stage: Stage) -> AsyncIterator[Start]:
    """`start("react", user, group)` opens a page as this user."""
    programs: list[Program] = []

    async def begin(name: str, user: str, group: str, **more: Json) -> Program:
        options = {
            "url": stage.servers[0].url,
            "token": token(user, firstName=f"User {user}"),
            "conversationId": int(group),
            **more,
        }
        program = Program(await NodeScript.start("seeds.js", name, json.dumps(options)))
        programs.append(program)
        return program

    yield begin
    for program in programs:
        await program.close()


async def types_until_seen(typist: Any, other: Any) -> None:
    """The components join without asking for an ack, so the other one may not hear yet."""
    async with asyncio.timeout(10):
        while True not in other.all("isTyping"):
            await typist.do("handleTyping", True)
            await asyncio.sleep(0.02)


async def test_the_react_component_of_chat_chats(stage: Stage, start: Start) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    hers, his = await start("react", alice, group), await start("react", bob, group)
    for page in (hers, his):
        await page.shows("connected")
    await types_until_seen(hers, his)
    await hers.do("sendMessage", "Bonjour")
    assert await hers.shows("message") == ""
    for page in (hers, his):
        await page.shows("messages", lambda shown: shown[-1]["content"] == "Bonjour")
    await his.shows("isTyping", lambda shown: shown is False)
    assert hers.all("isTyping") == []
    await hers.do("unmount")
    await hers.shows("unmounted")


async def test_the_vue_component_of_chat_chats(stage: Stage, start: Start) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    hers, his = await start("vue", alice, group), await start("vue", bob, group)
    for page in (hers, his):
        await page.shows("connected")
    await types_until_seen(his, hers)
    await his.do("sendMessage", "Salut")
    shown = await hers.shows("messages")
    assert (shown[0]["senderId"], shown[0]["content"]) == (int(bob), "Salut")
    await hers.shows("isTyping", lambda shown: shown is False)


async def test_the_plain_page_of_chat_chats_with_ids_from_parse_int(stage: Stage, start: Start) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    hers, his = await start("page", alice, group), await start("page", bob, group)
    for page in (hers, his):
        await page.do("connect")
        await page.shows("line", lambda line: line == "Système: Connecté au serveur")
        await page.do("joinConversation")
        answer = await page.shows("line", lambda line: line != "Système: Connecté au serveur")
        assert answer.startswith("Système: ")
        assert "undefined" not in answer
    await hers.do("type", "Bonjour")
    await hers.do("sendMessage")
    await hers.shows("cleared")
    for page in (hers, his):
        await page.shows("line", lambda line: line == f"User {alice}: Bonjour")


async def joined(start: Start, user: str, group: str, way: str) -> Program:
    """A page of `calls` that has joined the group."""
    page = await start("calls", user, group, way=way)
    await page.shows("connected")
    await page.do("emit", "conversation:join", {"conversationId": int(group)})
    answer = await page.shows("ack conversation:join")
    assert answer["success"] is True
    assert isinstance(answer["message"], str)
    return page


@pytest.mark.parametrize("way", ["query", "auth", "header"])
async def test_each_call_of_the_chat_document_is_answered(stage: Stage, start: Start, way: str) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    here = {"conversationId": int(group)}
    hers, his = [await joined(start, name, group, way) for name in (alice, bob)]
    await hers.shows("user:online", lambda shown: shown["userId"] == int(bob))
    await hers.do("emit", "conversation:users:online", here)
    online = (await hers.shows("ack conversation:users:online"))["onlineUsers"]
    assert sorted(online) == sorted([int(alice), int(bob)])
    words = {"content": "Bonjour", "attachments": ["https://example.com/document.pdf"]}
    await hers.do("tell", "message:typing", {**here, "isTyping": True})
    await hers.do("emit", "message:send", {**here, **words})
    sent = (await hers.shows("ack message:send"))["message"]
    assert (await his.shows("user:typing"))["isTyping"] is True
    assert (await his.shows("message:new"))["message"] == sent
    await his.do("emit", "message:read", {"messageId": sent["id"]})
    read = await hers.shows("message:read:ack")
    assert (read["messageId"], read["readBy"]) == (sent["id"], int(bob))
    await his.do("emit", "conversation:leave", here)
    assert (await his.shows("ack conversation:leave"))["success"] is True
    await his.close()
    assert (await hers.shows("user:offline"))["userId"] == int(bob)


async def test_two_users_of_the_messaging_hook_discuss_as_in_its_document(stage: Stage, start: Start) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    old = await stage.post(bob, group, "hier")
    hers, his = await start("hook", alice, group), await start("hook", bob, group)
    for page in (hers, his):
        assert await page.shows("isConnected") is True
        await page.do("joinConversation", group)
        await page.shows("messages", lambda shown: [message["id"] for message in shown] == [old["id"]])
    await hers.shows("totalUnread", lambda shown: shown == 1)
    await hers.do("startTyping", group)
    await his.shows("typingUsers", lambda shown: shown == [alice])
    await hers.do("stopTyping", group)
    await his.shows("typingUsers", lambda shown: shown == [])
    await hers.do("sendMessage", group, "Bonjour!")
    shown = await his.shows("messages", lambda shown: shown[-1]["content"] == "Bonjour!")
    sender = {"id": alice, "firstName": f"User {alice}", "role": "user"}
    assert shown[-1]["sender"].items() >= sender.items()
    await hers.shows("messages", lambda shown: shown[-1]["content"] == "Bonjour!")
    await his.do("markAsRead", shown[-1]["id"])
    read = await hers.shows("messages", lambda shown: shown[-1]["isRead"])
    assert read[-1]["readAt"]
    await hers.do("markConversationAsRead", group)
    await hers.shows("totalUnread", lambda shown: shown == 0)
    await hers.do("leaveConversation", group)
    assert hers.all("error") + his.all("error") == []


async def test_the_hook_shows_the_text_of_an_error(stage: Stage, start: Start) -> None:
    page = await start("hook", new_id(), "1")
    await page.shows("isConnected")
    await page.do("joinConversation", "999999999")
    assert await page.shows("error")
