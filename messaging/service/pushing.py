"""Web Push: users say where their browsers can be reached. Pushing itself is `messaging/push/`."""

from __future__ import annotations

from messaging.domain.commands import Actor, GetPushKey, SubscribePush, UnsubscribePush
from messaging.domain.errors import InvalidFormat
from messaging.domain.pushing import Subscription
from messaging.domain.replies import Done, PushKey, SubscriptionReply
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query

MAX_SUBSCRIPTIONS = 20
"""How many browsers of a user are pushed to; beyond that the oldest are forgotten."""


async def get_push_key(ctx: Context, actor: Actor, command: GetPushKey) -> Outcome:
    """What a browser needs to subscribe."""
    del actor, command
    return Outcome(reply=PushKey(public_key=ctx.pushing.public_key))


async def subscribe_push(ctx: Context, actor: Actor, command: SubscribePush) -> Outcome:
    """Push to this browser of the user's, from now on. Again, or for another user: the last one counts."""
    await count_query(ctx, actor)
    if ctx.pushing.public_key is None:
        raise InvalidFormat("This server does not push.")
    subscription = Subscription(
        user_id=actor.user_id,
        endpoint=command.endpoint,
        p256dh=command.p256dh,
        auth=command.auth,
        created_at=ctx.clock(),
    )
    await ctx.pushing.check(subscription)
    new = await ctx.store.put_subscription(subscription, at_most=MAX_SUBSCRIPTIONS)
    return Outcome(reply=SubscriptionReply(subscription=subscription, created=new))


async def unsubscribe_push(ctx: Context, actor: Actor, command: UnsubscribePush) -> Outcome:
    """Push no longer to this browser of the user's."""
    await count_query(ctx, actor)
    await ctx.store.drop_subscription(command.endpoint, user_id=actor.user_id)
    return Outcome(reply=Done())
