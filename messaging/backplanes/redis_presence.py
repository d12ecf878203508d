"""Presence in Redis: who is where by which process, and who cleans up after a dead one.

    at:<place>   hash: user → the processes that have them there, each followed by a space
    of:<process> set: `place NUL user` for all that this process has; and an empty text, see `beat`
    processes    sorted set: process → until when it counts as alive, in milliseconds of Redis's clock

Each start, and each time that Redis may have missed or forgotten something, a process takes a new id, says
all that it has under that, and has the old id cleaned up as if it had died. So there is one way to heal,
whatever happened.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any

from messaging.backplanes.redis_line import Address, Away, Line, chunks

PATIENCE_SECONDS = 0.25
BEAT_SECONDS = 2.0
LIFE_SECONDS = 20.0
CLOSE_SECONDS = 1.5
PAIRS_PER_CALL = 500

log = logging.getLogger(__name__)

# All scripts: ARGV[1] prefix, ARGV[2] process. Key names are made here, so this is not for Redis Cluster.
_COMMON = """
local prefix, process = ARGV[1], ARGV[2]
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function remove(place, user)
  local at = prefix .. 'at:' .. place
  local has = redis.call('HGET', at, user)
  if not has then return true end
  local first, last = string.find(has, process .. ' ', 1, true)
  if first then has = string.sub(has, 1, first - 1) .. string.sub(has, last + 1) end
  if has == '' then redis.call('HDEL', at, user) else redis.call('HSET', at, user, has) end
  return has == ''
end
"""

# Then the life in milliseconds, then place, user, place, user …; for each, whether nobody had them there.
ENTER = (
    _COMMON
    + """
