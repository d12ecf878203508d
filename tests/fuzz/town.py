"""A town: clients of all five dialects on one server process, who do what hypothesis wants."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from messaging.dialects import DIALECTS, SOCKETS
from messaging.dialects.base import Frame
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from messaging.domain.commands import PutConversation
from messaging.domain.errors import ClientError, InvalidFormat
from messaging.domain.events import EVERYBODY
from messaging.domain.models import Identity, Kind, Profile
from messaging.transports import strict_json
from messaging.transports.connection import read_frame
from tests.fuzz.steps import (
    GROUPS,
    ROOMS,
    USERS,
    Babble,
    Connect,
    Host,
    Known,
    Leave,
    Own,
    Say,
    Step,
    TokenOf,
    body_of,
    framed,
)
from tests.gateway.house import Client, House, Process, TestWire, built, clock, token, until

SECONDS = 5.0


@dataclass
class Town:
    """Who is there, and what went wrong."""

    house: House
    wires: dict[str, TestWire] = field(
        default_factory=lambda: {name: TestWire(dialect) for name, dialect in DIALECTS.items()}
    )
    present: list[Client] = field(default_factory=list)
    everybody: list[Client] = field(default_factory=list)

    @property
    def process(self) -> Process:
        """The server process."""
        return self.house.one

    async def take(self, step: Step) -> None:
        """Do what a step says; what is not possible is not done."""
        match step:
            case Connect():
                if len(self.present) < 8:
                    await self.connect(step)
            case Host(command=command):
                try:
                    await self.process.do(command)
                except ClientError:
                    pass  # nothing there, or nobody
            case Own(user_id=user_id, command=command):
                try:
                    await self.process.do(command, user_id=user_id)
                except ClientError:
                    pass  # nothing of theirs
            case Leave(client=number) if self.present:
                self.present.pop(number % len(self.present)).leave()
            case Say(client=number) if self.present:
                await self.say(self.present[number % len(self.present)], step)
            case Babble(client=number, text=text) if self.present:
                await self.hear(self.present[number % len(self.present)], text)
            case _:
                pass

    async def connect(self, step: Connect) -> None:
        """A client comes, on a device that is not there yet."""
        client = Client(step.user_id)
        taken = {c.session.device for c in self.present if c.user_id == step.user_id}
        expires = None if step.seconds is None else clock() + timedelta(seconds=step.seconds)
        client.session = await self.process.gateway.admit(
            Identity(profile=Profile(id=step.user_id), expires_at=expires),
            self.wires[step.dialect],
            client,
            peer="10.0.0.1",
            device=step.device if step.device not in taken else f"device {len(self.everybody)}",
            after=None if step.after is None else self.message_id(step.after),
        )
        await client.session.start()
        self.present.append(client)
        self.everybody.append(client)

    async def say(self, client: Client, step: Say) -> None:
        """A client sends one frame, or several in one."""
        dialect = client.session.wire.dialect
        assert isinstance(dialect, Namespace | Frames)
        name, body = body_of(step, dialect)
        frame = framed(name, self.resolved(body), dialect)
        if dialect.name == "ws-chat" and step.batched:
            inner = [frame.payload] * step.batched
            frame = Frame("message_batch", {"type": "message_batch", "data": {"messages": inner}})
        try:
            text = json.dumps(frame.payload)
        except (TypeError, ValueError):
            return
        if dialect.name in {socket.name for socket in SOCKETS.values()}:
            await self.hear(client, text)
        else:
            await self.ask(client, frame.name, text)
        if step.settled:
            await settled(client)

    async def ask(self, client: Client, name: str, text: str) -> None:
        """A Socket.IO event, as its transport would pass it on."""
        try:
            payload = strict_json.loads(text)
        except ValueError:
            return
        client.refs += 1
        await client.session.receive(Frame(name, payload), client.refs)

    async def hear(self, client: Client, text: str | bytes) -> None:
        """A text on a plain WebSocket, as its connection would take it."""
        session = client.session
        if isinstance(session.wire.dialect, Namespace):
            return
        try:
            frame = read_frame(text)
        except ValueError as error:
            now = self.process.gateway.ctx.clock()
            session.write(session.wire.dialect.refusal(None, InvalidFormat(str(error)), now))
        else:
            await session.receive(frame)

    def resolved(self, value: Any) -> Any:
        """A value with everything in it that could not be known before."""
        match value:
            case Known():
                return self.message_id(value)
            case TokenOf(user_id=user_id, minutes=minutes):
                return token(user_id, minutes)
            case dict():
                return {key: self.resolved(inner) for key, inner in value.items()}
            case _:
                return value

    def message_id(self, known: Known) -> int:
        """The id of a message that anybody heard of."""
        ids = sorted({found for client in self.everybody for _, told in client.heard for found in _ids(told)})
        return ids[-1 - known.back % len(ids)] if ids else 1


def _ids(told: Any) -> Iterator[int]:
    inner = [told.get(key) for key in ("message", "data", "payload")] if isinstance(told, dict) else []
    for payload in (told, *inner):
        if isinstance(payload, dict) and "seq" in payload:
            yield int(payload.get("message_id") or payload.get("messageId") or payload.get("id") or 1)


async def settled(client: Client) -> None:
    """Everything that the client asked for is answered."""
    await until(lambda: not client.session.busy, SECONDS)


@contextmanager
def without_errors() -> Iterator[None]:
    """Nothing in here may be logged as an error: that would be a bug."""
    records: list[str] = []
    formatter = logging.Formatter()

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(formatter.format(record))

    keeping, loggers = Keeping(logging.ERROR), [logging.getLogger(name) for name in ("messaging", "asyncio")]
    for logger in loggers:
        logger.addHandler(keeping)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(keeping)
    assert records == []


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    """Four users, a group of three of them and a room; afterwards nothing of them may be left."""
    with without_errors():
        async with built(grace_seconds=0.01) as house:
            made = Town(house)
            for user_id in USERS:
                await house.one.gateway.ctx.store.put_user(Profile(id=user_id))
            await house.one.do(PutConversation(conversation_id=GROUPS[0], member_ids=USERS[:3]))
            await house.one.do(PutConversation(conversation_id=ROOMS[0], kind=Kind.ROOM))
            yield made
            await check_that_all_is_well(made)
            for client in made.present:
                client.leave()
            await check_that_nothing_is_left(made)


async def check_that_all_is_well(made: Town) -> None:
    """Everything was answered, nobody met a bug, and nobody was sent away."""
    for client in made.present:
        await settled(client)
        assert client.farewell is None, client.farewell
    for client in made.everybody:
        assert not [told for _, told in client.heard if '"INTERNAL"' in json.dumps(told)]
    for client in made.present:
        acks = [name for name, _ in client.heard if name.startswith("ack ")]
        assert acks == [f"ack {ref}" for ref in range(1, client.refs + 1)]


async def check_that_nothing_is_left(made: Town) -> None:
    """When all have gone, and their grace has passed, nobody keeps anything of them."""
    gateway, exchange = made.process.gateway, made.house.exchange

    def left() -> dict[str, object]:
        attendance = vars(gateway.attendance)
        everything = {
            "sessions": gateway.sessions,
            "channels": gateway.hub.channels,
            "followers": gateway.hub.followers,
            "tasks": vars(gateway.tasks)["_running"],
            "typists": vars(gateway.ctx.typists)["_typists"],
            "places": {place: users for place, users in exchange.places.items() if users},
            "topics": {topic for bus in exchange.buses for topic in vars(bus)["_topics"]} - {EVERYBODY},
            **{name: attendance[name] for name in ("_wanted", "_rooms", "_told", "_telling")},
        }
        return {name: kept for name, kept in everything.items() if kept}

    try:
        await until(lambda: not left(), 20.0)
    except TimeoutError:
        raise AssertionError(f"left behind: {left()}") from None
    for client in made.everybody:
        assert client.rooms == set()
        assert client.session.watched == {}
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert others <= set(vars(gateway)["_clockwork"])
