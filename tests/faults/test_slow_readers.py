"""P9: who stops reading is cut off at the bound, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable

from tests.conftest import Serve
from tests.faults.checker import disorder
from tests.faults.hostile import joined_by_polling, narrow_http, stalled_poll, stalled_websocket
from tests.faults.load import ENVIRONMENT, Client, Crowd, crowd, until
from tests.servers import ServerProcess

SLOW = 12
BOUND_BYTES = 256 * 1024
BEHIND = 60
"""How many messages wait for those who poll when they ask for them: less than the bound."""
CONTENT = "é" * 3_000
BASE_SECONDS = 5.0


def open_files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208  a folder that changes meanwhile


async def too_slow(people: Crowd) -> float:
    """How many clients have been closed as too slow."""
    headers = {"Authorization": f"Bearer {ENVIRONMENT['METRICS_TOKEN']}"}
    async with people.http.get(f"{people.bases[0]}/metrics", headers=headers) as answer:
        page = await answer.text()
    found = re.findall(
        r'^messaging_connections_closed_total\{.*reason="too slow".*\} (\S+)$', page, re.MULTILINE
    )
    return sum(map(float, found))


async def talk(client: Client, numbers: Iterable[int]) -> list[float]:
    """Send large messages, a few at a time; how long each took to be acked."""

    async def send(number: int) -> float:
        started = time.monotonic()
        message = {"conversationId": "1", "content": CONTENT, "clientMessageId": f"{number}"}
        assert (await client.ask("send-message", message))["success"]
        return time.monotonic() - started

    return list(await asyncio.gather(*map(send, numbers)))


async def test_clients_that_stop_reading_are_cut_off_and_hurt_only_themselves(serve: Serve) -> None:
    server = serve({**ENVIRONMENT, "MAX_QUEUED_BYTES": str(BOUND_BYTES)})
    async with crowd(server.url) as people, narrow_http() as http:
        names = [f"slow{number}" for number in range(SLOW)]
        await people.group("1", "talker", "fast", *names)
        readers = [await people.reader("fast", "1", polling=polling) for polling in (False, True)]
        talker = await people.connect("talker")
        base = open_files(server)
        polling = [await joined_by_polling(http, server.url, name, "1") for name in names[::2]]
        took = await talk(talker, range(BEHIND))
        wires = [await stalled_poll(client, server.url) for client in polling]
        sockets = [await stalled_websocket(http, server.url, name, "1") for name in names[1::2]]
        async with asyncio.timeout(90):
            while await too_slow(people) < SLOW:
                took += await talk(talker, range(len(took), len(took) + 5))
        await until(lambda: open_files(server) <= base + 3, BASE_SECONDS, "connections are gone")
        for reader in readers:
            await reader.reach(len(took), 20)
        stored = await people.stored("1")
        for wire in wires:
            wire.close()
        del sockets  # kept until here, for they would end with their last reference
    took.sort()
    print(f"{len(took)} messages, ack p99 {took[len(took) * 99 // 100]:.3f} s")  # noqa: T201
    assert disorder({r.name: r.seen for r in readers} | {"the store": stored}, up_to=len(stored)) == []
