"""The promises by name."""

from __future__ import annotations

from scripts.chaos_harness import (
    p01_kill,
    p02_primary,
    p03_redis,
    p04_again,
    p05_order,
    p06_back,
    p07_lost_push,
    p08_nonsense,
    p09_slow,
    p10_outside,
    p11_leaving,
    p12_deploy,
    p13_polling,
    p14_leak,
    p15_full,
    p16_clocks,
)
from scripts.chaos_harness.promise import Promise

_ALL = (
    Promise(name="P1", text="no acked message is lost", attempt=p01_kill.attempt),
    Promise(name="P2", text="nor when MongoDB's primary changes", attempt=p02_primary.attempt),
    Promise(name="P3", text="nor when Redis goes", attempt=p03_redis.attempt, alone=True),
    Promise(name="P4", text="sending again is safe", attempt=p04_again.attempt),
    Promise(name="P5", text="one order", attempt=p05_order.attempt),
    Promise(name="P6", text="coming back", attempt=p06_back.attempt),
    Promise(name="P7", text="a lost push is noticed", attempt=p07_lost_push.attempt),
    Promise(name="P8", text="nonsense does no harm", attempt=p08_nonsense.attempt, alone=True),
    Promise(name="P9", text="the slow hurt only themselves", attempt=p09_slow.attempt, alone=True),
    Promise(name="P10", text="nothing before sign-in", attempt=p10_outside.attempt),
    Promise(name="P11", text="leaving means leaving", attempt=p11_leaving.attempt, alone=True),
    Promise(name="P12", text="a deploy loses nothing", attempt=p12_deploy.attempt),
    Promise(name="P13", text="polling is first class", attempt=p13_polling.attempt),
    Promise(name="P14", text="no leak", attempt=p14_leak.attempt),
    Promise(name="P15", text="full disk, read-only store", attempt=p15_full.attempt),
    Promise(name="P16", text="clocks jump", attempt=p16_clocks.attempt),
)
PROMISES: dict[str, Promise] = {promise.name: promise for promise in _ALL}
