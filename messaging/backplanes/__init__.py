"""Backplanes carry between processes: one file per kind, behind the Protocols of service/ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from messaging.backplanes.budgets import parse_rules
from messaging.backplanes.memory import Exchange, MemoryBus, MemoryMail, MemoryPresence
from messaging.service.ports import Bus, Capacity, Mail, Presence, RateLimits

__all__ = ["Backplane", "Exchange", "in_memory", "open_backplane", "parse_rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backplane:
    """What this process shares with the others. Bus, mail and presence are started by who hears them."""

    bus: Bus
    mail: Mail
    presence: Presence
    limits: RateLimits
    capacity: Capacity
    dropped: Callable[[], int]
    """How many events the bus could not announce so far."""
    close_capacity: Callable[[], Awaitable[None]]
    close_limits: Callable[[], Awaitable[None]]

    async def close(self) -> None:
        """Take this process's users out of all places, and stop; within 2 seconds. Idempotent."""
        await self.presence.close()
        await self.mail.close()
        await self.bus.close()
        await self.close_limits()
        await self.close_capacity()


def open_backplane(
    url: str | None, *, rules: Mapping[str, str], prefix: str = "messaging:", verify_certificates: bool = True
) -> Backplane:
    """The backplane at a Redis URL (`redis://`, `rediss://`, `unix://`), or of a single process for None.

    `rules` are the rate limits by budget, see `parse_rules`. ValueError for a URL or a rule that is none.
    Connects to nothing yet. `prefix` keeps services apart that share a Redis.
    """
    if url is None:
        return in_memory(Exchange(rules))
    from messaging.backplanes.redis import (
        Address,
        RedisBus,
        RedisCapacity,
        RedisLimits,
        RedisMail,
        RedisPresence,
    )

    address = Address(url, verify_certificates=verify_certificates)
    bus = RedisBus(address, prefix=prefix)
    limits = RedisLimits(address, rules, prefix=prefix)
    capacity = RedisCapacity(address, prefix=prefix)
    return Backplane(
        bus=bus,
        mail=RedisMail(address, prefix=prefix),
        presence=RedisPresence(address, prefix=prefix),
        limits=limits,
        dropped=lambda: bus.dropped,
        close_limits=limits.close,
        capacity=capacity,
        close_capacity=capacity.close,
    )


def in_memory(exchange: Exchange) -> Backplane:
    """One of the backplanes that share an exchange: as if each were a process; alone, the only one."""

    async def nothing_to_close() -> None:
        pass

    return Backplane(
        bus=MemoryBus(exchange),
        mail=MemoryMail(exchange),
        presence=MemoryPresence(exchange),
        limits=exchange.limits,
        dropped=lambda: 0,
        close_limits=nothing_to_close,
        capacity=exchange.capacity,
        close_capacity=nothing_to_close,
    )
