"""A polling session of one process, whose requests come to another one that shares only mail with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from messaging.backplanes import Exchange
from messaging.backplanes.memory import MemoryMail
from messaging.gateway import farewell
from messaging.transports.socketio import asking
from messaging.transports.socketio.socket import EngineSocket
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import LIMITS, EchoApp
from tests.transports.socketio.raw import RawPolling, RawWebSocket, eventually

UNKNOWN = (400, '{"code":1,"message":"Session ID unknown"}')


class Town:
    """Two processes, and a client whose session lives in the first."""

    def __init__(self, owner: EchoApp, other: EchoApp, mails: list[MemoryMail], client: RawPolling) -> None:
        self.owner, self.other, self.mails = owner, other, mails
        self.here = client
        self.there = RawPolling(client.http, f"{other.url}/socket.io/", client.sid, client.hello)

    @property
    def socket(self) -> EngineSocket:
        return self.owner.sockets[self.here.sid]

    async def until_polling(self) -> None:
        await eventually(lambda: bool(self.socket.polling))


@pytest.fixture
async def town(start: StartEcho, http: aiohttp.ClientSession) -> Town:
    exchange = Exchange()
    mails = [MemoryMail(exchange), MemoryMail(exchange)]
    owner, other = [await start(mail=mail) for mail in mails]
    client = await RawPolling.open(http, owner.url)
    return Town(owner, other, mails, client)


async def test_polls_and_posts_reach_the_session_through_the_other_process(town: Town) -> None:
    assert await town.there.post("40") == (200, "ok")
    assert (await town.there.until("42"))[-1] == '42["auth",{}]'
    for client in (town.here, town.there, town.there, town.here):
        assert await client.post('42["message",1]', '42["message",2]') == (200, "ok")
        other = town.there if client is town.here else town.here
        assert await other.poll() == ['42["message-back",1]', '42["message-back",2]']


async def test_bodies_in_pieces_and_of_many_packets_are_relayed_whole(town: Town) -> None:
    await town.there.post("40")
    await town.there.until("42")
    sent = [f'42["message","{number} é"]' for number in range(50)]

    async def pieces() -> AsyncIterator[bytes]:
        body = "\x1e".join(sent).encode()
        for start in range(0, len(body), 97):
            yield body[start : start + 97]
            await asyncio.sleep(0)

    assert await town.there.post_body(pieces()) == (200, "ok")
    assert await town.there.poll() == [packet.replace("message", "message-back") for packet in sent]


async def test_what_is_written_while_polls_are_aborted_comes_once_and_in_order(town: Town) -> None:
    chance = random.Random(7)
    await town.here.post("40")
    await town.here.until("42")
    seen: list[str] = []
    for number in range(60):
        waiting = asyncio.create_task(chance.choice((town.here, town.there)).get())
        if chance.random() < 0.5:
            await town.until_polling()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            # A client that hangs up while an answer is on the wire cannot know what was in it.
            await asyncio.sleep(0.02)
            town.socket.write(f"4{number}")
            waiting = asyncio.create_task(chance.choice((town.here, town.there)).get())
        else:
            town.socket.write(f"4{number}")
        status, text = await waiting
        assert status == 200
        seen += text.split("\x1e")
    assert [packet for packet in seen if packet != "6"] == [f"4{number}" for number in range(60)]


async def test_two_polls_at_once_end_the_session_wherever_they_come(town: Town) -> None:
    first = asyncio.create_task(town.there.get())
    await town.until_polling()
    assert (await town.here.get())[0] == 400
    assert await first == (200, "1")
    assert await town.there.get() == UNKNOWN


async def test_a_poll_whose_process_is_gone_hinders_nothing(town: Town) -> None:
    first = asyncio.create_task(town.there.get())
    await town.until_polling()
    await town.mails[1].close()
    town.socket.write("4kept")
    assert await town.here.poll() == ["4kept"]
    first.cancel()


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits asks soon, and again, whether the owner is still there and has the question."""
    monkeypatch.setattr(asking, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(asking, "STILL_SECONDS", 0.2)


@pytest.mark.usefixtures("asked_often")
async def test_a_poll_ends_soon_when_the_sessions_process_is_gone(town: Town) -> None:
    waiting = asyncio.create_task(town.there.get())
    await town.until_polling()
    await town.mails[0].close()
    assert await waiting == UNKNOWN
    assert await town.there.post("40") == UNKNOWN


async def test_an_answer_that_nobody_confirms_ends_the_session(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    exchange = Exchange()
    owner = await start(mail=MemoryMail(exchange), limits=replace(LIMITS, confirm_seconds=0.1))
    other = await start(mail=Forgetful(exchange))
    client = await RawPolling.open(http, owner.url)
    socket = owner.sockets[client.sid]
    socket.write("4perhaps")
    client.url = f"{other.url}/socket.io/"
    assert await client.poll() == ["4perhaps"]
    await eventually(lambda: socket.closed)
    assert socket.farewell is farewell.LOST
    assert await client.get() == UNKNOWN


@pytest.mark.usefixtures("asked_often")
async def test_an_answer_that_was_lost_is_sent_again_and_taken_once(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    exchange = Exchange()
    mail = Lossy(exchange)
    owner = await start(mail=mail)
    other = await start(mail=MemoryMail(exchange))
    client = await RawPolling.open(http, owner.url)
    socket = owner.sockets[client.sid]
    client.url = f"{other.url}/socket.io/"
    socket.write("4one")
    mail.losing = True
    waiting = asyncio.create_task(client.poll())
    await eventually(lambda: mail.lost > 0)
    mail.losing = False
    socket.write("4two")
    assert await waiting == ["4one"]
    assert await client.poll() == ["4two"]
    assert not socket.closed


class Lossy(MemoryMail):
    """Mail that loses answers while it is told to."""

    losing = False
    lost = 0

    async def send(self, to: str, letter: bytes) -> bool:
        if self.losing and letter.startswith(b"answer"):
            self.lost += 1
            return True
        return await super().send(to, letter)


class Forgetful(MemoryMail):
    """Mail that loses what would confirm an answer."""

    def post(self, to: str, letter: bytes) -> None:
        if not letter.startswith(b"taken"):
            super().post(to, letter)


async def test_a_large_body_and_a_packet_that_cannot_be_read_are_refused_as_if_they_had_come_there(
    town: Town, http: aiohttp.ClientSession
) -> None:
    assert (await town.there.post("4" + "x" * (LIMITS.max_frame_bytes + 1)))[0] == 413
    assert await town.there.get() == UNKNOWN
    another = await RawPolling.open(http, town.owner.url)
    another.url = town.there.url
    assert await another.post("abc") == (400, '{"code":3,"message":"Bad request"}')
    assert await another.get() == UNKNOWN


async def test_an_upgrade_is_refused_and_the_session_goes_on(town: Town) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await RawWebSocket.open(town.here.http, town.other.url, sid=town.here.sid)
    await town.there.post("40")
    assert (await town.there.until("42"))[-1] == '42["auth",{}]'


@pytest.mark.parametrize("sid", ["", ".", "nobody.x", "{owner}.", "{owner}.guess", "{owner}", "{sid}x"])
async def test_a_name_without_its_secret_opens_nothing(town: Town, sid: str) -> None:
    owner = town.here.sid.partition(".")[0]
    for client in (town.here, town.there):
        client.sid = sid.format(owner=owner, sid=town.here.sid) if "{" in sid else sid
        assert (await client.get())[0] == 400
    assert len(town.owner.sockets) == 1
