"""While the storage is away, errors are explicit, and no ack lies.

Nobody restarts the server for that.
"""

from __future__ import annotations

import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable

import pytest

from scripts.chaos_harness.checker import Fact
from scripts.chaos_harness.people import ENVIRONMENT, Crowd, crowd
from scripts.chaos_harness.record import Record, complaints
from tests.conftest import Serve
from tests.servers import MongoServer

SENDERS = [f"sender{n}" for n in range(10)]
REFUSED_SECONDS = 6.0
BACK_SECONDS = 15.0


@pytest.fixture
async def people(serve: Serve, own_mongodb: MongoServer, node: str) -> AsyncIterator[Crowd]:
    """A crowd at a server whose MongoDB is its own, and conversation 1."""
    uri = own_mongodb.url.replace("/?", "/faults?")
    async with crowd(serve({**ENVIRONMENT, "MONGODB_URI": uri}).url) as everybody:
        await everybody.group("1", *SENDERS)
        yield everybody


def judge(record: Record, stored: list[Fact]) -> None:
    print(f"acked {len(record.acked)}, refused {record.refused}, slowest {record.slowest_refusal:.2f} s")  # noqa: T201
    assert set(record.refused) == {"UNAVAILABLE"}
    assert record.slowest_refusal <= REFUSED_SECONDS
    assert record.unknown == 0, "a send was not answered at all"
    assert complaints(record, stored) == []


async def away(record: Record, go: Callable[[], object], come_back: Callable[[], object]) -> None:
    """The storage goes, is missed by everybody, comes back, and acks go on in time."""
    await record.reach(300, 20)
    await to_thread(go)
    await record.refuse(2 * len(SENDERS), 3 * REFUSED_SECONDS)
    await to_thread(come_back)
    before, started = len(record.acked), time.monotonic()
    await record.reach(before + 300, BACK_SECONDS)
    print(f"back after {time.monotonic() - started:.2f} s")  # noqa: T201


async def test_a_frozen_mongodb_is_told_and_forgotten(people: Crowd, own_mongodb: MongoServer) -> None:
    async with people.sending(SENDERS, "1") as record:
        await away(record, own_mongodb.pause, own_mongodb.resume)
    judge(record, await people.stored("1"))


async def test_a_mongodb_that_was_killed_is_told_and_forgotten(
    people: Crowd, own_mongodb: MongoServer
) -> None:
    async with people.sending(SENDERS, "1") as record:
        await away(record, own_mongodb.kill, own_mongodb.start)
    judge(record, await people.stored("1"))
