"""Rate limits over all processes: the log of budgets.py in Redis, one script call for all takes of a turn.

A list per budget and key holds the times of the last takes in milliseconds of Redis's clock, so that the
clocks of the processes do not matter. It expires with the longest rule.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from messaging.backplanes.budgets import LocalLimits, Rule
from messaging.backplanes.redis_line import Address, Argument, Away, Line, settle

PATIENCE_SECONDS = 0.05

# ARGV: for each key what to do, the number of rules, then amount and milliseconds of each rule.
# Returns for each key the milliseconds to wait.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waits, at = {}, 1
for i, key in ipairs(KEYS) do
  local what, rules = ARGV[at], tonumber(ARGV[at + 1])
  local wait, most, longest = 0, 0, 0
  at = at + 2
  for rule = 1, rules do
    local amount, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    at = at + 2
    local taken = redis.call('LINDEX', key, -amount)
    if taken then wait = math.max(wait, math.min(window, taken + window - now)) end
    most, longest = math.max(most, amount), math.max(longest, window)
  end
  if what == 'back' then
    redis.call('RPOP', key)
  elseif wait == 0 then
    if redis.call('RPUSH', key, now) > most then redis.call('LTRIM', key, -most, -1) end
    redis.call('PEXPIRE', key, longest)
  end
  waits[i] = wait
end
return waits
"""
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

Question = tuple[str, str, str, "asyncio.Future[int | None] | None"]


class RedisLimits:
    """RateLimits over Redis; while that is away each process counts alone. Must be closed."""

    def __init__(
        self,
        address: Address,
        rules: Mapping[str, str],
        *,
        prefix: str = "messaging:",
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._alone = LocalLimits(rules)
        self._arguments = {name: arguments(rules) for name, rules in self._alone.budgets.items()}
        self._prefix = prefix
        self._line = Line(address, patience=patience, scripts=[SCRIPT])
        self._turn: list[Question] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def take(self, budget: str, key: str) -> float:
        """As RateLimits.take."""
        wait = await self._ask(budget, key)
        return self._alone.take_now(budget, key) if wait is None else wait

    def take_at_once(self, budget: str, key: str) -> bool:  # noqa: ARG002, the others have to be asked
        """As RateLimits.take_at_once: only where there is nothing to count."""
        return not self._arguments[budget]

    def give_back(self, budget: str, key: str) -> None:
        """As RateLimits.give_back."""
        if not self._arguments[budget]:
            return
        if self._line.resting:
            self._alone.give_back(budget, key)
        else:
            self._add(("back", budget, key, None))

    async def close(self) -> None:
        """Stop at once. Idempotent."""
        await self._line.close()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, budget: str, key: str) -> float | None:
        """Redis's answer in seconds; None when it must be counted here."""
        if not self._arguments[budget]:
            return 0.0
        if self._line.resting:
            return None
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._add(("take", budget, key, answer))
        milliseconds = await answer
        return None if milliseconds is None else milliseconds / 1000

    def _add(self, question: Question) -> None:
        if not self._turn:
            asyncio.get_running_loop().call_soon(self._flush)
        self._turn.append(question)

    def _flush(self) -> None:
        turn, self._turn = self._turn, []
        task = asyncio.create_task(self._send(turn), name="redis-limits")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _send(self, turn: list[Question]) -> None:
        try:
            waits: list[Any] = await self._line.ask(*self._command(turn))
        except Away:
            waits = [None] * len(turn)
        for (_, _, _, answer), wait in zip(turn, waits, strict=True):
            settle(answer, wait)

    def _command(self, turn: list[Question]) -> list[Argument]:
        command: list[Argument] = ["EVALSHA", SHA, len(turn)]
        command += [f"{self._prefix}limit:{budget}:{key}" for _, budget, key, _ in turn]
        for what, budget, _, _ in turn:
            command += [what, *self._arguments[budget]]
        return command


def arguments(rules: tuple[Rule, ...]) -> tuple[Argument, ...]:
    """What the script is told of a budget; nothing for one without rules."""
    if not rules:
        return ()
    return (len(rules), *(part for rule in rules for part in (rule.amount, rule.seconds * 1000)))
