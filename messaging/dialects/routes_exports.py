"""What leaves the house as a whole, over REST."""

from __future__ import annotations

from typing import Any

from messaging.dialects import bodies, exports
from messaging.dialects.answers import TEXT
from messaging.dialects.fields import Choice
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Route
from messaging.domain.commands import ExportConversation, ExportForm
from messaging.domain.replies import ConversationExport


class Form(Schema):
    """In what form."""

    form = Choice(ExportForm, data_key="format")


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
)
