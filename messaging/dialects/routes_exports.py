"""What leaves the house as a whole, and who leaves it for good, over REST."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from messaging.dialects import bodies, envelopes, exports
from messaging.dialects.answers import SUCCESS, TEXT, shape
from messaging.dialects.fields import Choice
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Route, Who
from messaging.domain.commands import Command, EraseUser, ExportConversation, ExportForm, ExportUser
from messaging.domain.replies import ConversationExport, Done, UserExport


class Form(Schema):
    """In what form."""

    form = Choice(ExportForm, data_key="format")


class Messages(StrEnum):
    """What becomes of what an erased user said."""

    KEEP = "keep"
    DELETE = "delete"


class Fate(Schema):
    """What becomes of the user's messages."""

    messages = Choice(Messages)


def _erase(user_id: str, messages: Messages = Messages.KEEP) -> Command:
    return EraseUser(user_id=user_id, messages=messages is Messages.DELETE)


EXPORT_ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="exportConversation",
        method="GET",
        path="/api/conversations/{id}/export",
        summary="All messages of a conversation, as a file: jsonl, csv, or html for people",
        command=ExportConversation,
        reply=ConversationExport,
        download=exports.conversation,
        media=("application/x-ndjson", "text/csv", "text/html"),
        answer=TEXT,
        place=bodies.ThisConversation(),
        query=Form(),
    ),
    Route(
        name="exportUser",
        method="GET",
        path="/api/users/{id}/export",
        summary="All that is kept of a user, as a file: for themselves, and for services",
        command=ExportUser,
        reply=UserExport,
        download=exports.user,
        media=("application/x-ndjson",),
        answer=TEXT,
        place=bodies.ThisUser(),
    ),
    Route(
        name="eraseUser",
        method="DELETE",
        path="/api/users/{id}",
        who=Who.SERVICE,
        summary="Forget a user; with messages=delete, what they said, too",
        command=_erase,
        reply=Done,
        shape=envelopes.done,
        answer=shape(success=SUCCESS),
        place=bodies.ThisUser(),
        query=Fate(),
    ),
)
