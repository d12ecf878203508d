"""The backplane over Redis: bus, presence and limits, each with connections of its own.

    redis_bus  redis_listener   pub/sub: one connection hears, one speaks
    redis_mail                  letters to single processes
    redis_presence              who is where by which process
    redis_limits                one script call for all takes of a loop turn
    redis_capacity              how many connections each user and address has
    redis_line                  a connection that never keeps anybody waiting

Needs Redis 6.2 or later, one server or primary; key names are made in scripts, so no Redis Cluster.
"""

from __future__ import annotations

from messaging.backplanes.redis_bus import RedisBus
from messaging.backplanes.redis_capacity import RedisCapacity
from messaging.backplanes.redis_limits import RedisLimits
from messaging.backplanes.redis_line import Address
from messaging.backplanes.redis_mail import RedisMail
from messaging.backplanes.redis_presence import RedisPresence

__all__ = ["Address", "RedisBus", "RedisCapacity", "RedisLimits", "RedisMail", "RedisPresence"]
