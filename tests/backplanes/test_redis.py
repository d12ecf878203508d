"""What Redis adds: faults, dead processes, other programs. Each fault has a Redis of its own."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import redis.asyncio
from redis.asyncio.connection import SSLConnection

from messaging.backplanes import open_backplane
from messaging.backplanes.redis import Address, RedisBus, RedisLimits, RedisPresence
from messaging.domain.errors import Unavailable
from messaging.domain.events import Announcement
from messaging.service.ports import ONLINE
from tests.backplanes.samples import RULES, TOPIC, message_sent, presence_changed, until
from tests.servers import RedisServer, free_port

BEAT, LIFE = 0.1, 1.0
Lost = list[tuple[str, str]]


class Process:
    """The three parts of one process, with quick beats, and what it heard."""

    def __init__(self, url: str) -> None:
        address = Address(url)
        self.bus = RedisBus(address)
        self.presence = RedisPresence(address, beat=BEAT, life=LIFE)
        self.limits = RedisLimits(address, RULES)
        self.heard: list[Announcement] = []
        self.lost: Lost = []

    async def start(self) -> None:
        await self.bus.start(self.heard.append)
        await self.presence.start(lambda place, user: self.lost.append((place, user)))
        await self.bus.subscribe(TOPIC)

    async def die(self) -> None:
        """Stop without a word, as kill -9 would."""
        self.presence._task.cancel()  # type: ignore[union-attr]  # noqa: SLF001
        await self.presence._line.close()  # noqa: SLF001
        await self.bus.close()

    async def close(self) -> None:
        await self.presence.close()
        await self.bus.close()
        await self.limits.close()


@asynccontextmanager
async def processes(url: str, count: int) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = [Process(url) for _ in range(count)]
        for process in made:
            stack.push_async_callback(process.close)
            await process.start()
        yield made


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def hears(speaker: Process, listener: Process, seconds: float = 5.0) -> None:
    """What `speaker` says reaches `listener` again within `seconds`."""
    limit = time.monotonic() + seconds
    listener.heard.clear()
    while not listener.heard:
        assert time.monotonic() < limit, "nothing was heard"
        speaker.bus.publish([message_sent()])
        await asyncio.sleep(0.05)


async def healthy(process: Process) -> bool:
    try:
        await process.bus.check()
    except Unavailable:
        return False
    return True


async def becomes_healthy(process: Process, seconds: float = 5.0) -> None:
    limit = time.monotonic() + seconds
    while not await healthy(process):
        assert time.monotonic() < limit, "the bus did not come back"
        await asyncio.sleep(0.05)


async def becomes(wanted: object, ask: Callable[[], Awaitable[object]], seconds: float = 5.0) -> None:
    limit = time.monotonic() + seconds
    while (got := await ask()) != wanted:
        assert time.monotonic() < limit, f"still {got}"
        await asyncio.sleep(0.02)


# --- faults --------------------------------------------------------------------------------------------


async def test_after_a_restart_events_flow_and_users_are_where_they_were(own_redis: RedisServer) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        await here.presence.enter(ONLINE, "alice")
        await there.presence.enter(ONLINE, "bob")
        await to_thread(own_redis.restart)
        await hears(here, there)
        await hears(there, here)
        await becomes({"alice", "bob"}, lambda: here.presence.among(ONLINE, ["alice", "bob"]))
        await becomes({"alice", "bob"}, lambda: there.presence.among(ONLINE, ["alice", "bob"]))
        assert here.lost == there.lost == []


async def test_while_redis_is_down_each_process_answers_alone_and_at_once(own_redis: RedisServer) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        await here.presence.enter(ONLINE, "alice")
        await there.presence.enter(ONLINE, "bob")
        await to_thread(own_redis.kill)
        assert await here.presence.enter(ONLINE, "carol") is True
        began = time.monotonic()
        for number in range(100):
            here.bus.publish([message_sent(number)])
            assert await here.presence.enter("team", str(number)) is True
            await here.limits.take("messages", "alice")
        assert await here.presence.among(ONLINE, ["alice", "bob", "carol"]) == {"alice", "carol"}
        assert set(await here.presence.everybody(ONLINE, limit=9)) == {"alice", "carol"}
        assert await here.presence.leave(ONLINE, "carol") is True
        assert await here.limits.take("messages", "alice") > 0
        assert not await healthy(here)
        assert time.monotonic() - began < 1.5
        assert here.bus.dropped >= 100
        await to_thread(own_redis.start)
        await hears(here, there)
        await becomes({"alice", "bob"}, lambda: there.presence.among(ONLINE, ["alice", "bob", "carol"]))
        await becomes(100, lambda: size(there, "team"))


async def size(process: Process, place: str) -> int:
    return len(await process.presence.everybody(place, limit=1000))


async def test_a_black_hole_keeps_nobody_waiting_and_loses_nobody(own_redis: RedisServer) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        await here.presence.enter(ONLINE, "alice")
        await there.presence.enter(ONLINE, "bob")
        await here.limits.take("messages", "alice")
        await to_thread(own_redis.pause)
        waits = []
        until_then = time.monotonic() + 3
        while time.monotonic() < until_then:
            began = time.monotonic()
            here.bus.publish([message_sent()])
            await here.limits.take("messages", "alice")
            waits.append(time.monotonic() - began)
            began = time.monotonic()
            await here.bus.subscribe(f"c:{began}")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
        assert max(waits) < 0.2
        assert sorted(waits)[len(waits) * 8 // 10] < 0.15
        began = time.monotonic()
        assert not await healthy(here)
        await here.presence.enter(ONLINE, "carol")
        assert time.monotonic() - began < 1.5
        await to_thread(own_redis.resume)
        await hears(here, there)
        await hears(there, here)
        await becomes({"alice", "carol"}, lambda: there.presence.among(ONLINE, ["alice", "carol"]))
        assert here.lost == there.lost == []


async def test_a_black_hole_from_the_start_lets_a_process_start_and_close(own_redis: RedisServer) -> None:
    await to_thread(own_redis.pause)
    process = Process(own_redis.url)
    began = time.monotonic()
    await process.start()
    assert time.monotonic() - began < 1
    await process.presence.enter(ONLINE, "alice")
    await to_thread(own_redis.resume)
    await becomes_healthy(process)
    await to_thread(own_redis.pause)
    began = time.monotonic()
    await process.close()
    assert time.monotonic() - began < 2
    await to_thread(own_redis.resume)


async def test_a_process_starts_and_closes_where_there_is_no_redis() -> None:
    process = Process(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    await process.start()
    assert not await healthy(process)
    await process.close()
    assert time.monotonic() - began < 2


async def test_killed_connections_come_back_with_all_their_topics(own_redis: RedisServer) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        for kind in ("normal", "pubsub"):
            async with redis.asyncio.Redis.from_url(own_redis.url) as admin:
                await admin.client_kill_filter(_type=kind, skipme=True)
            await hears(here, there)
            await hears(there, here)
        await becomes_healthy(here)


async def test_what_flushall_takes_is_said_again(own_redis: RedisServer) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        for number in range(1200):
            await here.presence.enter("team", str(number))
        async with redis.asyncio.Redis.from_url(own_redis.url) as admin:
            await admin.flushall()
            await admin.script_flush()
        await becomes(1000, lambda: size(there, "team"))
        assert await there.presence.enter("team", "1199") is False
        assert here.lost == there.lost == []
        await here.presence.close()
        await becomes(1, lambda: size(there, "team"))


async def test_a_user_who_left_while_redis_was_away_is_lost_to_the_others_afterwards(
    own_redis: RedisServer,
) -> None:
    async with processes(own_redis.url, 2) as (here, there):
        await here.presence.enter(ONLINE, "alice")
        await here.presence.enter(ONLINE, "bob")
        await to_thread(own_redis.pause)
        assert await here.presence.leave(ONLINE, "alice") is True
        await to_thread(own_redis.resume)
        await becomes({"bob"}, lambda: there.presence.among(ONLINE, ["alice", "bob"]))
        assert set(here.lost + there.lost) <= {(ONLINE, "alice")}


# --- dead processes ------------------------------------------------------------------------------------


async def test_one_survivor_takes_a_dead_process_users_out(redis_url: str) -> None:
    async with processes(redis_url, 3) as (here, there, dead):
        await dead.presence.enter(ONLINE, "alice")
        await dead.presence.enter(ONLINE, "bob")
        await dead.presence.enter("team", "bob")
        await here.presence.enter(ONLINE, "alice")
        await dead.die()
        await until(lambda: len(here.lost + there.lost) == 2)
        assert sorted(here.lost + there.lost) == [(ONLINE, "bob"), ("team", "bob")]
        assert await there.presence.among(ONLINE, ["alice", "bob"]) == {"alice"}


async def test_the_next_process_cleans_up_after_one_that_died_alone(redis_url: str) -> None:
    async with processes(redis_url, 1) as (dead,):
        await dead.presence.enter(ONLINE, "alice")
        await dead.die()
        async with processes(redis_url, 1) as (heir,):
            await until(lambda: heir.lost == [(ONLINE, "alice")])


async def test_nothing_is_left_in_redis_when_all_have_closed(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as admin:
        async with processes(redis_url, 2) as (here, there):
            await here.presence.enter(ONLINE, "alice")
            await there.presence.enter("team", "alice")
            assert await admin.keys("messaging:*")
        assert await admin.keys("messaging:*") == []
        assert await admin.pubsub_channels("messaging:*") == []


# --- the rest ------------------------------------------------------------------------------------------


async def test_what_other_programs_and_versions_say_is_not_heard_and_does_no_harm(redis_url: str) -> None:
    async with processes(redis_url, 2) as (here, there), redis.asyncio.Redis.from_url(redis_url) as admin:
        for nonsense in (b"", b"\xff", b'0123456789ab["Unknown",{}]', b"0123456789ab[]"):
            await admin.publish(f"messaging:{TOPIC}", nonsense)
        here.bus.publish([message_sent()])
        await until(lambda: there.heard == [message_sent()])


async def test_an_event_that_cannot_be_said_is_counted_and_stops_no_other(redis_url: str) -> None:
    async with processes(redis_url, 2) as (here, there):
        here.bus.publish([message_sent(content="\ud800"), message_sent(2)])
        await until(lambda: there.heard == [message_sent(2)])
        assert here.bus.dropped == 1


async def test_more_than_fits_is_dropped_and_counted(redis_url: str) -> None:
    async with processes(redis_url, 2) as (here, there):
        large = message_sent(content="x" * 1_000_000)
        here.bus.publish([large] * 20)
        await until(lambda: len(there.heard) + here.bus.dropped == 20)
        assert here.bus.dropped > 0
        await hears(here, there)


async def test_prefixes_keep_services_apart(redis_url: str) -> None:
    address = Address(redis_url)
    ours, theirs = RedisBus(address, prefix="ours:"), RedisBus(address, prefix="theirs:")
    heard: list[Announcement] = []
    await ours.start(lambda _: None)
    await theirs.start(heard.append)
    ours.publish([presence_changed()])
    await ours.check()
    await theirs.check()
    assert heard == []
    await ours.close()
    await theirs.close()


async def test_all_takes_of_a_turn_are_one_call_and_their_keys_expire(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as admin:
        backplane = open_backplane(redis_url, rules=RULES)
        await backplane.limits.take("messages", "warm")
        before = (await admin.info("commandstats"))["cmdstat_evalsha"]["calls"]
        waits = await asyncio.gather(*(backplane.limits.take("messages", f"u{n % 50}") for n in range(500)))
        assert set(waits) == {0.0}
        after = (await admin.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert after - before == 1
        assert 3500 < await admin.ttl("messaging:limit:messages:u1") <= 3600
        await backplane.close()


async def test_a_loop_that_was_busy_itself_does_not_take_redis_for_gone(redis_url: str) -> None:
    limits = RedisLimits(Address(redis_url), RULES)
    await limits.take("messages", "warm")
    take = asyncio.create_task(limits.take("messages", "alice"))
    for _ in range(5):  # until it is on its way
        await asyncio.sleep(0)
    time.sleep(0.08)  # noqa: ASYNC251
    assert await take == 0
    assert await limits.take("messages", "alice") == 0
    async with redis.asyncio.Redis.from_url(redis_url) as admin:
        assert await admin.llen("messaging:limit:messages:alice") == 2
    await limits.close()


def test_certificates_are_verified_unless_one_says_otherwise() -> None:
    for verify, expected in ((True, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE)):
        connection = Address("rediss://localhost", verify_certificates=verify).connection()
        assert isinstance(connection, SSLConnection)
        assert connection.ssl_context.get().verify_mode == expected


@pytest.mark.parametrize("url", ["", "http://localhost", "localhost:6379"])
def test_a_url_that_is_none_of_redis_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        open_backplane(url, rules={})


def test_a_rule_that_is_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="rate limit"):
        open_backplane(None, rules={"messages": "often"})
