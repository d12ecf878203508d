"""P5 and P7: every reader of a conversation sees the same dense order, also while the bus loses messages.

Two processes with one MongoDB and one Redis; what Redis loses is found in the store within ten seconds, also
when nothing comes after it.
"""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import redis

from tests.conftest import Serve
from tests.faults.checker import Fact, disorder, doubles, lost, phantom
from tests.faults.load import ENVIRONMENT, Crowd, Reader, Record, crowd
from tests.servers import RedisServer

SENDERS = [f"sender{n}" for n in range(20)]
GAP_SECONDS = 10.0


@pytest.fixture
async def people(serve: Serve, own_redis: RedisServer, mongodb_uri: str) -> AsyncIterator[Crowd]:
    """A crowd at two processes that are one service, and conversation 1."""
    environment = {**ENVIRONMENT, "MONGODB_URI": mongodb_uri, "REDIS_URL": own_redis.url}
    async with crowd(serve(environment).url, serve(environment).url) as everybody:
        await everybody.group("1", "reader", *SENDERS)
        yield everybody


async def read_everywhere(people: Crowd) -> list[Reader]:
    """Three readers on each process, over both carriers."""
    return [
        await people.reader("reader", "1", base=base, polling=polling)
        for base in people.bases
        for polling in (False, False, True)
    ]


def judge(record: Record, stored: Sequence[Fact], readers: Sequence[Reader]) -> None:
    late = max(reader.latest(record) for reader in readers)
    print(f"acked {len(record.acked)}, latest {late:.2f} s, unknown {record.unknown}, {record.refused}")  # noqa: T201
    seen = {f"{n}: {reader.name}": reader.seen for n, reader in enumerate(readers)}
    assert disorder({"the store": stored, **seen}, up_to=len(stored)) == []
    assert lost(record.acked.values(), stored) == []
    assert phantom(stored, record.attempted) == []
    assert doubles(stored) == []
    assert late <= GAP_SECONDS


async def test_every_reader_on_two_processes_sees_the_same_dense_order(people: Crowd) -> None:
    readers = await read_everywhere(people)
    async with people.sending(SENDERS, "1") as record:
        await record.reach(4_000, 30)
    stored = await people.stored("1")
    await asyncio.gather(*(reader.reach(len(stored), GAP_SECONDS) for reader in readers))
    judge(record, stored, readers)
    assert await people.metric("messaging_connections_opened_total") == len(readers) + len(SENDERS)


async def test_who_joins_a_long_conversation_that_goes_on_hears_each_message_once(people: Crowd) -> None:
    async with people.sending(SENDERS, "1", together=8) as record:
        await record.reach(1_000, 30)
        readers = [reader for _ in range(3) for reader in await read_everywhere(people)]
        await record.reach(len(record.acked) + 100, 30)
    stored = await people.stored("1")
    await asyncio.gather(*(reader.reach(len(stored), GAP_SECONDS) for reader in readers))
    seen = {f"{n}: {reader.name}": reader.seen for n, reader in enumerate(readers)}
    assert disorder({"the store": stored, **seen}, up_to=len(stored)) == []


@asynccontextmanager
async def losing_messages(server: RedisServer) -> AsyncIterator[None]:
    """Inside the block Redis cuts its subscribers off again and again, and forgets what it knew."""
    stop = asyncio.Event()

    async def lose() -> None:
        while not stop.is_set():
            await to_thread(cut_off, server)
            await asyncio.wait([asyncio.create_task(stop.wait())], timeout=0.3)

    task = asyncio.create_task(lose())
    try:
        yield
    finally:
        stop.set()
        await task


def cut_off(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        client.flushall()


async def test_what_the_bus_loses_is_read_from_the_store_within_ten_seconds(
    people: Crowd, own_redis: RedisServer
) -> None:
    readers = await read_everywhere(people)
    async with people.sending(SENDERS, "1", together=1) as record:
        async with losing_messages(own_redis):
            await record.reach(1_000, 30)
        await to_thread(own_redis.kill)
        await record.reach(len(record.acked) + 500, 30)
        await to_thread(own_redis.start)
        await record.reach(len(record.acked) + 500, 30)
        await to_thread(own_redis.kill)  # so that nobody hears of the last ones
        await record.reach(len(record.acked) + 100, 30)
    stored = await people.stored("1")
    await asyncio.gather(*(reader.reach(len(stored), GAP_SECONDS) for reader in readers))
    judge(record, stored, readers)
    assert await people.metric("messaging_gaps_filled_total") > 0, "nothing was lost"
