"""P12: SIGTERM under load loses nothing that was acked, and every client is told to come back."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread

from tests.conftest import Serve
from tests.faults.checker import disorder, doubles, lost, phantom
from tests.faults.load import Client, Crowd, WebSocketCarrier, crowd

SENDERS = [f"sender{n}" for n in range(20)]
LISTENERS = [f"listener{n}" for n in range(30)]
OUT_SECONDS = 20.0
SHUTDOWN = 1012


async def listen(people: Crowd, user: str, *, polling: bool) -> Client:
    client = await people.connect(user, polling=polling)
    assert (await client.ask("join-conversation", {"conversationId": "1"}))["success"]
    return client


async def test_a_server_that_is_told_to_stop_loses_nothing_and_tells_everybody_to_come_back(
    serve: Serve, environment: dict[str, str]
) -> None:
    server = serve(environment)
    async with crowd(server.url) as people:
        await people.group("1", *SENDERS, *LISTENERS)
        listeners = [await listen(people, user, polling=n % 3 == 0) for n, user in enumerate(LISTENERS)]
        async with people.sending(SENDERS, "1") as record:
            await record.reach(500, 20)
            started = time.monotonic()
            assert await to_thread(server.stop) == 0
            took = time.monotonic() - started
            async with asyncio.timeout(5):
                await asyncio.gather(*(listener.gone.wait() for listener in listeners))
            await to_thread(server.start)
            await record.reach(len(record.acked) + 500, 20)
        stored = await people.stored("1")
    print(f"acked {len(record.acked)}, out in {took:.2f} s, unknown {record.unknown}, {record.refused}")  # noqa: T201
    assert took <= OUT_SECONDS
    assert not any(listener.disconnected for listener in listeners), "those would never come back"
    assert {c.ws.close_code for one in listeners if isinstance(c := one.carrier, WebSocketCarrier)} == {
        SHUTDOWN
    }
    assert set(record.refused) <= {"UNAVAILABLE"}
    assert lost(record.acked.values(), stored) == []
    assert phantom(stored, record.attempted) == []
    assert doubles(stored) == []
    assert disorder({"the store": stored}, up_to=len(stored)) == []
