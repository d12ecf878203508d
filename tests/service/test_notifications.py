"""Notifications: who is told what, how they are listed and marked read."""

from __future__ import annotations

import json

import pytest

from messaging.domain.commands import (
    Actor,
    CreateConversation,
    ListNotifications,
    MarkNotificationsRead,
    Notify,
    PutConversation,
    PutMember,
)
from messaging.domain.errors import InvalidFormat, PermissionDenied
from messaging.domain.events import MemberAdded, Notified
from messaging.domain.models import Kind
from messaging.domain.replies import NotificationList, NotificationReply, NotificationsMarked
from tests.stage import Stage, service


async def listed(stage: Stage, actor: Actor, **how: object) -> NotificationList:
    reply = await stage.do(actor, ListNotifications(**how))  # type: ignore[arg-type]
    assert isinstance(reply, NotificationList)
    return reply


async def tell(stage: Stage, user_id: str, kind: str, **more: str) -> NotificationReply:
    reply = await stage.do(service(), Notify(user_id=user_id, type=kind, **more))
    assert isinstance(reply, NotificationReply)
    return reply


async def test_a_service_tells_a_user_who_exists_from_then_on(stage: Stage) -> None:
    reply = await tell(stage, "bob", "booking", title="Tomorrow", data='{"booking":7}')
    (event,) = stage.events
    assert event == Notified(user_id="bob", notification=reply.notification, at=stage.clock())
    assert reply.notification.position == 1
    assert "bob" in await stage.ctx.store.users(["bob"])


async def test_under_an_id_of_the_services_own_a_user_is_told_once(stage: Stage) -> None:
    first = await tell(stage, "bob", "booking", id="b-7")
    again = await tell(stage, "bob", "booking", id="b-7")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.notification == first.notification
    assert len(stage.events) == 1


async def test_nobody_else_notifies_users(stage: Stage) -> None:
    with pytest.raises(PermissionDenied):
        await stage.do(await stage.user("alice"), Notify(user_id="alice", type="booking"))


async def test_pages_go_from_the_newest_to_the_oldest(stage: Stage) -> None:
    bob = await stage.user("bob")
    for number in range(5):
        await tell(stage, "bob", f"n{number}")
    first = await listed(stage, bob, limit=3)
    rest = await listed(stage, bob, limit=3, next=first.next)
    assert [each.type for each in (*first.notifications, *rest.notifications)] == [
        "n4",
        "n3",
        "n2",
        "n1",
        "n0",
    ]
    assert (first.unread, rest.next) == (5, None)


@pytest.mark.parametrize("position", ["x", "-1", "0", "1.5", "1" * 17, "١"])
async def test_what_is_no_position_is_refused(stage: Stage, position: str) -> None:
    with pytest.raises(InvalidFormat):
        await listed(stage, await stage.user("bob"), next=position)


async def test_what_was_marked_is_not_unread_any_more(stage: Stage) -> None:
    bob = await stage.user("bob")
    told = [(await tell(stage, "bob", f"n{number}")).notification for number in range(3)]
    await tell(stage, "alice", "n")
    reply = await stage.do(bob, MarkNotificationsRead(ids=(told[1].id, "no-such")))
    assert reply == NotificationsMarked(unread=2)
    assert [each.type for each in (await listed(stage, bob, unread=True)).notifications] == ["n2", "n0"]
    assert (await listed(stage, bob)).notifications[1].read_at == stage.clock()
    assert await stage.do(bob, MarkNotificationsRead(ids=None)) == NotificationsMarked(unread=0)
    assert (await listed(stage, await stage.user("alice"))).unread == 1


async def test_who_is_added_by_others_is_notified_and_who_joins_alone_is_not(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    await stage.do(alice, CreateConversation(kind=Kind.GROUP, name="Salon", member_ids=("bob",)))
    (told,) = [event for event in stage.events if isinstance(event, Notified)]
    group = next(event.view.conversation for event in stage.events if isinstance(event, MemberAdded))
    assert (told.user_id, told.notification.type, told.notification.title) == ("bob", "group_added", "Salon")
    assert json.loads(told.notification.data) == {"group_id": group.id, "from": "alice"}
    assert (await listed(stage, alice)).notifications == ()


async def test_what_a_service_does_names_no_user(stage: Stage) -> None:
    await stage.do(service(), PutConversation(conversation_id="g", member_ids=("bob",)))
    await stage.do(service(), PutMember(conversation_id="g", user_id="carol"))
    told = [event for event in stage.events if isinstance(event, Notified)]
    assert [event.user_id for event in told] == ["bob", "carol"]
    assert {event.notification.data for event in told} == {'{"group_id": "g"}'}
