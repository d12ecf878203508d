"""Administration: who is connected, and sending somebody away."""

from __future__ import annotations

from messaging.domain.commands import Actor, DisconnectUser, GetStats, ListConnections
from messaging.domain.errors import PermissionDenied
from messaging.domain.events import UserSentAway
from messaging.domain.replies import ConnectionList, Done, Stats
from messaging.service.context import Context, Outcome


async def list_connections(ctx: Context, actor: Actor, command: ListConnections) -> Outcome:
    """A page of all connections, of all processes that answer in time; by user."""
    _permit(actor)
    census = await ctx.census.take(user_id=command.user_id, after=command.next, limit=command.limit + 1)
    found = sorted((each for told in census for each in told.connections), key=lambda each: each.id)
    page = tuple(found[: command.limit])
    return Outcome(
        reply=ConnectionList(connections=page, next=page[-1].id if len(found) > len(page) else None)
    )


async def get_stats(ctx: Context, actor: Actor, command: GetStats) -> Outcome:
    """Each process that answers in time."""
    del command
    _permit(actor)
    census = await ctx.census.take()
    return Outcome(
        reply=Stats(processes=tuple(sorted((told.process for told in census), key=lambda p: p.id)))
    )


async def disconnect_user(ctx: Context, actor: Actor, command: DisconnectUser) -> Outcome:
    """End a user's connections in all processes, and, unless told otherwise, refuse their present tokens."""
    _permit(actor)
    gone = await send_away(ctx, command.user_id, revoke=command.revoke)
    return Outcome(reply=Done(), events=(gone,))


async def send_away(ctx: Context, user_id: str, *, revoke: bool = True, erased: bool = False) -> UserSentAway:
    """Keep that a user is sent away. Telling the event ends their connections; should it get lost, each
    process finds it in the store within seconds."""
    now = ctx.clock()
    kept = await ctx.store.disconnect(user_id, revoked_before=now if revoke else None)
    if kept.revoked_before is not None:
        ctx.revocations.note(user_id, kept.revoked_before)
    return UserSentAway(
        user_id=user_id, number=kept.number, revoked_before=kept.revoked_before, at=now, erased=erased
    )


def _permit(actor: Actor) -> None:
    if not (actor.service or actor.admin):
        raise PermissionDenied("Only a service or an administrator may do this.")
