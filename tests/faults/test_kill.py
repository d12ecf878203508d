"""P1: `kill -9` of the real server under load loses nothing that was acked, and doubles nothing."""

from __future__ import annotations

import random
from asyncio import to_thread

from tests.conftest import Serve
from tests.faults.checker import disorder, doubles, lost, phantom
from tests.faults.load import Record, crowd
from tests.servers import ServerProcess

KILLS = 4
SENDERS = [f"sender{n}" for n in range(20)]
BETWEEN_KILLS = (400, 1_500)
"""How many more are acked before the next kill."""


async def kill_again_and_again(server: ServerProcess, record: Record, chance: random.Random) -> None:
    for _ in range(KILLS):
        await record.reach(len(record.acked) + chance.randint(*BETWEEN_KILLS), 20)
        await to_thread(server.kill)
        await to_thread(server.start)
    await record.reach(len(record.acked) + BETWEEN_KILLS[0], 20)


async def test_nothing_acked_is_lost_when_the_server_is_killed_under_load(
    serve: Serve, environment: dict[str, str], chance: random.Random
) -> None:
    server = serve(environment)
    async with crowd(server.url) as people:
        await people.group("1", "reader", *SENDERS)
        reader = await people.reader("reader", "1")
        async with people.sending(SENDERS, "1") as record:
            await kill_again_and_again(server, record, chance)
        stored = await people.stored("1")
        await reader.reach(len(stored), 10)
    print(f"acked {len(record.acked)}, kills {KILLS}, unknown {record.unknown}, {record.refused}")  # noqa: T201
    assert lost(record.acked.values(), stored) == []
    assert phantom(stored, record.attempted) == []
    assert doubles(stored) == []
    assert disorder({"the store": stored, reader.name: reader.seen}, up_to=len(stored)) == []
    assert record.contradictions == []
    assert record.unknown > 0, "no kill hit anything"
