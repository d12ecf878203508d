"""`serve --workers`: one service of several processes on one port, which outlives each of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from asyncio import to_thread
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import FREELY, Stage, eventually, heard, join, new_id, say
from tests.servers import STOP_SECONDS, ServerProcess, wait_until

WORKERS = ("-m", "messaging", "serve", "--workers", "2")
METRICS = {"Authorization": "Bearer figures"}


@pytest.fixture(scope="module")
def shared(service: Service, on_mongodb_and_redis: dict[str, str]) -> ServerProcess:
    """One service of two workers."""
    return service({**on_mongodb_and_redis, "METRICS_TOKEN": "figures"}, arguments=WORKERS)[0]


@pytest.fixture
def servers(shared: ServerProcess) -> tuple[ServerProcess, ...]:
    """The same; running, whatever the test before did to it."""
    if not shared.running:
        shared.start()
    return (shared,)


def workers_of(server: ServerProcess) -> list[int]:
    """The process ids of its workers."""
    command = ("ps", "-o", "pid=", "--ppid", str(server.pid))
    return [int(pid) for pid in subprocess.run(command, capture_output=True, check=False).stdout.split()]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def refusal(folder: Path, environment: Mapping[str, str], port: int | None = None) -> str:
    """What it says when it does not start."""
    server = ServerProcess(folder, {**FREELY, **environment}, port=port)
    run = subprocess.run(
        [sys.executable, *WORKERS], env=server.environment(), cwd=folder, capture_output=True, check=False
    )
    assert run.returncode == 2
    return run.stderr.decode()


async def starts(stage: Stage) -> list[float]:
    """How often each worker was started, as `/metrics` says; nothing where the one who was asked has died."""
    try:
        page = (await stage.rest("GET", "/metrics", user=None, headers=METRICS)).body
    except aiohttp.ClientError:
        return []
    found = re.findall(r'^messaging_worker_starts{worker="(\d+)"} (\S+)$', page, re.MULTILINE)
    return [float(times) for _, times in sorted(found)]


async def test_whoever_is_asked_shows_the_metrics_of_all(stage: Stage) -> None:
    async def all_there() -> bool:
        return len(await starts(stage)) == 2

    await eventually(all_there, 30)
    people = [await stage.messaging(new_id()) for _ in range(8)]
    page = (await stage.rest("GET", "/metrics", user=None, headers=METRICS)).body
    assert page.count("# TYPE messaging_connections gauge") == 1
    series = r'^messaging_connections\{dialect="messaging",worker="\d"\} (\S+)$'
    assert sum(map(float, re.findall(series, page, re.MULTILINE))) == len(people)
    assert (await stage.rest("GET", "/metrics", user=None)).status == 401


async def test_a_worker_that_dies_takes_nobody_with_it_and_is_started_again(stage: Stage) -> None:
    names = [new_id() for _ in range(16)]
    group = await stage.group(*names)
    people = [await stage.messaging(name, transports=["polling"]) for name in names]
    for one in people:
        await join(one, group)
    before = sum(await starts(stage))
    await to_thread(os.kill, workers_of(stage.servers[0])[0], signal.SIGKILL)

    async def again() -> bool:
        found = await starts(stage)
        return len(found) == 2 and sum(found) == before + 1

    await eventually(again, 30)
    people.sort(key=lambda one: any(seen.kind == "disconnect" for seen in one.seen))
    survivors = [one for one in people if not any(seen.kind == "disconnect" for seen in one.seen)]
    assert 0 < len(survivors) < len(people)
    for one in people[len(survivors) :]:
        lost = max(position for position, seen in enumerate(one.seen) if seen.kind == "disconnect")
        await one.wait_for("connect", since=lost)
        await join(one, group)
    await say(people[-1], group, "still here")
    for one in people:
        await heard(one, "still here")
    assert not any(seen.kind == "disconnect" for one in survivors for seen in one.seen)


async def test_the_whole_service_ends_within_its_time_and_leaves_no_process(stage: Stage) -> None:
    server = stage.servers[0]
    workers = workers_of(server)
    assert len(workers) == 2
    client = await stage.messaging(new_id())
    assert await to_thread(server.stop) == 0
    await client.wait_for("disconnect", where=lambda seen: seen.fields["reason"] == "transport close")
    assert gone(workers)


async def test_workers_end_when_their_supervisor_is_killed_and_free_the_port(stage: Stage) -> None:
    server = stage.servers[0]
    workers = workers_of(server)
    await to_thread(server.kill)
    await to_thread(server.start)
    assert set(workers).isdisjoint(workers_of(server))
    assert await to_thread(wait_until, lambda: gone(workers), STOP_SECONDS)


def test_a_port_that_another_service_has_is_not_shared(
    servers: tuple[ServerProcess, ...], on_mongodb_and_redis: dict[str, str], tmp_path: Path
) -> None:
    assert "HOST, PORT: cannot listen" in refusal(tmp_path, on_mongodb_and_redis, servers[0].port)
