"""A client that is lost again and again, in the middle of what is written to it, still knows everything."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from messaging.domain.commands import PutConversation
from messaging.domain.events import MessageChange, MessageSent, MessagesRead
from messaging.gateway.farewell import LOST
from tests.gateway.house import Client, House, built, until

GROUPS = ("c", "d")
State = dict[str, tuple[str, bool, list[Any], bool]]
"""Messages by id: content, whether deleted, reactions, whether read."""


def state_of(message: dict[str, Any]) -> tuple[str, bool, list[Any], bool]:
    """What of a message can change."""
    return message["content"], "deletedAt" in message, message["reactions"], message["isRead"]


class Device:
    """A client that folds what it hears into what it knows, and keeps nothing that never arrived."""

    def __init__(self, house: House, rng: random.Random) -> None:
        self.house = house
        self.rng = rng
        self.seqs: dict[str, list[int]] = {group: [] for group in GROUPS}
        self.state: State = {}
        self.pid = ""
        self.offset: str | None = None
        self.client: Client
        self._read = 0

    async def come(self) -> None:
        process = self.rng.choice(self.house.processes)
        self.client = await process.connect("bob", back=(self.pid, self.offset))
        assert self.client.recovered is bool(self.pid)
        self.pid = self.client.back[0]
        self._read = 0

    def lose(self) -> None:
        """Some of what was written never arrived; and the server does not always notice."""
        self.read(self.rng.randint(self._read, len(self.client.frames)))
        if self.rng.random() < 0.8:
            self.client.close(LOST)

    def read(self, up_to: int | None = None) -> None:
        """Take what was written, or a part."""
        frames = self.client.frames[self._read : up_to]
        self._read += len(frames)
        for name, payload, *offset in frames:
            self._take(name, payload)
            if offset:
                self.offset = offset[0]

    def _take(self, name: str, payload: dict[str, Any]) -> None:
        match name:
            case "new-message":
                self.seqs[payload["conversationId"]].append(payload["seq"])
                self.state[payload["id"]] = state_of(payload)
            case "message-edited":
                _, deleted, reactions, read = self.state[payload["id"]]
                self.state[payload["id"]] = (payload["content"], deleted, reactions, read)
            case "message-deleted":
                self.state[payload["messageId"]] = ("", True, *self.state[payload["messageId"]][2:])
            case "reaction-updated":
                content, deleted, _, read = self.state[payload["messageId"]]
                self.state[payload["messageId"]] = (content, deleted, payload["reactions"], read)
            case "message-read":
                self.state[payload["messageId"]] = (*self.state[payload["messageId"]][:3], True)
            case _:
                pass


class Author:
    """Somebody who writes, changes what was written, and reads."""

    def __init__(self, client: Client, rng: random.Random, ids: dict[str, list[str]]) -> None:
        self.client = client
        self.rng = rng
        self.ids = ids

    async def act(self) -> None:
        group = self.rng.choice(GROUPS)
        ids, number = self.ids[group], self.rng.random()
        if number < 0.5 or not ids:
            ids.append((await self.client.say(group, "new"))["message"]["id"])
        elif number < 0.65:
            content = f"edited {number}"
            await self.client.emit("edit-message", messageId=self.rng.choice(ids), content=content)
        elif number < 0.75:
            await self.client.emit("delete-message", messageId=self.rng.choice(ids))
        elif number < 0.9:
            command = self.rng.choice(("add-reaction", "remove-reaction"))
            await self.client.emit(command, messageId=self.rng.choice(ids), emoji=self.rng.choice("ab"))
        else:
            await self.client.emit("mark-conversation-as-read", conversationId=group)


async def settled(house: House, authors: list[Author]) -> None:
    """All that was begun is done, and what the bus lost is found."""
    await until(lambda: not any(author.client.session.busy for author in authors))
    for process in house.processes:
        await process.gateway.hub.compare()


async def fresh(house: House) -> State:
    """What a client that comes now reads."""
    reader = await house.one.connect("bob")
    state: State = {}
    for group in GROUPS:
        await reader.join(group, after=0)
    for page in reader.of("conversation-history"):
        state |= {message["id"]: state_of(message) for message in page["messages"]}
    return state


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_is_lost_each_message_is_heard_once_in_order_and_as_it_is(seed: int) -> None:
    rng = random.Random(seed)
    async with built(processes=2) as house:
        for group in GROUPS:
            await house.one.do(PutConversation(conversation_id=group, member_ids=("ann", "bob")))
        for process in house.processes:
            process.bus.loses = lambda e: (
                isinstance(e, MessageSent | MessageChange | MessagesRead) and rng.random() < 0.2
            )
        ids: dict[str, list[str]] = {group: [] for group in GROUPS}
        authors = [Author(await process.connect("ann"), rng, ids) for process in house.processes]
        authors += [Author(await process.connect("bob"), rng, ids) for process in house.processes]
        device = Device(house, rng)
        await device.come()
        for group in GROUPS:
            await device.client.join(group)
        device.read()
        for _ in range(20):
            for _ in range(rng.randint(0, 4)):
                await rng.choice(authors).act()
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() / 100)
            device.lose()
            await device.come()
        await settled(house, authors)
        expected = await fresh(house)
        async with asyncio.timeout(5):
            while device.state != expected:
                await asyncio.sleep(0.01)
                device.read()
        for seqs in device.seqs.values():
            assert seqs == list(range(1, len(seqs) + 1))
