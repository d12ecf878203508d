"""A house for the tests of the gateway: processes without a network, clients that write down what they hear.

Several processes share one store and one exchange, as real ones share a database and a Redis.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from messaging.backplanes import Exchange, in_memory
from messaging.dialects import DIALECTS
from messaging.dialects.base import Dialect, Frame, Payload
from messaging.domain.commands import Actor, Command
from messaging.domain.events import Announcement
from messaging.domain.models import Identity, Profile
from messaging.gateway.farewell import LEFT, Farewell
from messaging.gateway.gateway import Gateway
from messaging.gateway.session import Session
from messaging.service import handlers
from messaging.service.context import Outcome, make_context
from messaging.service.policy import Policy
from messaging.service.ports import Bus, Store
from messaging.stores.sqlite import SqliteStore
from messaging.tokens import JsonWebTokens, mint
from tests.stage import NO_RULES, SECRET, service

Heard = tuple[str, Any]
"""What came: an event's name and payload, or `ack 7` and what was acked."""


def clock() -> datetime:
    """The real time, in whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  conditions of many kinds, none with an event
            await asyncio.sleep(0.001)


class TestWire:
    """Frames as JSON arrays; acks under the name `ack <ref>`."""

    __test__ = False

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.encoded = 0

    def encode(self, frame: Frame) -> str:
        """As Wire.encode."""
        self.encoded += 1
        return json.dumps([frame.name, frame.payload])

    def encode_ack(self, ref: object, payload: Payload) -> str:
        """As Wire.encode_ack."""
        return json.dumps([f"ack {ref}", payload])

    def with_offset(self, text: str, offset: str) -> str:
        """As Wire.with_offset."""
        name, payload = json.loads(text)
        return json.dumps([name, payload, offset])


@dataclass(eq=False)
class Client:
    """One connection, which is its own transport, and all that it heard, in order."""

    user_id: str
    heard: list[Heard] = field(default_factory=list)
    history: list[Heard] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)
    """How those events ended that say where the client stands."""
    frames: list[list[Any]] = field(default_factory=list)
    """All that came, as it came."""
    rooms: set[str] = field(default_factory=set)
    farewell: Farewell | None = None
    refs: int = 0
    crowded: bool = False
    behind: bool = False
    answers: bool = True
    """Whether it answers when it is asked."""
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.taking.set()

    # as a Transport

    def write(self, data: str) -> None:
        """As Transport.write."""
        self.frames.append(json.loads(data))
        name, payload, *offset = self.frames[-1]
        self.heard.append((name, payload))
        self.offsets += offset

    def write_history(self, data: str) -> None:
        """As Transport.write_history."""
        self.write(data)
        self.history.append(self.heard[-1])

    async def drained(self) -> None:
        """As Transport.drained; a test may clear `taking` to be slow."""
        await self.taking.wait()

    def close(self, farewell: Farewell) -> None:
        """As Transport.close."""
        self.farewell = self.farewell or farewell
        self.session.closed(farewell)

    def entered(self, conversation_id: str) -> None:
        """As Transport.entered."""
        self.rooms.add(conversation_id)

    def left(self, conversation_id: str) -> None:
        """As Transport.left."""
        self.rooms.remove(conversation_id)

    def probe(self, token: int) -> None:
        """As Transport.probe: answers at once, if it does."""
        if self.answers:
            self.session.confirmed(token)

    # as somebody who asks

    async def emit(self, name: str, /, **payload: Any) -> str:
        """Ask for something and do not wait; the name under which it will be acked."""
        self.refs += 1
        await self.session.receive(Frame(name, payload), self.refs)
        return f"ack {self.refs}"

    async def call(self, name: str, /, **payload: Any) -> dict[str, Any]:
        """Ask for something; what it is acked with."""
        return await self.acked(await self.emit(name, **payload))

    async def acked(self, ack: str) -> dict[str, Any]:
        """What something was acked with, once it is."""
        await until(lambda: self.of(ack))
        [payload] = self.of(ack)
        assert isinstance(payload, dict)
        return payload

    async def join(self, conversation_id: str, **payload: Any) -> dict[str, Any]:
        """Watch a conversation, and wait until nothing is held back any more."""
        ack = await self.call("join-conversation", conversationId=conversation_id, **payload)
        await until(lambda: not self.session.busy)
        return ack

    async def say(self, conversation_id: str, content: str = "hello", **payload: Any) -> dict[str, Any]:
        """Send a message."""
        return await self.call("send-message", conversationId=conversation_id, content=content, **payload)

    def leave(self) -> None:
        """Disconnect."""
        self.close(LEFT)

    # what was heard

    def of(self, name: str) -> list[Any]:
        """The payloads of all that came under a name."""
        return [payload for heard, payload in self.heard if heard == name]

    @property
    def back(self) -> tuple[str, str | None]:
        """With what it comes back, having heard all that was written to it."""
        assert self.session.comeback is not None
        return self.session.comeback.pid, (self.offsets[-1] if self.offsets else None)

    @property
    def recovered(self) -> bool:
        """Whether it went on where it had stopped."""
        return self.session.comeback is not None and self.session.comeback.missed is not None

    @property
    def names(self) -> list[str]:
        """The names of all that came."""
        return [name for name, _ in self.heard]

    @property
    def messages(self) -> list[int]:
        """The seqs of all messages that came, in histories and live."""
        found: list[int] = []
        for name, payload in self.heard:
            if name == "conversation-history":
                found += [message["seq"] for message in payload["messages"]]
            elif name == "new-message":
                found.append(payload["seq"])
        return found


class LossyBus:
    """A bus in front of another one, which loses the events that a test does not like."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.loses: Callable[[Announcement], bool] = lambda _event: False

    async def start(self, deliver: Callable[[Announcement], None]) -> None:
        """As Bus.start."""
        await self._bus.start(deliver)

    async def close(self) -> None:
        """As Bus.close."""
        await self._bus.close()

    def publish(self, events: Sequence[Announcement]) -> None:
        """As Bus.publish, but for what is lost."""
        self._bus.publish([event for event in events if not self.loses(event)])

    def subscribe(self, topic: str) -> Awaitable[None]:
        """As Bus.subscribe."""
        return self._bus.subscribe(topic)

    def unsubscribe(self, topic: str) -> None:
        """As Bus.unsubscribe."""
        self._bus.unsubscribe(topic)

    async def check(self) -> None:
        """As Bus.check."""
        await self._bus.check()


