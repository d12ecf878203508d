"""Many idle clients in a process of their own, so that killing it makes all of them leave at once.

    JWT_SECRET=… python -m scripts.benchmark.crowd <port> <how many> <room>

Prints `ready` when all have joined, then keeps their connections alive until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from scripts.benchmark.clients import connect_all, token


async def main(port: int, count: int, room: str) -> None:
    credentials = [token(os.environ["JWT_SECRET"], f"crowd{number}") for number in range(count)]
    clients = await connect_all(port, credentials, room)
    print("ready", flush=True)
    await asyncio.Event().wait()
    del clients


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
