"""Serving: the life of one process, from its port to its end. What it serves is put together in app.py."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop
from aiohttp import web

from messaging import app, garbage
from messaging.service.ports import StoreRefused
from messaging.settings import Settings
from messaging.transports import doorstep

DRAIN_SECONDS = 6.0
"""How long commands may go on after SIGTERM before the clients are sent away."""
_SHUTDOWN_SECONDS = 2.0
"""How long aiohttp waits for requests at the end; it does so twice."""

logger = logging.getLogger("messaging.app")


def run(settings: Settings, worker: app.Worker | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Exits with 2 when it cannot start."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings, worker))
        except (StoreRefused, OSError) as reason:
            sys.stderr.write(f"{reason}\n")
            sys.exit(2)


async def serve(settings: Settings, worker: app.Worker | None = None) -> None:
    """Serve on the settings' host and port until a signal says to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = app.Service(settings, worker)
    runner = web.AppRunner(
        service.web_app(),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=doorstep.KEEP_ALIVE_SECONDS,
    )
    await runner.setup()
    watching = asyncio.create_task(doorstep.watch(runner), name="watch the doorstep")
    collecting = garbage.begin(lambda: len(service.gateway.sessions))
    try:
        await service.meet(runner)
        await _listen(runner, settings, shared=worker is not None)
        if worker is None:
            sys.stdout.write(app.banner(settings))
            sys.stdout.flush()
            await stop.wait()
        else:
            await _stop_or_orphaned(stop, runner)
        logger.info("stopping: finishing what was begun")
        await service.gateway.drain(DRAIN_SECONDS)
    finally:
        watching.cancel()
        collecting.cancel()
        await service.part()
        await runner.cleanup()


async def _stop_or_orphaned(stop: asyncio.Event, runner: web.AppRunner) -> None:
    """Wait for the signal; or for the end of the supervisor, and leave its port to the next one at once."""
    loop = asyncio.get_running_loop()
    orphaned = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), orphaned.set)  # nothing is ever written there
    waiting = [asyncio.create_task(event.wait()) for event in (stop, orphaned)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(sys.stdin.fileno())
    for task in waiting:
        task.cancel()
    if not stop.is_set():
        logger.error("the supervisor is gone")
        for site in list(runner.sites):
            await site.stop()


async def _listen(runner: web.AppRunner, settings: Settings, *, shared: bool) -> None:
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024, reuse_port=shared or None)
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "unknown"
        address = f"{settings.host} port {settings.port}"
        raise OSError(f"HOST, PORT: cannot listen on {address}: {why}.") from error