@dataclass
class Process:
    """One server process."""

    gateway: Gateway
    bus: LossyBus
    wire: TestWire

    async def connect(
        self,
        user_id: str,
        *,
        seconds: float | None = None,
        name: str | None = None,
        dialect: str | None = None,
        device: str | None = None,
        back: tuple[str, str | None] | None = None,
    ) -> Client:
        """A client of this user, signed in for so long; speaks `messaging` unless told otherwise. With the
        pid and offset of `back` it comes back to what it had; with ("", None) it may do so later."""
        profile = Profile(id=user_id, name=name)
        await self.gateway.ctx.store.put_user(profile)
        expires = None if seconds is None else clock() + timedelta(seconds=seconds)
        client = Client(user_id)
        identity = Identity(profile=profile, expires_at=expires)
        wire = TestWire(DIALECTS[dialect]) if dialect else self.wire
        comeback = None
        if back is not None:
            pid, offset = back
            comeback = await self.gateway.recoveries.welcome(
                user_id, wire.dialect.name, "sid", pid=pid, offset=offset
            )
        client.session = await self.gateway.admit(
            identity, wire, client, peer="10.0.0.1", device=device, comeback=comeback
        )
        await client.session.start()
        if client.recovered:
            await until(lambda: not client.session.busy)
        return client

    async def do(self, command: Command, *, user_id: str | None = None) -> None:
        """What the host application asks for here, or a user, by REST."""
        actor = Actor(identity=Identity(profile=Profile(id=user_id))) if user_id else service()
        result = await handlers.HANDLERS[type(command)](self.gateway.ctx, actor, command)
        outcome = result if isinstance(result, Outcome) else await result
        self.gateway.publish(outcome.events)


@dataclass
class House:
    """Processes that share a store and an exchange."""

    processes: list[Process]
    exchange: Exchange

    @property
    def one(self) -> Process:
        """The first process."""
        return self.processes[0]

    @property
    def other(self) -> Process:
        """The second process."""
        return self.processes[1]


def token(user_id: str, minutes: float = 5) -> str:
    """A token for a user."""
    return mint(SECRET, user_id, now=clock(), ttl=timedelta(minutes=minutes))


@asynccontextmanager
async def built(
    *,
    processes: int = 1,
    store: Store | None = None,
    rules: Mapping[str, str] = NO_RULES,
    grace_seconds: float = 0.05,
    policy: Policy | None = None,
) -> AsyncIterator[House]:
    """A house in which everybody is at work, and swept afterwards."""
    store = store or SqliteStore(":memory:")
    exchange = Exchange(rules)
    await store.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        house = House([], exchange)
        for _ in range(processes):
            process = _process(store, exchange, policy or Policy(), grace_seconds)
            await process.gateway.start()
            stack.push_async_callback(_end, process)
            house.processes.append(process)
        yield house


def _process(store: Store, exchange: Exchange, policy: Policy, grace_seconds: float) -> Process:
    backplane = in_memory(exchange)
    ctx = make_context(
        store=store,
        presence=backplane.presence,
        limits=backplane.limits,
        tokens=JsonWebTokens(secret=SECRET, clock=clock),
        clock=clock,
        policy=policy,
    )
    bus = LossyBus(backplane.bus)
    gateway = Gateway(ctx, bus, grace_seconds=grace_seconds)
    return Process(gateway, bus, TestWire(DIALECTS["messaging"]))


async def _end(process: Process) -> None:
    for session in list(process.gateway.sessions):
        session.close(LEFT)
    await process.gateway.close()