redis.call('ZADD', prefix .. 'processes', 'NX', now() + ARGV[3], process)
local crossed = {}
for i = 4, #ARGV, 2 do
  local at, user = prefix .. 'at:' .. ARGV[i], ARGV[i + 1]
  local has = redis.call('HGET', at, user) or ''
  if not string.find(has, process .. ' ', 1, true) then
    redis.call('HSET', at, user, has .. process .. ' ')
  end
  redis.call('SADD', prefix .. 'of:' .. process, ARGV[i] .. '\\0' .. user)
  crossed[#crossed + 1] = has == '' and 1 or 0
end
return crossed
"""
)

# Then place and user; returns whether nobody has them there any more.
LEAVE = (
    _COMMON
    + """
redis.call('SREM', prefix .. 'of:' .. process, ARGV[3] .. '\\0' .. ARGV[4])
return remove(ARGV[3], ARGV[4]) and 1 or 0
"""
)

# Then the life, and 1 for the first time; returns whether Redis still has what this process said. The empty
# text tells: it goes when the set does, by FLUSHALL, a restart or a clean-up.
BEAT = (
    _COMMON
    + """
if ARGV[4] == '1' then redis.call('SADD', prefix .. 'of:' .. process, '') end
redis.call('ZADD', prefix .. 'processes', now() + ARGV[3], process)
return redis.call('SISMEMBER', prefix .. 'of:' .. process, '')
"""
)

# Then the life: one dead process, which is the caller's to clean up for one life; or nothing.
CLAIM = (
    _COMMON
    + """
local dead = redis.call('ZRANGEBYSCORE', prefix .. 'processes', '-inf', now(), 'LIMIT', 0, 1)
if dead[1] then redis.call('ZADD', prefix .. 'processes', now() + ARGV[3], dead[1]) end
return dead[1]
"""
)

# Then how many: takes so many out of all places; returns how many were found, then place, user, place, user …
# of those who are now nowhere there.
CLEAN = (
    _COMMON
    + """
local pairs = redis.call('SPOP', prefix .. 'of:' .. process, ARGV[3])
local result = {#pairs}
for _, pair in ipairs(pairs) do
  local cut = string.find(pair, '\\0', 1, true)
  if cut then
    local place, user = string.sub(pair, 1, cut - 1), string.sub(pair, cut + 1)
    if remove(place, user) then
      result[#result + 1] = place
      result[#result + 1] = user
    end
  end
end
if #pairs == 0 then redis.call('ZREM', prefix .. 'processes', process) end
return result
"""
)


class RedisPresence:
    """A Presence over Redis. A process counts as alive for `life` seconds after its last beat."""

    def __init__(
        self,
        address: Address,
        *,
        prefix: str = "messaging:",
        beat: float = BEAT_SECONDS,
        life: float = LIFE_SECONDS,
    ) -> None:
        scripts = (ENTER, LEAVE, BEAT, CLAIM, CLEAN)
        self._line = Line(address, patience=PATIENCE_SECONDS, scripts=scripts)
        self._sha = {s: hashlib.sha1(s.encode(), usedforsecurity=False).hexdigest() for s in scripts}
        self._prefix = f"{prefix}presence:"
        self._beat_seconds = beat
        self._life = life
        self._process = secrets.token_hex(6)  # all have the same length, so that none is part of another
        self._old: list[str] = []  # former ids of this process that are to be cleaned up
        self._stale = True  # Redis may not have what this process has
        self._here: dict[str, set[str]] = {}
        self._contact_since: float | None = None
        self._lost: Callable[[str, str], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, lost: Callable[[str, str], None]) -> None:
        """As Presence.start; returns also when Redis is away."""
        self._lost = lost
        await self._beat()
        self._task = asyncio.create_task(self._run(), name="redis-presence")

    async def close(self) -> None:
        """As Presence.close; what cannot be said in time, the survivors find out."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._lost = None
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._clean(self._process)
            except (Away, TimeoutError):
                log.warning("Redis was not told that this process ends; the others notice")
        self._here.clear()
        await self._line.close()

    async def enter(self, place: str, user_id: str) -> bool:
        """As Presence.enter."""
        users = self._here.setdefault(place, set())
        alone = user_id not in users
        users.add(user_id)
        try:
            return bool((await self._enter((place, user_id)))[0])
        except Away:
            self._stale = True
            return alone

    async def leave(self, place: str, user_id: str) -> bool:
        """As Presence.leave."""
        users = self._here.get(place, set())
        users.discard(user_id)
        if not users:
            self._here.pop(place, None)
        try:
            return bool(await self._call(LEAVE, self._process, place, user_id))
        except Away:
            self._stale = True
            return True

    async def among(self, place: str, user_ids: Collection[str]) -> frozenset[str]:
        """As Presence.among."""
        users = list(user_ids)
        if not users:
            return frozenset()
        try:
            has = await self._line.ask("HMGET", f"{self._prefix}at:{place}", *users)
        except Away:
            return frozenset(users) & self._here.get(place, set())
        return frozenset(user for user, processes in zip(users, has, strict=True) if processes)

    async def everybody(self, place: str, *, limit: int) -> Sequence[str]:
        """As Presence.everybody."""
        try:
            users: list[bytes] = await self._line.ask("HRANDFIELD", f"{self._prefix}at:{place}", limit)
        except Away:
            return list(self._here.get(place, ()))[:limit]
        return [user.decode() for user in users]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            await self._beat()

    async def _beat(self) -> None:
        """Say that this process lives, heal what Redis has of it, and clean up after others."""
        try:
            whole = await self._call(BEAT, self._process, self._milliseconds, 0)
            if self._stale or not whole:
                await self._say_again()
            await self._clean_up()
        except Away:
            self._contact_since = None

    async def _say_again(self) -> None:
        """Say all that is here under a new id. Commands are in order, so what changes meanwhile is right."""
        self._old.append(self._process)
        self._process = process = secrets.token_hex(6)
        self._stale = False
        try:
            await self._call(BEAT, process, self._milliseconds, 1)
            everything = [(place, user) for place, users in self._here.items() for user in users]
            for pairs in chunks(everything, PAIRS_PER_CALL):
                await self._enter(*(pair for pair in pairs if pair[1] in self._here.get(pair[0], ())))
        except Away:
            self._stale = True
            raise

    async def _clean_up(self) -> None:
        """Clean up former ids, and dead processes.

        Who has only just come back to Redis leaves the others the time to come back too: when Redis itself
        was away, all of them look dead.
        """
        while self._old:
            await self._clean(self._old[-1])
            self._old.pop()
        now = asyncio.get_running_loop().time()
        if self._contact_since is None:
            self._contact_since = now
        if now - self._contact_since >= self._life / 2:
            while dead := await self._call(CLAIM, self._process, self._milliseconds):
                await self._clean(dead.decode())

    async def _clean(self, process: str) -> None:
        found = 1
        while found:
            found, *pairs = await self._call(CLEAN, process, PAIRS_PER_CALL)
            names = [name.decode() for name in pairs]
            for place, user_id in zip(names[::2], names[1::2], strict=True):
                self._tell_lost(place, user_id)

    def _tell_lost(self, place: str, user_id: str) -> None:
        if self._lost is None or user_id in self._here.get(place, ()):
            return
        try:
            self._lost(place, user_id)
        except Exception:
            # A bug in what hears must not stop the beats.
            log.exception("a lost user could not be told")

    @property
    def _milliseconds(self) -> int:
        return int(self._life * 1000)

    async def _enter(self, *pairs: tuple[str, str]) -> list[int]:
        names = [name for pair in pairs for name in pair]
        crossed: list[int] = await self._call(ENTER, self._process, self._milliseconds, *names)
        return crossed

    async def _call(self, script: str, process: str, *arguments: str | int) -> Any:
        return await self._line.ask("EVALSHA", self._sha[script], 0, self._prefix, process, *arguments)
