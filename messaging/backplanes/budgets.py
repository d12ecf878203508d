"""Rate limits: what a budget's rules are, and counting them in this process alone.

A log of the times of the last takes decides exactly: a rule `n per w seconds` refuses while the n-th newest
take is younger than w. One log serves all rules of a budget. redis_limits.py does the same in Redis.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from limits import parse_many

SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At most `amount` within any `seconds`."""

    amount: int
    seconds: int


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a budget such as `60/10 seconds;2000/hour`; none, that is no limit, for an empty text.

    The notation is that of the `limits` library. ValueError says what is wrong with any other text.
    """
    if not text.strip():
        return ()
    try:
        items = parse_many(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a rate limit such as '60/10 seconds;2000/hour'") from None
    rules = tuple(Rule(amount=item.amount, seconds=item.get_expiry()) for item in items)
    if any(rule.amount < 1 or rule.seconds < 1 for rule in rules):
        raise ValueError(f"{text!r} would allow nothing; an amount and a time are at least 1")
    return rules


class LocalLimits:
    """RateLimits of one process, or of several loops that share it in tests."""

    def __init__(self, rules: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.budgets = {name: parse_rules(text) for name, text in rules.items()}
        self._clock = clock
        self._logs: dict[tuple[str, str], deque[float]] = {}
        self._sweep_at = clock() + SWEEP_SECONDS

    @property
    def keys(self) -> int:
        """Of how many keys takes are remembered."""
        return len(self._logs)

    async def take(self, budget: str, key: str) -> float:
        """As RateLimits.take; without waiting."""
        return self.take_now(budget, key)

    def take_at_once(self, budget: str, key: str) -> bool:
        """As RateLimits.take_at_once."""
        return not self.take_now(budget, key)

    def take_now(self, budget: str, key: str) -> float:
        """Count one and return 0.0, or count nothing and return the seconds to wait."""
        rules = self.budgets[budget]
        if not rules:
            return 0.0
        log = self._logs.get((budget, key))
        if log is None:
            log = self._new_log(budget, key)
        now, wait = self._clock(), 0.0
        for rule in rules:
            if len(log) >= rule.amount:
                wait = max(wait, log[-rule.amount] + rule.seconds - now)
        if not wait:
            log.append(now)
        return wait

    def give_back(self, budget: str, key: str) -> None:
        """As RateLimits.give_back."""
        if log := self._logs.get((budget, key)):
            log.pop()

    def _new_log(self, budget: str, key: str) -> deque[float]:
        self._sweep()
        most = max(rule.amount for rule in self.budgets[budget])
        log = self._logs[budget, key] = deque(maxlen=most)
        return log

    def _sweep(self) -> None:
        """Forget logs that no rule looks at any more; at most once a minute, when there is a new one."""
        now = self._clock()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        longest = {name: max((r.seconds for r in rules), default=0) for name, rules in self.budgets.items()}
        old = [name for name, log in self._logs.items() if not log or log[-1] + longest[name[0]] <= now]
        for name in old:
            del self._logs[name]
