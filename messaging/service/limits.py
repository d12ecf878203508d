"""Counting what users do against the operator's limits. Services are exempt."""

from __future__ import annotations

import math

from messaging.domain.commands import Actor
from messaging.domain.errors import RateLimited
from messaging.service.context import Context
from messaging.service.policy import QUERIES, SIGNALS


async def count_send(ctx: Context, actor: Actor) -> None:
    """Count a message that is about to be queued; RateLimited when there have been too many."""
    if not actor.service:
        refuse_after(await ctx.limits.take(actor.budget, actor.user_id))


def uncount_send(ctx: Context, actor: Actor) -> None:
    """The message was not stored after all, or had been before."""
    if not actor.service:
        ctx.limits.give_back(actor.budget, actor.user_id)


async def count_query(ctx: Context, actor: Actor) -> None:
    """Count a question that makes the store work; RateLimited when there have been too many."""
    if not actor.service:
        refuse_after(await ctx.limits.take(QUERIES, actor.user_id))


async def drops_signal(ctx: Context, actor: Actor) -> bool:
    """Count a typing or presence signal; whether it is one too many, to be acknowledged and dropped."""
    return not actor.service and await ctx.limits.take(SIGNALS, actor.user_id) > 0


def refuse_after(seconds: float) -> None:
    """Raise RateLimited when there is a time to wait."""
    if seconds > 0:
        raise RateLimited(retryAfter=max(1, math.ceil(seconds)))
