"""P6: coming back: after whatever broke the connection, each missed message comes once, in order."""

from __future__ import annotations

import asyncio
import random
from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.chaos_harness.people import Crowd, Way
from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.proxy import Proxy
from scripts.chaos_harness.record import Reader, Record, complaints, until
from tests.servers import ServerProcess

SENDERS = [f"sender{n}" for n in range(10)]
SOCKETIO: Sequence[Way] = ("websocket", "polling", "upgrading")
WAYS: Sequence[Way] = (*SOCKETIO, "ws-chat", "rooms")
NOTICED_SECONDS = 60.0
"""A client misses the server's pings after 45 seconds."""
CUT_BYTES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many listen, how often each is broken off or silenced, and how often the server restarts."""

    readers: int
    breaks: int
    silenced: int
    restarts: int


@dataclass(slots=True, kw_only=True)
class Line:
    """A reader, and the proxy that nobody else uses."""

    reader: Reader
    proxy: Proxy
    way: Way

    async def broken(self, chance: random.Random, times: int) -> None:
        """Break it again and again; each time the reader comes back."""
        for _ in range(times):
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            came, went = self.reader.came, len(self.reader.went_at)
            while len(self.reader.went_at) == went and self.reader.came == came:
                self._reset_or_cut(chance)  # of polling there may be nothing under way
                await asyncio.sleep(0.2)
            await self._returned(came)

    async def _returned(self, came: int) -> None:
        await until(lambda: self.reader.came > came, NOTICED_SECONDS, f"{self.reader.name} is back")

    def _reset_or_cut(self, chance: random.Random) -> None:
        if chance.random() < 0.5:
            self.proxy.reset()
            return
        for pipe in self.proxy.pipes:  # in the middle of what is just being said
            pipe.cut_after = chance.randrange(CUT_BYTES)

    async def silenced(self) -> None:
        """Nothing is heard any more, until the client notices by itself."""
        came = self.reader.came
        self.proxy.silence()
        await self._returned(came)


async def attempt(trial: Trial) -> Verdict:
    """Reset, cut in the middle of an answer, silence, restart the server, while ten send."""
    scale = trial.scale(
        short=Scale(readers=10, breaks=2, silenced=0, restarts=1),
        quick=Scale(readers=15, breaks=6, silenced=5, restarts=1),
        full=Scale(readers=25, breaks=20, silenced=15, restarts=5),
    )
    server = await trial.stage.server_on("mongodb")
    people = await trial.stage.crowd(server.url)
    await people.group("1", "reader", *SENDERS)
    lines = [await _line(trial, people, server, WAYS[n % len(WAYS)]) for n in range(scale.readers)]
    quiet = [await _line(trial, people, server, "websocket") for _ in range(scale.silenced)]
    async with people.sending(SENDERS, "1", together=1, pause=0.1) as record:
        silence = asyncio.gather(*(line.silenced() for line in quiet))
        await _break(trial, scale, server, lines, record)
        await silence
        await record.more(50, 30)
    readers = [line.reader for line in (*lines, *quiet)]
    stored = await people.stored("1")
    for reader in readers:
        await reader.reach(len(stored), NOTICED_SECONDS)
    returns = sum(reader.came - 1 for reader in readers)
    by_socketio = [
        line.reader for line in (*lines, *quiet) if line.way in ("websocket", "polling", "upgrading")
    ]
    return Verdict(
        load=f"{len(readers)} readers, {len(SENDERS)} senders",
        faults=f"reset or cut {scale.readers * scale.breaks} times, {scale.silenced} silenced, "
        f"{scale.restarts} restarts of the server",
        figures={
            "returns": returns,
            "by socket.io-client": sum(reader.came - 1 for reader in by_socketio),
            "recovered by the server": sum(reader.recovered for reader in by_socketio),
            "stored": len(stored),
        },
        complaints=complaints(record, stored, readers),
    )


async def _line(trial: Trial, people: Crowd, server: ServerProcess, way: Way) -> Line:
    proxy = await trial.stage.proxy(Proxy(server.port))
    return Line(reader=await people.reader("reader", "1", base=proxy.url, way=way), proxy=proxy, way=way)


async def _break(
    trial: Trial, scale: Scale, server: ServerProcess, lines: Sequence[Line], record: Record
) -> None:
    breaks = scale.breaks // (scale.restarts + 1)
    for turn in range(scale.restarts + 1):
        if turn:
            await to_thread(server.restart)
            await record.more(50, 30)
        await asyncio.gather(*(line.broken(trial.chance, breaks) for line in lines))
