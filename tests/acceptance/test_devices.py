"""What came in while a device of `/ws` was away, and several devices of one user."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from messaging.gateway.catching_up import ASK_SECONDS
from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import Json, Stage, eventually, new_id
from tests.servers import ServerProcess
from tests.websockets import UNIFIED, NodeSocket, Socket

KEPT = 20


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production; each keeps at most 20 messages ready."""
    kept = {"OFFLINE_QUEUE_LIMIT": str(KEPT)}
    if request.param == "SQLite":
        return service(kept)
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service(production | kept, 2)


def last(sockets: Sockets) -> int:
    """The process that is not the first, if there is one."""
    return len(sockets.stage.servers) - 1


def heard(socket: Socket) -> list[str]:
    """The contents of all messages, of groups and of one user, in the order in which they came."""
    frames = [frame for frame in socket.frames if frame["type"] in ("group_message", "chat_message")]
    return [frame["payload"]["content"] for frame in frames]


def synced(socket: Socket) -> Json:
    """What was said at the end of what was missed."""
    [end] = [told for told in socket.all("connection_event") if told["event"] == "synced"]
    return end


async def leaves(sockets: Sockets, user: str, device: str | None = None, *heard_before: str) -> None:
    """Have been here with this device, and heard what there was, so that it need not be told again."""
    named = {} if device is None else {"client_id": device}

    async def up_to_date() -> bool:
        socket = await sockets.unified(user, **named)
        for content in heard_before:
            assert content in heard(socket) or synced(socket)["count"] == 0
        await socket.settled()
        await socket.close()
        return bool(synced(socket)["count"] == 0)

    await eventually(up_to_date)


async def with_bob(sockets: Sockets) -> tuple[str, str, str]:
    """A group of Alice and Bob; its id, theirs."""
    alice, bob = new_id(), new_id()
    return await sockets.stage.group(alice, bob), alice, bob


