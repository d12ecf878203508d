"""What is there from the start: the default rooms, and in development two people to try things with."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.domain.models import Kind, Profile, Role
from messaging.service.changing import begun
from messaging.service.context import Context
from messaging.service.conversations import ensure_room


async def set_up(
    ctx: Context, *, rooms: Sequence[str], group: tuple[str, Sequence[str]] | None = None
) -> None:
    """Make the rooms, and a group with these users, where they are missing."""
    for room in rooms:
        await ensure_room(ctx, room)
    if group is not None:
        await _ensure_group(ctx, *group)


async def _ensure_group(ctx: Context, group_id: str, user_ids: Sequence[str]) -> None:
    known = await ctx.store.users(user_ids)
    for user_id in user_ids:
        if user_id not in known:
            await ctx.store.put_user(Profile(id=user_id, username=user_id, name=user_id.capitalize()))
    group, members = begun(ctx, group_id, Kind.GROUP, dict.fromkeys(user_ids, Role.MEMBER))
    await ctx.store.save(group, put=members)
