"""Exports: a conversation as a file, in one of three forms. Each is written page by page.

jsonl  a message on each line, in the shape of `/messaging`
csv    for spreadsheets, which must take no cell for a formula
html   for people, in exports_html.py
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

import orjson

from messaging.dialects import shapes
from messaging.dialects.exports_html import HtmlExport
from messaging.dialects.rest import Download, Writing
from messaging.domain.commands import ExportForm
from messaging.domain.forgetting import Record
from messaging.domain.models import MessageView
from messaging.domain.replies import ConversationExport, UserExport

_UNFIT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_FILE_NAME_CHARACTERS = 80


def conversation(export: ConversationExport) -> Download:
    """The file of a conversation's messages."""
    name = f"{export.view.conversation.id}-{export.at:%Y-%m-%d}.{export.form.value}"
    return Download(headers=headers(name), writing=_writing(export), pages=export.pages)


def user(export: UserExport) -> Download:
    """The file of all that is kept of a user."""
    name = f"user-{export.user_id}-{export.at:%Y-%m-%d}.jsonl"
    return Download(headers=headers(name), writing=Records(), pages=export.pages)


def _writing(export: ConversationExport) -> Writing:
    match export.form:
        case ExportForm.JSONL:
            return JsonLines()
        case ExportForm.CSV:
            return Csv()
        case ExportForm.HTML:
            return HtmlExport(export)


def headers(name: str) -> dict[str, str]:
    """What goes with a file of this name over HTTP: always saved (RFC 6266), never run, never cached."""
    plain = _UNFIT_IN_FILE_NAMES.sub("-", name)[-_MAX_FILE_NAME_CHARACTERS:].strip("-")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


class JsonLines:
    """Messages as JSON, one on a line."""

    media = "application/x-ndjson; charset=utf-8"

    def begin(self) -> str:
        """Nothing."""
        return ""

    def page(self, views: Iterable[MessageView]) -> str:
        """A line for each."""
        return "".join(_line(shapes.view(view)) for view in views)

    def end(self) -> str:
        """Nothing."""
        return ""


class Records:
    """What is kept, one `{kind, data}` on a line; messages in the shape of `/messaging`."""

    media = "application/x-ndjson; charset=utf-8"

    def begin(self) -> str:
        """Nothing."""
        return ""

    def page(self, items: Iterable[Record | MessageView]) -> str:
        """A line for each."""
        return "".join(_line(_told(item)) for item in items)

    def end(self) -> str:
        """Nothing."""
        return ""


def _told(item: Record | MessageView) -> shapes.Payload:
    if isinstance(item, MessageView):
        return {"kind": "messages", "data": shapes.view(item)}
    return {"kind": item.kind, "data": dict(item.values)}


def _line(shown: shapes.Payload) -> str:
    return orjson.dumps(shown, default=_time, option=orjson.OPT_PASSTHROUGH_DATETIME).decode() + "\n"


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return shapes.time(value)
    raise TypeError(f"{type(value).__name__} is no value of JSON")


class Csv:
    """Rows of RFC 4180, with a mark of UTF-8 before them for the spreadsheets that want one."""

    media = "text/csv; charset=utf-8; header=present"
    COLUMNS = (
        *("seq", "id", "createdAt", "senderId", "senderName", "type", "contentType", "content"),
        *("attachments", "replyTo", "reactions", "readAt", "editedAt", "deletedAt"),
    )

    def begin(self) -> str:
        """The names of the columns."""
        return "\ufeff" + _rows([self.COLUMNS])

    def page(self, views: Iterable[MessageView]) -> str:
        """A row for each."""
        return _rows([safe_cell(cell) for cell in _cells(view)] for view in views)

    def end(self) -> str:
        """Nothing."""
        return ""


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, as OWASP says it: with an apostrophe before what begins
    like one."""
    text = text.replace("\0", "")
    looks_so = text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\r", "\n"))
    return "'" + text if looks_so else text


_FORMULA = tuple("=+-@＝＋－＠")


def _cells(view: MessageView) -> tuple[str, ...]:
    shown = shapes.view(view)
    reactions = " ".join(f"{each['emoji']}×{each['count']}" for each in shown["reactions"])
    return (
        *(str(shown["seq"]), shown["id"], shown["createdAt"]),
        *(shown["senderId"], view.sender.display_name, shown["type"], shown["contentType"], shown["content"]),
        "\n".join(file["url"] for file in shown["attachments"]),
        *(shown.get("replyTo", ""), reactions),
        *(shown.get(key, "") for key in ("readAt", "editedAt", "deletedAt")),
    )


def _rows(rows: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return written.getvalue()
