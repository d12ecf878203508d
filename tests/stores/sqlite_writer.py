"""Appends to a SQLite database until it is killed: `python -m tests.stores.sqlite_writer PATH`.

Prints the ids of a batch in one line when the batch is acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from messaging.domain.models import Draft
from messaging.stores import sqlite_search
from messaging.stores.sqlite import SqliteStore
from tests.stores.build import T0, send


async def main(path: str) -> None:
    sqlite_search.TOGETHER = 20  # so that it may be killed while it indexes
    store = SqliteStore(path)
    await store.open()
    last = (await store.tails(["c"]))["c"].last_seq
    for number in itertools.count(last + 1, 5):
        drafts = [
            Draft(id=n, conversation_id="c", sender_id=f"u{n % 3}", content=f"{n}" * 50, created_at=T0)
            for n in range(number, number + 5)
        ]
        sys.stdout.write(" ".join(str(message.id) for message in await send(store, *drafts)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
