"""Who joins a long conversation in which others go on writing, at two processes, misses nothing."""

from __future__ import annotations

import asyncio

from scripts.chaos_harness.checker import disorder
from scripts.chaos_harness.people import ENVIRONMENT, crowd
from tests.conftest import Serve

SENDERS = [f"sender{n}" for n in range(20)]


async def test_who_joins_a_long_conversation_that_goes_on_hears_each_message_once(
    serve: Serve, redis_url: str, mongodb_uri: str, node: str
) -> None:
    environment = {**ENVIRONMENT, "MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    async with crowd(serve(environment).url, serve(environment).url) as people:
        await people.group("1", "reader", *SENDERS)
        async with people.sending(SENDERS, "1", together=8) as record:
            await record.reach(1_000, 30)
            readers = [reader for _ in range(3) for reader in await people.readers("reader", "1")]
            await record.more(100, 30)
        stored = await people.stored("1")
        await asyncio.gather(*(reader.reach(len(stored), 20) for reader in readers))
    seen = {reader.name: reader.seen for reader in readers}
    assert disorder({"the store": stored, **seen}, up_to=len(stored)) == []
