"""Capacity over Redis: how many connections each user and address has, over all processes.

    of:<kind>:<key>   hash: process → how many it has
    alive:<process>   for a few seconds; `whole` when all that this process has was said

A process says absolute numbers, never differences, so that a lost word is healed by the next one. What a dead
process had stops counting when its sign of life is over, and is removed by who sees it first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from typing import Any

from messaging.backplanes.memory import LocalCapacity
from messaging.backplanes.redis_line import Address, Argument, Away, Line, chunks

PATIENCE_SECONDS = 0.05
BEAT_SECONDS = 2.0
LIFE_SECONDS = 6.0
AGAIN_SECONDS = 600.0
"""How often everything is said again: Redis forgets after an hour what nobody says."""
KEYS_PER_CALL = 500

log = logging.getLogger(__name__)

# All scripts: ARGV[1] prefix, ARGV[2] process, ARGV[3] life in milliseconds.
# Then name, number, name, number …; returns for the last name how many the other living processes have.
SAY = """
local prefix, process, others = ARGV[1], ARGV[2], 0
redis.call('SET', prefix .. 'alive:' .. process, 'new', 'PX', ARGV[3], 'NX')
for i = 4, #ARGV, 2 do
  local at = prefix .. 'of:' .. ARGV[i]
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', at, process)
  else
    redis.call('HSET', at, process, ARGV[i + 1])
    redis.call('EXPIRE', at, 3600)
  end
  others = 0
  if i + 1 == #ARGV then
    local all = redis.call('HGETALL', at)
    for j = 1, #all, 2 do
      if all[j] ~= process then
        if redis.call('EXISTS', prefix .. 'alive:' .. all[j]) == 1 then
          others = others + all[j + 1]
        else
          redis.call('HDEL', at, all[j])
        end
      end
    end
  end
end
return others
"""

# Returns whether Redis still has what this process said.
BEAT = """
local alive = ARGV[1] .. 'alive:' .. ARGV[2]
local whole = redis.call('GET', alive) == 'whole'
redis.call('SET', alive, 'whole', 'PX', ARGV[3])
return whole and 1 or 0
"""


class RedisCapacity:
    """A Capacity over Redis; while that is away each process counts alone. Must be closed."""

    def __init__(
        self, address: Address, *, prefix: str = "messaging:", patience: float = PATIENCE_SECONDS
    ) -> None:
        self._line = Line(address, patience=patience, scripts=[SAY, BEAT])
        self._sha = {s: hashlib.sha1(s.encode(), usedforsecurity=False).hexdigest() for s in (SAY, BEAT)}
        self._prefix = f"{prefix}capacity:"
        self._process = secrets.token_hex(6)
        self._here = LocalCapacity()
        self._task: asyncio.Task[None] | None = None

    async def take(self, kind: str, key: str, limit: int) -> bool:
        """As Capacity.take."""
        if not await self._here.take(kind, key, limit):
            return False
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="redis-capacity")
        here = self._here.held[kind, key]
        try:
            others: int = await self._line.ask(*self._said([(kind, key)]))
        except Away:
            return True
        except BaseException:
            self.give_back(kind, key)
            raise
        if here + others > limit:
            self.give_back(kind, key)
            return False
        return True

    def give_back(self, kind: str, key: str) -> None:
        """As Capacity.give_back."""
        self._here.give_back(kind, key)
        if not self._line.resting:  # otherwise all is said again when Redis is back
            self._line.post(*self._said([(kind, key)]))

    async def close(self) -> None:
        """Stop at once; what is still here stops counting within seconds. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._line.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        again = 0.0
        while True:
            try:
                whole = await self._line.ask(*self._command(BEAT))
                if not whole or self._line.lost or loop.time() > again:
                    self._line.lost = 0
                    again = loop.time() + AGAIN_SECONDS
                    await self._say_again()
            except Away:
                again = 0.0
            await asyncio.sleep(BEAT_SECONDS)

    async def _say_again(self) -> None:
        for some in chunks(list(self._here.held), KEYS_PER_CALL):
            await self._line.ask(*self._said(list(some)))

    def _said(self, names: list[tuple[str, str]]) -> list[Argument]:
        """The command that says how many are here of each, as of now."""
        held = self._here.held
        pairs: list[Argument] = []
        for name in names:
            pairs += [":".join(name), held.get(name, 0)]
        return self._command(SAY, *pairs)

    def _command(self, script: str, *arguments: Any) -> list[Argument]:
        life = int(LIFE_SECONDS * 1000)
        return ["EVALSHA", self._sha[script], 0, self._prefix, self._process, life, *arguments]
