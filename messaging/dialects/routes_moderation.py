"""What users do about one another, over REST: blocking, and reporting messages."""

from __future__ import annotations

from typing import Any

from messaging.dialects import camel, envelopes, shapes
from messaging.dialects.answers import CURSOR, NUMBER, SUCCESS, TEXT, TIME, reference, shape
from messaging.dialects.base import Payload
from messaging.dialects.fields import MessageId, Paragraph, UserId
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Route, Who
from messaging.domain.commands import BlockUser, ListBlocks, ListReports, ReportMessage, UnblockUser
from messaging.domain.moderation import BlockView, Report, ReportView
from messaging.domain.replies import BlockList, BlockReply, Done, ReportList, ReportReply

MAX_REASON_CHARACTERS = 2_000


class ThisBlock(Schema):
    """`/blocks/{userId}`."""

    user_id = UserId(required=True)


class ThisMessage(Schema):
    """`/messages/{id}`."""

    message_id = MessageId(required=True, data_key="id")


class Reason(Schema):
    """Why a message is reported."""

    reason = Paragraph(MAX_REASON_CHARACTERS)


def _block(view: BlockView) -> Payload:
    return {
        "userId": view.block.blocked_id,
        "createdAt": shapes.time(view.block.at),
        "user": shapes.person(view.profile),
    }


def _report(report: Report) -> Payload:
    shown = {
        "id": str(report.id),
        "messageId": str(report.message_id),
        "conversationId": report.conversation_id,
        "createdAt": shapes.time(report.at),
    }
    return shown if report.reason is None else {**shown, "reason": report.reason}


def _report_view(view: ReportView) -> Payload:
    report = view.report
    reporter = {} if view.reporter is None else {"reporter": shapes.person(view.reporter)}
    return {
        **_report(report),
        **reporter,
        "message": {
            "id": str(report.message_id),
            "conversationId": report.conversation_id,
            "seq": report.seq,
            "content": report.content,
            "createdAt": shapes.time(report.sent_at),
            "sender": shapes.person(view.sender),
        },
    }


def _one_block(reply: BlockReply) -> Payload:
    return {"block": _block(reply.view)}


def _blocks(reply: BlockList) -> Payload:
    return {"blocks": [_block(view) for view in reply.blocks], "next": reply.next}


def _one_report(reply: ReportReply) -> Payload:
    return {"report": _report(reply.report)}


def _reports(reply: ReportList) -> Payload:
    return {"reports": [_report_view(view) for view in reply.reports], "next": reply.next}


def _is_new(reply: BlockReply | ReportReply) -> bool:
    return reply.created


_BLOCK = shape(userId=TEXT, createdAt=TIME, user=reference("Person"))
_REPORT = {"id": TEXT, "messageId": TEXT, "conversationId": TEXT, "createdAt": TIME}
_REPORTED = shape(
    id=TEXT, conversationId=TEXT, seq=NUMBER, content=TEXT, createdAt=TIME, sender=reference("Person")
)

MODERATION_ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="listBlocks",
        method="GET",
        path="/api/blocks",
        summary="Whom you have blocked",
        command=ListBlocks,
        reply=BlockList,
        shape=_blocks,
        answer=shape(blocks={"type": "array", "items": _BLOCK}, next=CURSOR),
        query=camel.ListPage(),
    ),
    Route(
        name="blockUser",
        method="PUT",
        path="/api/blocks/{userId}",
        summary="Have nothing to do with a user any more",
        command=BlockUser,
        reply=BlockReply,
        shape=_one_block,
        made=_is_new,
        makes=True,
        answer=shape(block=_BLOCK),
        place=ThisBlock(),
    ),
    Route(
        name="unblockUser",
        method="DELETE",
        path="/api/blocks/{userId}",
        summary="End that",
        command=UnblockUser,
        reply=Done,
        shape=envelopes.done,
        answer=shape(success=SUCCESS),
        place=ThisBlock(),
    ),
    Route(
        name="reportMessage",
        method="POST",
        path="/api/messages/{id}/report",
        summary="Tell the operators of a message",
        command=ReportMessage,
        reply=ReportReply,
        shape=_one_report,
        made=_is_new,
        makes=True,
        answer=shape(report=shape({"reason": TEXT}, **_REPORT)),
        place=ThisMessage(),
        body=Reason(),
        example={"reason": "Spam"},
    ),
    Route(
        name="listReports",
        method="GET",
        path="/api/admin/reports",
        who=Who.ADMIN,
        summary="What users told of messages, the newest first; each message as it was then",
        command=ListReports,
        reply=ReportList,
        shape=_reports,
        answer=shape(
            reports={
                "type": "array",
                "items": shape(
                    {"reason": TEXT, "reporter": reference("Person")}, **_REPORT, message=_REPORTED
                ),
            },
            next=CURSOR,
        ),
        query=camel.ListPage(),
    ),
)