async def test_a_named_device_is_told_what_it_missed_oldest_first(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    await sockets.stage.post(alice, group, "heard")
    await leaves(sockets, bob, "phone", "heard")
    talker = await sockets.unified(alice, process=last(sockets))
    await talker.ask("group_message", group_id=group, content="first")
    await talker.ask("chat_message", meta={"target_id": bob}, content="second")
    await sockets.stage.post(alice, group, "third")
    back = await sockets.unified(bob, client_id="phone", process=last(sockets))
    assert heard(back) == ["first", "second", "third"]
    assert synced(back) == {"event": "synced", "count": 3, "more": False}
    await sockets.stage.post(alice, group, "live")
    await back.hears("group_message", content="live")
    assert heard(back) == ["first", "second", "third", "live"]


async def test_a_second_device_does_not_rob_the_first(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    for name in ("phone", "laptop"):
        await leaves(sockets, bob, name)
    await sockets.stage.post(alice, group, "for both")
    for name in ("laptop", "phone"):
        device = await sockets.unified(bob, client_id=name)
        assert heard(device) == ["for both"]
        await device.close()
        await leaves(sockets, bob, name)


async def test_without_a_name_it_is_since_the_user_was_last_here(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    await leaves(sockets, bob, "phone")
    await sockets.stage.post(alice, group, "one")
    await leaves(sockets, bob)
    await sockets.stage.post(alice, group, "two")
    assert heard(await sockets.unified(bob)) == ["two"]
    assert heard(await sockets.unified(bob, client_id="phone")) == ["one", "two"]


async def test_after_a_message_counts_over_all_conversations(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    other = await sockets.stage.group(alice, bob)
    known = [await sockets.stage.post(alice, where, f"in {where}") for where in (group, other, group)]
    await leaves(sockets, bob, "phone")
    back = await sockets.unified(bob, client_id="phone", after=known[0]["id"])
    assert [frame["payload"]["message_id"] for frame in back.frames if frame["type"] == "group_message"] == [
        int(message["id"]) for message in known[1:]
    ]
    assert synced(back)["count"] == 2
    assert heard(await sockets.unified(bob, after=known[-1]["id"])) == []


async def test_own_messages_from_other_devices_are_told_with_the_device(sockets: Sockets) -> None:
    group, _, bob = await with_bob(sockets)
    await leaves(sockets, bob, "phone")
    laptop = await sockets.unified(bob, client_id="laptop")
    await laptop.ask("group_message", group_id=group, content="from my laptop")
    rooms = await sockets.ws_chat(bob, process=last(sockets))
    await rooms.ask("join_room", room=group)
    await rooms.ask("room_message", room=group, content="from elsewhere")
    back = await sockets.unified(bob, client_id="phone")
    assert heard(back) == ["from my laptop", "from elsewhere"]
    said = await back.hears("group_message", content="from my laptop")
    assert (said["meta"]["client_id"], said["meta"]["sender_id"]) == ("laptop", int(bob))


async def test_of_more_than_are_kept_ready_the_newest_are_told(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    await leaves(sockets, bob, "phone")
    for number in range(KEPT + 5):
        await sockets.stage.post(alice, group, f"{number}")
    back = await sockets.unified(bob, client_id="phone")
    assert synced(back) == {"event": "synced", "count": KEPT, "more": True}
    assert heard(back) == [f"{number}" for number in range(5, KEPT + 5)]
    await back.close()
    await leaves(sockets, bob, "phone")


async def test_nothing_is_missing_or_twice_while_others_talk(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    await leaves(sockets, bob, "phone")
    talker = await sockets.unified(alice, process=last(sockets))

    everybody_is_here = asyncio.Event()

    async def talk() -> int:
        number = 0
        while not everybody_is_here.is_set() and number < KEPT - 1:
            number += 1
            await talker.ask("group_message", group_id=group, content=f"{number}")
        await everybody_is_here.wait()
        await talker.ask("group_message", group_id=group, content=f"{number + 1}")
        return number + 1

    talking = asyncio.create_task(talk())
    backs = [await sockets.unified(bob, client_id=f"device {number}") for number in range(3)]
    backs.append(await sockets.unified(bob, client_id="phone"))
    everybody_is_here.set()
    last_seq = await talking
    for back in backs:  # a new device begins where its user was when it came
        await back.hears("group_message", seq=last_seq)
        told = back.all("group_message", "seq")
        assert told == list(range(told[0], last_seq + 1))
    assert backs[-1].all("group_message", "seq")[0] == 1


async def test_a_first_message_to_somebody_who_is_away_is_kept(sockets: Sockets) -> None:
    alice, bob = new_id(), new_id()
    await leaves(sockets, bob, "phone")
    await (await sockets.rooms(alice)).ask("dm", to=bob, content="hello")
    assert heard(await sockets.unified(bob, client_id="phone")) == ["hello"]


async def test_read_state_and_unread_counts_agree_on_both_devices_afterwards(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    here = await sockets.unified(bob, client_id="here")
    await leaves(sockets, bob, "away")
    sent = [await sockets.stage.post(alice, group, f"{number}") for number in range(3)]
    await here.hears("group_message", content="2")
    await here.do("read_receipt", message_id=sent[1]["id"])
    await here.hears("read_receipt", message_id=int(sent[1]["id"]))
    back = await sockets.unified(bob, client_id="away", process=last(sockets))
    assert heard(back) == ["0", "1", "2"]

    async def unread(process: int) -> int:
        answer = await sockets.stage.rest("GET", "/api/conversations", user=bob, process=process)
        return int(answer.body["totalUnread"])

    for process in range(len(sockets.stage.servers)):
        await eventually(lambda p=process: _is(unread(p), 1))  # type: ignore[misc]
    await back.do("read_receipt", message_id=sent[2]["id"])
    for socket in (here, back):
        await socket.hears("read_receipt", message_id=int(sent[2]["id"]))
    for process in range(len(sockets.stage.servers)):
        await eventually(lambda p=process: _is(unread(p), 0))  # type: ignore[misc]


async def _is(found: Json, expected: Json) -> bool:
    return bool(await found == expected)


# --- dead connections --------------------------------------------------------------------------------


async def two_are_lost(sockets: Sockets, group: str, alice: str, witness: Socket) -> None:
    """Alice says two things that only this other device of Bob's hears. The server has time to ask the dead
    one whether they came, and to take them for delivered, which it must not."""
    for content in ("lost 1", "lost 2"):
        await sockets.stage.post(alice, group, content)
        await witness.hears("group_message", content=content)
    await asyncio.sleep(3 * ASK_SECONDS)
    await witness.settled()


class Swallowing:
    """A TCP proxy in front of a server that can stop passing anything on, without closing."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = ""
        self._target = server.port
        self._swallows = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    @asynccontextmanager
    async def before(cls, stage: Stage) -> AsyncIterator[Swallowing]:
        """A proxy before the first process."""
        proxy = cls(stage.servers[0])
        listener = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            listener.close()
            proxy.cut()

    def swallow(self) -> None:
        """From now on everything is taken and nothing passed on, in both directions."""
        self._swallows.set()

    def cut(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += (writer, there)
        await asyncio.gather(self._pass_on(reader, there), self._pass_on(there_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self._swallows.is_set():
                    writer.write(data)
        writer.close()


async def test_what_was_pushed_into_a_dead_connection_is_not_taken_for_delivered(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    async with Swallowing.before(sockets.stage) as proxy:
        dead = await sockets.unified(bob, client_id="phone", url=proxy.url)
        witness = await sockets.unified(bob, client_id="witness")
        await sockets.stage.post(alice, group, "heard")
        await dead.hears("group_message", content="heard")
        proxy.swallow()
        await two_are_lost(sockets, group, alice, witness)
        assert heard(dead) == ["heard"]
        proxy.cut()
    await witness.hears("connection_event", event="disconnected", client_id="phone")
    back = await sockets.unified(bob, client_id="phone")
    assert heard(back)[-2:] == ["lost 1", "lost 2"]


async def test_who_comes_back_before_the_dead_connection_is_noticed_loses_nothing(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    async with Swallowing.before(sockets.stage) as proxy:
        await sockets.unified(bob, client_id="phone", url=proxy.url)
        witness = await sockets.unified(bob, client_id="witness")
        proxy.swallow()
        await two_are_lost(sockets, group, alice, witness)
        back = await sockets.unified(bob, client_id="phone")
        assert heard(back)[-2:] == ["lost 1", "lost 2"]


async def test_a_client_that_freezes_and_dies_is_told_again(sockets: Sockets) -> None:
    group, alice, bob = await with_bob(sockets)
    witness = await sockets.unified(bob, client_id="witness")
    frozen = await sockets.connect(UNIFIED, bob, client="ws", client_id="phone")
    assert isinstance(frozen, NodeSocket)
    await frozen.hears("connection_event", event="synced")
    frozen.script.signal(signal.SIGSTOP)
    await two_are_lost(sockets, group, alice, witness)
    frozen.script.signal(signal.SIGKILL)
    await witness.hears("connection_event", event="disconnected", client_id="phone")
    back = await sockets.unified(bob, client_id="phone")
    assert heard(back) == ["lost 1", "lost 2"]
