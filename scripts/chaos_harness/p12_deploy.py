"""P12: a deploy loses nothing: SIGTERM under load, whatever the clients are like."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from scripts.chaos_harness.deaf import deaf
from scripts.chaos_harness.people import Crowd
from scripts.chaos_harness.plain import PlainReader
from scripts.chaos_harness.promise import Trial, Verdict, at_most
from scripts.chaos_harness.record import Reader, complaints, now
from scripts.chaos_harness.stage import Kind
from tests.servers import ServerProcess

SENDERS = [f"sender{n}" for n in range(20)]
OUT_SECONDS = 20.0
RESTARTING = 1012
HALF_REQUEST = b"POST /api/conversations/1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often it is deployed on each store, and how many listen well and badly."""

    deploys: int
    readers: int
    hostile: int


@dataclass(slots=True)
class Seen:
    """What came of it."""

    out: float = 0.0
    spread: float = 0.0
    acked: int = 0


async def attempt(trial: Trial) -> Verdict:
    """Stop and start it again and again while many send, listen, and do nothing of what they should."""
    scale = trial.scale(
        short=Scale(deploys=1, readers=3, hostile=2),
        quick=Scale(deploys=1, readers=12, hostile=10),
        full=Scale(deploys=5, readers=50, hostile=30),
    )
    kinds: tuple[Kind | Literal["two workers"], ...] = ("sqlite", "mongodb", "two workers")
    seen, found = Seen(), []
    for kind in kinds:
        found += [f"{kind}: {text}" for text in await _on(kind, trial, scale, seen)]
    return Verdict(
        load=f"{len(SENDERS)} senders, {4 * scale.readers} readers, on SQLite, on MongoDB, with two workers",
        faults=f"{scale.deploys} times SIGTERM on each, with {3 * scale.hostile} hostile clients",
        figures={"acked": seen.acked, "out after s": seen.out, "clients sent away within s": seen.spread},
        complaints=found,
    )


async def _on(kind: Kind | Literal["two workers"], trial: Trial, scale: Scale, seen: Seen) -> list[str]:
    async with trial.stage.act() as stage:
        server = await (stage.workers() if kind == "two workers" else stage.server_on(kind))
        people = await stage.crowd(server.url)
        hostile = [f"hostile{n}" for n in range(scale.hostile)]
        await people.group("1", "reader", *SENDERS, *hostile)
        readers = [reader for _ in range(scale.readers) for reader in await people.readers("reader", "1")]
        found: list[str] = []
        async with people.sending(SENDERS, "1", together=2) as record:
            for _ in range(scale.deploys):
                async with _hostile(server, people, hostile):
                    await record.more(200, 60)
                    found += await _deploy(server, readers, seen)
                await record.more(200, 60)
        stored = await people.stored("1")
        for reader in readers:
            await reader.reach(len(stored), 30)
    seen.acked += len(record.acked)
    if others := set(record.refused) - {"UNAVAILABLE"}:
        found.append(f"refused with {others}")
    at_most(found, "out after s", seen.out, OUT_SECONDS)
    return found + complaints(record, stored, readers)


async def _deploy(server: ServerProcess, readers: list[Reader], seen: Seen) -> list[str]:
    """Stop it and start it again; what is wrong with how it went."""
    for reader in readers:
        reader.went_at.clear()
        if isinstance(reader, PlainReader):
            reader.close_codes.clear()
    started = now()
    code = await to_thread(server.stop)
    seen.out = max(seen.out, now() - started)
    await to_thread(server.start)
    found = [f"exit code {code}"] if code else []
    times = [reader.went_at[0] for reader in readers if reader.went_at]
    seen.spread = max(times) - min(times) if times else 0.0
    codes = {c for reader in readers if isinstance(reader, PlainReader) for c in reader.close_codes[:1]}
    if codes != {RESTARTING}:
        found.append(f"plain WebSockets were closed with {codes}")
    if away := sum(reader.sent_away for reader in readers):
        found.append(f"{away} socket.io-clients were told never to come back")
    return found


@asynccontextmanager
async def _hostile(server: ServerProcess, people: Crowd, users: list[str]) -> AsyncIterator[None]:
    """Clients that read nothing, never sign in, or never finish a request."""
    async with AsyncExitStack() as stack:
        for number, user in enumerate(users):
            await stack.enter_async_context(deaf(server.url, user, plain=number % 2 == 0))
            url = f"{people.bases[0]}/socket.io/?EIO=4&transport=websocket"
            silent = await people.http.ws_connect(url, max_msg_size=0)
            stack.push_async_callback(silent.close)
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(HALF_REQUEST)
        with contextlib.suppress(OSError):
            yield
