"""Notifications: what users are told besides messages, kept for them until they have seen it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from messaging.domain.commands import Actor, ListNotifications, MarkNotificationsRead, Notify
from messaging.domain.errors import PermissionDenied
from messaging.domain.events import Notified
from messaging.domain.models import Conversation, Kept, Notification
from messaging.domain.replies import NotificationList, NotificationReply, NotificationsMarked
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.listing import before
from messaging.service.users import ensure_users

GROUP_INVITE = "group_invite"
"""The type of the notification that an invitation is."""
GROUP_ADDED = "group_added"
"""And of the one that somebody was added to a group."""


async def notify(ctx: Context, actor: Actor, command: Notify) -> Outcome:
    """Tell a user something on behalf of the host application. Whom a service names exists from then on.
    Under an id that the user has a notification of, nothing is told again."""
    if not actor.service:
        raise PermissionDenied("Only a service may notify users.")
    await ensure_users(ctx, actor, [command.user_id])
    wanted = Notification(
        id=command.id or str(ctx.ids.next()),
        type=command.type,
        title=command.title,
        body=command.body,
        data=command.data,
        created_at=ctx.clock(),
    )
    (kept,) = await ctx.store.add_notifications([(command.user_id, wanted)])
    return Outcome(
        reply=NotificationReply(notification=kept.notification, repeated=kept.repeated),
        events=_told(ctx, [command.user_id], [kept]),
    )


async def list_notifications(ctx: Context, actor: Actor, command: ListNotifications) -> Outcome:
    """A page of the user's notifications, the newest first."""
    await count_query(ctx, actor)
    found = await ctx.store.notifications(
        actor.user_id, limit=command.limit + 1, before=before(command.next), unread=command.unread
    )
    page = tuple(found[: command.limit])
    return Outcome(
        reply=NotificationList(
            notifications=page,
            unread=await ctx.store.unread_notifications(actor.user_id),
            next=str(page[-1].position) if len(found) > len(page) else None,
        )
    )


async def mark_notifications_read(ctx: Context, actor: Actor, command: MarkNotificationsRead) -> Outcome:
    """Mark some of the user's notifications read, or all. Ids that are none of theirs do nothing."""
    await count_query(ctx, actor)
    await ctx.store.read_notifications(actor.user_id, command.ids, at=ctx.clock())
    return Outcome(reply=NotificationsMarked(unread=await ctx.store.unread_notifications(actor.user_id)))


def of_group(ctx: Context, kind: str, group: Conversation, actor: Actor) -> Notification:
    """What tells somebody what a user, or a service, did with them and a group."""
    data = {"group_id": group.id} | ({} if actor.service else {"from": actor.user_id})
    return Notification(
        id=str(ctx.ids.next()), type=kind, title=group.name, data=json.dumps(data), created_at=ctx.clock()
    )


async def notify_all(ctx: Context, user_ids: Sequence[str], note: Notification) -> tuple[Notified, ...]:
    """Keep a notification for each of these users; what is told then."""
    if not user_ids:
        return ()
    return _told(ctx, user_ids, await ctx.store.add_notifications([(user_id, note) for user_id in user_ids]))


def _told(ctx: Context, user_ids: Sequence[str], kept: Sequence[Kept]) -> tuple[Notified, ...]:
    now = ctx.clock()
    return tuple(
        Notified(user_id=user_id, notification=each.notification, at=now)
        for user_id, each in zip(user_ids, kept, strict=True)
        if not each.repeated
    )
