"""Reports: what users tell the operators of messages."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from messaging.domain.commands import (
    Actor,
    ListReports,
    ReportMessage,
    SendMessage,
)
from messaging.domain.errors import InvalidFormat, MessageNotFound, PermissionDenied
from messaging.domain.models import Message
from messaging.domain.replies import ReportList, ReportReply, Sent
from messaging.service.hooks import MESSAGE_REPORTED
from tests.stage import Stage, service


async def written(stage: Stage) -> tuple[Actor, Message]:
    """alice, and what bob wrote in their group."""
    alice, bob = await stage.user("alice", name="Alice"), await stage.user("bob", name="Bob")
    await stage.group("g", "alice", "bob")
    return alice, await stage.send(bob, "g", "spam")


async def report(stage: Stage, actor: Actor, message: Message, reason: str | None = None) -> ReportReply:
    reply = await stage.do(actor, ReportMessage(message_id=message.id, reason=reason))
    assert isinstance(reply, ReportReply)
    return reply


async def listed(stage: Stage, actor: Actor, **how: object) -> ReportList:
    reply = await stage.do(actor, ListReports(**how))  # type: ignore[arg-type]
    assert isinstance(reply, ReportList)
    return reply


async def test_a_report_shows_the_message_as_it_was_and_who_is_concerned(stage: Stage) -> None:
    alice, message = await written(stage)
    reply = await report(stage, alice, message, "It is spam")
    (view,) = (await listed(stage, service())).reports
    assert view.report == reply.report
    assert (view.report.content, view.report.seq, view.report.reason) == ("spam", 1, "It is spam")
    assert view.sender.name == "Bob"
    assert view.reporter is not None
    assert view.reporter.name == "Alice"


async def test_a_message_is_reported_once_by_each(stage: Stage) -> None:
    alice, message = await written(stage)
    carol = await stage.user("carol")
    await stage.group("g", "carol")
    first, again = await report(stage, alice, message, "a"), await report(stage, alice, message, "b")
    assert (first.created, again.created, again.report) == (True, False, first.report)
    assert (await report(stage, carol, message)).created
    assert len((await listed(stage, service())).reports) == 2


async def test_what_one_may_not_see_cannot_be_reported(stage: Stage) -> None:
    _, message = await written(stage)
    with pytest.raises(MessageNotFound):
        await report(stage, await stage.user("carol"), message)
    with pytest.raises(MessageNotFound):
        await stage.do(await stage.user("alice"), ReportMessage(message_id=1))


async def test_neither_ones_own_nor_the_systems_messages_can_be_reported(stage: Stage) -> None:
    alice, _ = await written(stage)
    sent = await stage.do(service(), SendMessage(conversation_id="g", content="x", system=True))
    assert isinstance(sent, Sent)
    for message in (await stage.send(alice, "g"), sent.view.message):
        with pytest.raises(InvalidFormat):
            await report(stage, alice, message)


async def test_services_and_administrators_read_them_page_by_page(stage: Stage) -> None:
    alice, message = await written(stage)
    bob = await stage.user("bob")
    second = await stage.send(bob, "g", "more")
    for each in (message, second):
        await report(stage, alice, each)
    admin = replace(alice, identity=replace(alice.identity, admin=True), admin=True)
    for actor in (service(), admin):
        first = await listed(stage, actor, limit=1)
        rest = await listed(stage, actor, limit=1, next=first.next)
        assert [view.report.content for view in (*first.reports, *rest.reports)] == ["more", "spam"]
        assert rest.next is None
    with pytest.raises(PermissionDenied):
        await listed(stage, alice)
    with pytest.raises(InvalidFormat):
        await listed(stage, service(), next="x")


async def test_a_webhook_is_told_once(stage: Stage) -> None:
    stage.ctx.hooks.wanted = frozenset({MESSAGE_REPORTED})
    alice, message = await written(stage)
    kept = (await report(stage, alice, message, "Why")).report
    await report(stage, alice, message)
    (hook,) = await stage.ctx.store.hooks("g", limit=9)
    assert (hook.type, hook.message_id) == ("message.reported", message.id)
    assert json.loads(hook.data) == {"reportId": str(kept.id), "reporterId": "alice", "reason": "Why"}
