"""Reports: users tell the operators of a message, who find it in a list; a webhook is told, too."""

from __future__ import annotations

from messaging.domain.commands import Actor, ListReports, ReportMessage
from messaging.domain.errors import InvalidFormat, MessageNotFound, PermissionDenied
from messaging.domain.forgetting import NOBODY
from messaging.domain.models import Author
from messaging.domain.moderation import Report, ReportView
from messaging.domain.replies import ReportList, ReportReply
from messaging.service.context import Context, Outcome
from messaging.service.hooks import MESSAGE_REPORTED
from messaging.service.limits import count_query
from messaging.service.listing import before
from messaging.service.messages import found_message


async def report_message(ctx: Context, actor: Actor, command: ReportMessage) -> Outcome:
    """Tell the operators of a message that the user can see. Again: nothing happens, the first one counts."""
    await count_query(ctx, actor)
    message, _ = await found_message(ctx, actor, command.message_id)
    if message.deleted_at is not None:
        raise MessageNotFound
    if message.sender_id == actor.user_id or message.author is Author.SYSTEM:
        raise InvalidFormat("Only what other users wrote can be reported.")
    wanted = Report(
        id=ctx.ids.next(),
        message_id=message.id,
        conversation_id=message.conversation_id,
        seq=message.seq,
        sender_id=message.sender_id,
        content=message.content,
        sent_at=message.created_at,
        reporter_id=actor.user_id,
        reason=command.reason,
        at=ctx.clock(),
    )
    data = {"reportId": str(wanted.id), "reporterId": wanted.reporter_id, "reason": wanted.reason}
    hooks = ctx.hooks.made(MESSAGE_REPORTED, lane=message.conversation_id, message_id=message.id, data=data)
    kept = await ctx.store.add_report(wanted, hooks=hooks)
    ctx.hooks.kept()
    return Outcome(reply=ReportReply(report=kept, created=kept.id == wanted.id))


async def list_reports(ctx: Context, actor: Actor, command: ListReports) -> Outcome:
    """A page of all reports, the newest first."""
    if not (actor.service or actor.admin):
        raise PermissionDenied("Only a service or an administrator may do this.")
    found = await ctx.store.reports(limit=command.limit + 1, before=before(command.next))
    page = found[: command.limit]
    people = await ctx.people.find({user for each in page for user in (each.sender_id, each.reporter_id)})
    views = tuple(
        ReportView(
            report=each,
            sender=people[each.sender_id],
            reporter=None if each.reporter_id == NOBODY else people[each.reporter_id],
        )
        for each in page
    )
    return Outcome(reply=ReportList(reports=views, next=str(page[-1].id) if len(found) > len(page) else None))
