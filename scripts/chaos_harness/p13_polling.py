"""P13: polling is first class: bodies in pieces, fifty packets at once, aborted polls, upgrades."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from scripts.chaos_harness.by_hand import Gone
from scripts.chaos_harness.people import Crowd, token
from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.proxy import Pipe, Proxy
from scripts.chaos_harness.record import Reader, Record, complaints, fact_of, now, until
from scripts.chaos_harness.stage import Stage
from tests.round_robin import round_robin

SENDERS = [f"sender{n}" for n in range(6)]
RAW = [f"raw{n}" for n in range(2)]
PACKETS = 50
CUT_BYTES = 400
ABORTED_SHARE = 0.05
LIMIT = aiohttp.ClientTimeout(20)

Json = Any


@dataclass
class Raw(Reader):
    """A polling client that says its packets in ways in which others do not, and gives polls up half-way.

    Then it comes back as real clients do: with a new session, joining with `after`, and sending again what
    was not acked.
    """

    user: str
    people: Crowd
    record: Record
    chance: random.Random
    aborted: int = 0
    posted: int = 0

    def __post_init__(self) -> None:
        super().__init__(f"{self.user} by polling, raw")
        self._url = f"{self.people.bases[0]}/socket.io/"
        self._query: dict[str, str] = {}
        self._numbers = count(1)
        self._waiting: dict[int, float] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with contextlib.suppress(Gone, aiohttp.ClientError, OSError):
                await self._enter()
                while True:
                    self._take(await self._get())

    async def send(self, bodies: int) -> None:
        """Post so many bodies of fifty messages each; return when all are acked.

        The next comes when all of one are acked: who has 256 frames waiting is sent away as too slow.
        """
        await self.joined.wait()
        for _ in range(bodies):
            numbers = [next(self._numbers) for _ in range(PACKETS)]
            self._waiting.update(dict.fromkeys(numbers, now()))
            self.record.attempted.update(map(self._name, numbers))
            with contextlib.suppress(Gone, aiohttp.ClientError, OSError):  # they are sent again
                await self._post(self._body([self._message(number) for number in numbers]))
            await until(lambda: not self._waiting, 60, f"{self.name} has all acks")

    async def _enter(self) -> None:
        self._query = {"EIO": "4", "transport": "polling"}
        opened = await self._get()
        self._query = {**self._query, "sid": orjson.loads(opened[0][1:])["sid"]}
        self.came += 1
        signing_in = f"40/messaging,{orjson.dumps({'token': token(self.user)}).decode()}"
        joining = ["join-conversation", {"conversationId": "1", "after": self.last_seq}]
        await self._post(signing_in.encode())
        await self._post(f"42/messaging,0{orjson.dumps(joining).decode()}".encode())
        if self._waiting:
            await self._post(self._body([self._message(number) for number in self._waiting]))

    def _name(self, number: int) -> str:
        return f"{self.user}-{number}"

    def _message(self, number: int) -> str:
        name = self._name(number)
        message = {"conversationId": "1", "content": name, "clientMessageId": name}
        return f"42/messaging,{number}{orjson.dumps(['send-message', message]).decode()}"

    # --- bodies ---

    def _body(self, packets: Sequence[str]) -> bytes | AsyncIterator[bytes]:
        return self.chance.choice((self._whole, self._chunked, self._split))(packets)

    def _whole(self, packets: Sequence[str]) -> bytes:
        return "\x1e".join(packets).encode()

    async def _chunked(self, packets: Sequence[str]) -> AsyncIterator[bytes]:
        """With Transfer-Encoding: chunked, in pieces of any size."""
        data = self._whole(packets)
        while data:
            size = self.chance.randrange(1, 400)
            yield data[:size]
            data = data[size:]

    async def _split(self, packets: Sequence[str]) -> AsyncIterator[bytes]:
        """With pauses between the pieces."""
        data = self._whole(packets)
        for start in range(0, len(data), 1_500):
            yield data[start : start + 1_500]
            await asyncio.sleep(0.005)

    # --- requests ---

    async def _post(self, body: bytes | AsyncIterator[bytes]) -> None:
        async with self.people.http.post(self._url, params=self._query, data=body, timeout=LIMIT) as answer:
            if answer.status != 200:
                raise Gone(await answer.text())
        self.posted += 1

    async def _get(self) -> list[str]:
        """The packets of a poll; Gone when it is given up, or the session is."""
        gives_up = "sid" in self._query and self.chance.random() < ABORTED_SHARE
        patience = self.chance.uniform(0, 0.05) if gives_up else None
        try:
            async with asyncio.timeout(patience), self._polling() as answer:
                text = await answer.text()
        except TimeoutError:
            self.aborted += 1
            raise Gone("given up") from None
        if answer.status != 200:
            raise Gone(text)
        return str(text).split("\x1e")

    def _polling(self) -> Any:
        return self.people.http.get(self._url, params=self._query, timeout=LIMIT)

    def _take(self, packets: Sequence[str]) -> None:
        for packet in packets:
            text = packet.partition(",")[2]
            if packet.startswith("43"):
                self._acked(text)
            elif packet.startswith("42"):
                name, *args = orjson.loads(text)
                if name == "new-message":
                    self.hear(fact_of(args[0]), now())
                elif name == "conversation-history":
                    for message in args[0]["messages"]:
                        self.hear(fact_of(message), now())

    def _acked(self, text: str) -> None:
        number, _, _ = text.partition("[")
        ack = orjson.loads(text[len(number) :])[0]
        if number == "0":
            self.joined.set()
            return
        started = self._waiting.pop(int(number), now())
        if not ack["success"]:
            self.record.refuse_one(ack["code"], now() - started)
        else:
            self.record.ack(fact_of(ack["message"]), now(), now() - started)


@asynccontextmanager
async def _one_process(stage: Stage) -> AsyncIterator[str]:
    yield (await stage.server_on("mongodb")).url


@asynccontextmanager
async def _two_workers(stage: Stage) -> AsyncIterator[str]:
    yield (await stage.workers()).url


@asynccontextmanager
async def _two_machines(stage: Stage) -> AsyncIterator[str]:
    one, other = await stage.pair()
    async with round_robin(one.url, other.url) as balanced:
        yield balanced.url


PLACES = {"one process": _one_process, "two workers": _two_workers, "two machines": _two_machines}
"""Where the service is reached; with several processes, connections come now to one, now to the other."""


@dataclass
class Seen:
    """What came of it, in all places."""

    figures: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


async def attempt(trial: Trial) -> Verdict:
    """Post in all ways, abort polls on both sides, upgrade while messages come; without sticky sessions."""
    bodies = trial.scale(short=2, quick=12, full=120)
    seen = Seen()
    for name, place in PLACES.items():
        async with trial.stage.act() as stage, place(stage) as url:
            found = await _at(url, stage, trial.chance, bodies, seen.figures)
        seen.complaints += [f"{name}: {text}" for text in found]
    return Verdict(
        load=f"{len(SENDERS)} senders, {len(RAW)} by hand, 10 readers; {', '.join(PLACES)}",
        faults="bodies chunked and split, of 50 packets; polls aborted and cut; upgrades under load",
        figures=dict(seen.figures),
        complaints=seen.complaints,
    )


async def _at(url: str, stage: Stage, chance: random.Random, bodies: int, figures: Counter[str]) -> list[str]:
    """What is wrong in one place."""
    proxy = await stage.proxy(Proxy(urlsplit(url).port or 80))
    people = await stage.crowd(url)
    await people.group("1", "reader", *SENDERS, *RAW)
    through = [await people.reader("reader", "1", base=proxy.url, way="polling") for _ in range(4)]
    upgrading = [await people.reader("reader", "1", way="upgrading") for _ in range(4)]
    async with people.sending(SENDERS, "1", together=2, pause=0.05, ways=["polling", "upgrading"]) as record:
        raws = [Raw(user, people, record, chance) for user in RAW]
        running = [asyncio.create_task(raw.run()) for raw in raws]
        _cut_polls(proxy, chance)
        late = asyncio.create_task(_upgrade_again_and_again(people, upgrading))
        await asyncio.gather(*(raw.send(bodies) for raw in raws))
        late.cancel()
        await asyncio.wait([late])
        proxy.opened = lambda _: None
    stored = await people.stored("1")
    readers = [*through, *upgrading, *raws]
    for reader in readers:
        await reader.reach(len(stored), 30)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    figures["stored"] += len(stored)
    figures["bodies"] += sum(raw.posted for raw in raws)
    figures["polls aborted"] += sum(raw.aborted for raw in raws)
    figures["returns after cut polls"] += sum(reader.came - 1 for reader in through)
    figures["upgrades"] += sum(reader.came for reader in upgrading)
    figures.update({f"refused {code}": times for code, times in record.refused.items()})
    return complaints(record, stored, readers)


def _cut_polls(proxy: Proxy, chance: random.Random) -> None:
    """From now on, let answers end in the middle now and then."""

    def cut(pipe: Pipe) -> None:
        if chance.random() < 0.05:
            pipe.cut_after = chance.randrange(CUT_BYTES)

    proxy.opened = cut


async def _upgrade_again_and_again(people: Crowd, readers: list[Reader]) -> None:
    """New clients that begin with polling, as official ones do."""
    while True:
        await asyncio.sleep(1)
        readers.append(await people.reader("reader", "1", way="upgrading"))
