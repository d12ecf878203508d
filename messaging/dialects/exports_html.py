"""An export for people: one page without scripts and without anything from elsewhere, on screen or paper."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import date, datetime

from messaging.domain.models import Attachment, Author, Kind, Message, MessageView
from messaging.domain.replies import ConversationExport

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1d2430; --dim: #5d6778; --line: #d9dee7; --sheet: #fff; --own: #f4f6fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf2; --dim: #9aa4b5; --line: #343c4a; --sheet: #161b23; --own: #1f2630; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 46rem; background: var(--sheet); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { border-bottom: 2px solid var(--line); padding-bottom: 1rem; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
header p, footer { margin: .35rem 0 0; color: var(--dim); font-size: .9rem; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .75rem; font-size: .95rem; font-weight: 600; color: var(--dim); text-align: center; }
article { margin: 0 0 .6rem; padding: .6rem .85rem; background: var(--own); border-radius: .6rem; }
article > p { margin: 0; }
.who { font-size: .9rem; }
.who time, .note, .to { color: var(--dim); font-size: .85rem; font-weight: 400; }
.who time { margin-inline-start: .5rem; font-variant-numeric: tabular-nums; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; }
.system { background: none; text-align: center; color: var(--dim); }
.gone { font-style: italic; color: var(--dim); }
ul { margin: .35rem 0 0; padding-inline-start: 1.2rem; overflow-wrap: anywhere; }
a { color: inherit; }
.marks span { margin-inline-end: .6rem; }
article:target { outline: 2px solid var(--dim); }
footer { margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@page { margin: 18mm 16mm; }
@media print {
  :root { --ink: #000; --dim: #444; --line: #bbb; --sheet: #fff; --own: #fff; }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  article { border: 1px solid var(--line); break-inside: avoid; orphans: 3; widows: 3; }
  article.long { break-inside: auto; }
  h2 { break-after: avoid; }
  li a::after { content: " (" attr(href) ")"; font-size: 9pt; }
}
"""
_LONG_CHARACTERS = 1_200
"""A longer message may be broken over two sheets of paper."""


class HtmlExport:
    """The page of one export; remembers of which day the last message was."""

    media = "text/html; charset=utf-8"

    def __init__(self, export: ConversationExport) -> None:
        self._export = export
        self._day: date | None = None
        self._count = 0

    def begin(self) -> str:
        """The head of the page, and what conversation it is."""
        title = _text(_title(self._export))
        return (
            "<!DOCTYPE html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            f"<title>{title}</title><style>{_STYLE}</style></head>\n"
            f'<body><header><h1 dir="auto">{title}</h1>'
            f"<p>{_text(_about(self._export))}</p></header>\n<main>\n"
        )

    def page(self, views: Iterable[MessageView]) -> str:
        """The next messages, each day under a heading of its own."""
        return "".join(
            part for view in views for part in (self._heading(view.message.created_at), _shown(view))
        )

    def end(self) -> str:
        """How many there were, which also tells a whole page from one that broke off."""
        count = "1 message" if self._count == 1 else f"{self._count:,} messages"
        return f"</main>\n<footer>End of the export: {count}.</footer></body></html>\n"

    def _heading(self, at: datetime) -> str:
        self._count += 1
        if at.date() == self._day:
            return ""
        self._day = at.date()
        return f"<h2>{at:%A}, {at.day} {at:%B %Y}</h2>\n"


def _title(export: ConversationExport) -> str:
    conversation = export.view.conversation
    if conversation.kind is Kind.DIRECT and export.view.members:
        return " and ".join(member.profile.display_name for member in export.view.members)
    return conversation.name or conversation.id


def _about(export: ConversationExport) -> str:
    conversation = export.view.conversation
    count = "" if conversation.kind is Kind.ROOM else f" of {conversation.member_count:,} members"
    words = {Kind.DIRECT: "Direct conversation", Kind.GROUP: f"Group{count}", Kind.ROOM: "Public room"}
    return (
        f"{words[conversation.kind]} · {conversation.id} · exported {_moment(export.at)} · all times are UTC"
    )


def _shown(view: MessageView) -> str:
    message = view.message
    return (
        f'<article id="m{message.id}"{_kind(message)}><p class="who"><b dir="auto">'
        f'{_text(view.sender.display_name)}</b><time datetime="{message.created_at.isoformat()}">'
        f"{message.created_at:%H:%M}</time>{_notes(message)}</p>{_reply(message)}{_said(message)}"
        f"{_files(message.attachments)}{_reactions(message)}</article>\n"
    )


def _kind(message: Message) -> str:
    system, long = message.author is Author.SYSTEM, len(message.content) > _LONG_CHARACTERS
    return ' class="system"' if system else ' class="long"' if long else ""


def _notes(message: Message) -> str:
    if message.edited_at is None or message.deleted_at is not None:
        return ""
    return f' <span class="note">edited {_moment(message.edited_at)}</span>'


def _reply(message: Message) -> str:
    if message.reply_to is None:
        return ""
    return f'<p class="to"><a href="#m{message.reply_to}">↩ in reply to this message</a></p>'


def _said(message: Message) -> str:
    if message.deleted_at is not None:
        return f'<p class="gone">This message was deleted {_moment(message.deleted_at)}.</p>'
    return f'<p class="said" dir="auto">{_text(message.content)}</p>' if message.content else ""


def _files(files: Iterable[Attachment]) -> str:
    items = "".join(f"<li>{_link(file)}{_size(file.file_size)}</li>" for file in files)
    return f"<ul>{items}</ul>" if items else ""


def _link(file: Attachment) -> str:
    """Only what a browser opens without running it; attachments are checked when they are sent, too."""
    name = _text(file.file_name)
    if not file.url.startswith(("https://", "http://", "/")):
        return name
    return f'<a href="{_text(file.url)}" rel="noreferrer noopener" dir="auto">{name}</a>'


def _size(count: int) -> str:
    if count <= 0:
        return ""
    shown = f"{count:,} bytes" if count < 1024 else f"{count / 1024:,.0f} KiB"
    return f' <span class="note">{shown}</span>'


def _reactions(message: Message) -> str:
    marks = "".join(f"<span>{_text(each.emoji)} {len(each.user_ids)}</span>" for each in message.reactions)
    return f'<p class="note marks">{marks}</p>' if marks else ""


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
