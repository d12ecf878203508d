"""Fills the "disk" of a store with a limit on file sizes: `python -m tests.stores.sqlite_full_disk PATH`.

In a process of its own, since the limit holds for all of it. Ends with 0 when all that it asserts is true.
"""

from __future__ import annotations

import asyncio
import resource
import sys

import pytest

from messaging.domain.errors import ClientError, Unavailable
from messaging.domain.models import Message
from messaging.stores.sqlite import SqliteStore
from tests.stores.build import conversation, draft, everything, member, send

FULL_BYTES = 600_000
"""More than an empty database with its log takes, with room to spare."""


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def fill(store: SqliteStore) -> list[Message]:
    """Append until the disk is full; what was acknowledged."""
    sent: list[Message] = []
    while True:
        try:
            sent += await send(store, draft("x" * 1000), draft("y" * 1000))
        except Unavailable:
            return sent


async def main(path: str) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.save(conversation("c"))
    limit_files(FULL_BYTES)
    sent = await fill(store)
    assert sent, "an empty database alone is no full disk"
    assert list(await everything(store)) == sent, "what was refused is not there, reads go on"
    with pytest.raises(Unavailable):
        await store.save(conversation("c", version=2), put=[member("u" * n) for n in range(1, 900)])
    assert (await store.tails(["c"]))["c"].version == 1
    limit_files(resource.RLIM_INFINITY)
    sent += await send(store, draft("there is space again"))
    await store.ping()

    limit_files(FULL_BYTES * 2)
    large = store.append([draft("z" * 5 * FULL_BYTES)])
    outcomes = await asyncio.gather(large, *(store.ping() for _ in range(20)), return_exceptions=True)
    assert isinstance(outcomes[0], Unavailable)
    assert not any(isinstance(one, ClientError) for one in outcomes[1:]), "small writes found room"
    limit_files(resource.RLIM_INFINITY)
    await store.close()

    again = SqliteStore(path)
    await again.open()
    assert list(await everything(again)) == sent
    assert [message.seq for message in sent] == list(range(1, len(sent) + 1))
    await again.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
