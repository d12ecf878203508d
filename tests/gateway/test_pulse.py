"""What a process notices of itself, and what it counts of what came twice or was left out."""

from __future__ import annotations

import asyncio
import time

import pytest

from messaging.backplanes import Exchange
from messaging.backplanes.memory import MemoryBus
from messaging.domain.commands import PutConversation
from messaging.domain.errors import Unavailable
from messaging.gateway import pulse
from messaging.gateway.metrics import Metrics
from tests.backplanes.samples import until
from tests.gateway.house import House


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"messaging_{name}", labels) or 0.0


async def test_a_loop_that_was_held_up_says_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "LOOP_SECONDS", 0.01)
    told: list[float] = []
    watching = asyncio.create_task(pulse.watch_loop(told.append))
    await asyncio.sleep(0.005)
    time.sleep(0.2)  # noqa: ASYNC251  that is what is to be noticed
    await until(lambda: bool(told))
    watching.cancel()
    assert max(told) >= 0.15


class Away(MemoryBus):
    async def check(self) -> None:
        raise Unavailable


async def test_the_bus_is_asked_again_and_again_whether_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "BUS_SECONDS", 0.001)
    metrics = Metrics()
    watching = [
        asyncio.create_task(pulse.watch_bus(bus(Exchange()), metrics.heard_back)) for bus in (MemoryBus, Away)
    ]
    await until(lambda: value(metrics, "bus_failures_total") > 1 and value(metrics, "bus_seconds_count") > 1)
    for task in watching:
        task.cancel()


async def test_what_came_again_and_what_was_left_out_is_counted(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="1", member_ids=("alice", "bob")))
    alice, bob = [await house.one.connect(name) for name in ("alice", "bob")]
    for client in (alice, bob):
        await client.join("1")
    for _ in range(3):
        assert (await alice.say("1", clientMessageId="same"))["success"]
    bob.crowded = True
    await alice.call("user-typing", conversationId="1")
    metrics = house.one.gateway.metrics
    assert value(metrics, "doubles_suppressed_total", source="sender") == 2
    assert value(metrics, "signals_left_out_total", dialect="messaging") == 1
