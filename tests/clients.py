"""Real clients for the tests: scripts in tests/node that speak JSON lines, and unmodified socket.io-clients.

alice = await clients.connect(server.url, auth={"token": token})
answer = await alice.emit_with_ack("send_message", {...})
seen = await alice.wait_for("new_message", where=lambda seen: seen.data["content"] == "hello")
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, Self

from tests.servers import ROOT

NODE_SCRIPTS = ROOT / "tests" / "node"
LINE_BYTES = 16 * 1024 * 1024
WAIT_SECONDS = 10.0

Json = Any


class NodeScript:
    """A running script of tests/node: JSON lines in, JSON lines out.

    It has to end when its standard input does; then it never outlives the test run.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, script: str, *args: str, headers: Mapping[str, str] | None = None) -> Self:
        """Run `node tests/node/<script> <args>`; `close` it in the end. A script that sends headers of its
        own finds them in its environment."""
        command = ("node", str(NODE_SCRIPTS / script), *args)
        environment = {**os.environ, "HEADERS": json.dumps(dict(headers or {}))}
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES, env=environment
            )
        )

    def signal(self, number: signal.Signals) -> None:
        """Freeze it, wake it, or end it without a goodbye."""
        self._process.send_signal(number)

    async def send(self, message: Json) -> None:
        """Give it one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def lines(self) -> AsyncIterator[Json]:
        """What it prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            yield json.loads(line)

    async def close(self) -> int:
        """End its input, wait for it to end, and give its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return await asyncio.wait_for(self._process.wait(), WAIT_SECONDS)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


Kind = Literal[
    "connect",
    "connect_error",
    "disconnect",
    "event",
    "ack",
    "upgrade",
    "reconnect_attempt",
    "reconnect_failed",
    "failed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that a client saw.

    `name` and `args` belong to events of the server; `fields` holds the rest: connect (sid, recovered,
    transport), connect_error (message, data), disconnect (reason), upgrade (transport), reconnect_attempt
    (attempt).
    """

    kind: Kind
    name: str
    args: list[Json]
    fields: dict[str, Json]

    @property
    def data(self) -> Json:
        """The only argument of an event that has one."""
        return self.args[0] if self.args else None


class AckFailed(Exception):
    """The server did not acknowledge in time, or the connection broke first."""


class NodeClient:
    """One unmodified socket.io-client; `seen` is all that it saw, oldest first."""

    def __init__(self, clients: NodeClients, name: str) -> None:
        self.seen: list[Seen] = []
        self._clients = clients
        self.name = name
        self._references = count(1)

    async def emit(self, event: str, *args: Json) -> None:
        """Emit without asking for an acknowledgement. Bytes are written {"$bytes": "<base64>"}."""
        await self.tell("emit", event=event, args=args)

    async def emit_with_ack(self, event: str, *args: Json, timeout: float = WAIT_SECONDS) -> Json:
        """Emit and give the first argument of the acknowledgement, or raise AckFailed."""
        return await (await self.send_with_ack(event, *args, timeout=timeout))

    async def send_with_ack(
        self, event: str, *args: Json, timeout: float = WAIT_SECONDS
    ) -> asyncio.Future[Json]:
        """Like `emit_with_ack`, but returns at once, with the answer to come: for many at a time."""
        ref = next(self._references)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._clients.acks[self.name, ref] = answer
        await self.tell("emit", event=event, args=args, ack=True, ref=ref, timeout=timeout * 1000)
        return answer

    def events(self, name: str | None = None) -> list[Seen]:
        """The events of the server so far, all or those called `name`."""
        return [seen for seen in self.seen if seen.kind == "event" and name in (None, seen.name)]

    async def wait_for(
        self,
        *names: str,
        where: Callable[[Seen], bool] = lambda _: True,
        timeout: float = WAIT_SECONDS,
        since: int = 0,
    ) -> Seen:
        """The first event with one of these names, or thing of one of these kinds, for which `where` is true.

        What was seen before the call counts as well, from position `since` on: `since=len(client.seen)` waits
        for something new.
        """
        position = since
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for seen in self.seen[position:]:
                        if (seen.name in names or seen.kind in names) and where(seen):
                            return seen
                    position = len(self.seen)
                    await self._clients.more_than(self, position)
        except TimeoutError:
            raise AssertionError(f"no {names} within {timeout} s; seen: {self.seen[since:][-20:]}") from None

    async def set_auth(self, auth: Mapping[str, Json]) -> None:
        """What the next connection signs in with."""
        await self.tell("auth", auth=auth)

    async def break_connection(self) -> None:
        """Lose the transport; the client comes back by itself."""
        await self.tell("disconnect_transport")

    async def disconnect(self) -> None:
        """Leave with a DISCONNECT packet; `open` comes back."""
        await self.tell("disconnect")

    async def open(self) -> None:
        """Connect again after `disconnect`."""
        await self.tell("open")

    async def close(self) -> None:
        """Leave for good."""
        await self.tell("close")

    async def tell(self, op: str, **fields: Json) -> None:
        await self._clients.tell({"op": op, "client": self.name, **fields})


class NodeClients:
    """Many socket.io-clients in one Node process, which starts with the first of them."""

    def __init__(self) -> None:
        self._running = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._script: NodeScript | None = None
        self.acks: dict[tuple[str, int], asyncio.Future[Json]] = {}
        self._clients: dict[str, NodeClient] = {}
        self._changed = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """The Node process ends with the block, and its clients with it."""
        clients = cls()
        async with clients._running:
            yield clients

    async def connect(
        self, url: str, namespace: str = "/messaging", *, wait: bool = True, **options: Json
    ) -> NodeClient:
        """A new client, with the options of socket.io-client (auth, transports, query, reconnectionDelay, …).

        With `wait` it is connected, or AssertionError tells why it was refused.
        """
        client = NodeClient(self, f"client-{len(self._clients) + 1}")
        self._clients[client.name] = client
        await client.tell("connect", url=url, namespace=namespace, options=options)
        if wait:
            first = await client.wait_for("connect", "connect_error")
            assert first.kind == "connect", f"refused: {first.fields}"
        return client

    async def more_than(self, client: NodeClient, number: int) -> None:
        """Wait until the client has seen more than `number` things."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(client.seen) > number)

    async def tell(self, command: Json) -> None:
        """Give the Node process a command."""
        async with self._starting:
            script = self._script = self._script or await self._start()
        await script.send(command)

    async def _start(self) -> NodeScript:
        script = await NodeScript.start("client.js")
        reader = asyncio.create_task(self._read(script))
        self._running.push_async_callback(asyncio.wait_for, reader, WAIT_SECONDS)
        self._running.push_async_callback(script.close)
        return script

    async def _read(self, script: NodeScript) -> None:
        async for line in script.lines():
            self._take(**line)
            async with self._changed:
                self._changed.notify_all()

    def _take(
        self,
        *,
        client: str,
        kind: Kind,
        name: str = "",
        args: list[Json] | None = None,
        **fields: Json,
    ) -> None:
        seen = Seen(kind=kind, name=name, args=args or [], fields=fields)
        if kind == "ack":
            answer = self.acks.pop((client, fields["ref"]))
            if answer.cancelled():
                return
            if "error" in fields:
                answer.set_exception(AckFailed(fields["error"]))
            else:
                answer.set_result(seen.data)
        self._clients[client].seen.append(seen)
