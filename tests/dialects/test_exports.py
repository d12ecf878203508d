"""Exports as files: each form holds what was said, and none of it can do anything."""

from __future__ import annotations

import csv
import html.parser
import io
import json
from dataclasses import replace

import pytest

from messaging.dialects import exports, shapes
from messaging.dialects.exports_html import HtmlExport
from messaging.domain.commands import ExportForm
from messaging.domain.forgetting import Record
from messaging.domain.models import Attachment, ConversationView, MessageView
from messaging.domain.replies import ConversationExport, UserExport
from tests.dialects import examples

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&</p></article>'


def export(form: ExportForm, view: ConversationView = examples.SHARED_VIEW) -> ConversationExport:
    return ConversationExport(view=view, form=form, at=examples.NOW, pages=examples.no_pages())


def written(form: ExportForm, *views: MessageView) -> str:
    """The whole file of these messages, each on a page of its own."""
    writing = exports.conversation(export(form)).writing
    return writing.begin() + "".join(writing.page([view]) for view in views) + writing.end()


def saying(content: str, **changes: object) -> MessageView:
    """A message of these words."""
    message = replace(examples.PLAIN, content=content, **changes)  # type: ignore[arg-type]  # by name
    return MessageView(message=message, sender=examples.BOB)


def test_jsonl_has_each_message_on_a_line_as_messaging_shows_it() -> None:
    views = (*examples.VIEWS, saying("two\nlines"))
    lines = written(ExportForm.JSONL, *views).split("\n")
    assert [json.loads(line) for line in lines[:-1]] == shapes.views(views)
    assert lines[-1] == ""


def test_what_is_kept_of_a_user_is_a_line_for_each_record() -> None:
    download = exports.user(UserExport(user_id="5", at=examples.NOW, pages=examples.no_pages()))
    record = Record(kind="profile", values={"id": "5", "lastSeen": examples.NOW})
    lines = download.writing.page([record, examples.VIEWS[0]]).splitlines()
    assert json.loads(lines[0]) == {"kind": "profile", "data": {"id": "5", "lastSeen": examples.NOW_TEXT}}
    assert json.loads(lines[1]) == {"kind": "messages", "data": shapes.view(examples.VIEWS[0])}
    assert 'filename="user-5-2025-10-23.jsonl"' in download.headers["Content-Disposition"]


def rows(*views: MessageView) -> list[dict[str, str]]:
    text = written(ExportForm.CSV, *views)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_csv_has_a_row_for_each_message_whatever_it_says() -> None:
    contents = ['a "quoted" word', "two\nlines\r\n", "a,b;c", "été 👍", HOSTILE]
    assert [row["content"] for row in rows(*map(saying, contents))] == contents
    full = rows(*examples.VIEWS)[1]
    assert full["attachments"] == "https://example.com/a.pdf\n/v.ogg"
    assert (full["replyTo"], full["reactions"]) == ("123", "👍×60")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n@", "＝", "＋", "\0="])
def test_no_cell_is_taken_for_a_formula(begin: str) -> None:
    (row,) = rows(saying(begin + 'cmd|" /C calc"!A0'))
    assert row["content"].startswith("'")
    sender = replace(examples.BOB, name=begin + "1")
    (row,) = rows(replace(saying("x"), sender=sender))
    assert row["senderName"].startswith("'")


class Elements(html.parser.HTMLParser):
    """All elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_shows_all_that_was_said_and_runs_none_of_it() -> None:
    attachment = Attachment(id="0", url="https://example.com/?a=1&b='\"", file_name=HOSTILE, file_size=9)
    unfit = Attachment(id="1", url="javascript:alert(1)", file_name="x")
    hostile = saying(HOSTILE, attachments=(attachment, unfit), reply_to=123)
    named = replace(hostile, sender=replace(examples.BOB, name=HOSTILE))
    page = Elements(written(ExportForm.HTML, *examples.VIEWS, named))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert not [name for _, given in page.elements for name in given if name.startswith("on")]
    links = [given["href"] or "" for tag, given in page.elements if tag == "a"]
    assert all(link.startswith(("#m", "https://example.com/", "/")) for link in links)
    assert page.text.count(HOSTILE) == 3
    assert "This message was deleted" in page.text
    assert "End of the export: 5 messages." in page.text


def test_html_has_a_heading_for_each_day_and_the_names_of_both() -> None:
    later = replace(examples.PLAIN, id=200, created_at=examples.NOW.replace(day=24))
    page = written(ExportForm.HTML, *examples.VIEWS[:2], MessageView(message=later, sender=examples.BOB))
    assert page.count("<h2>") == 2
    assert "Thursday, 23 October 2025" in page
    pair = replace(examples.BARE_VIEW, members=examples.MEMBERS)
    assert '<h1 dir="auto">Alice and host</h1>' in HtmlExport(export(ExportForm.HTML, pair)).begin()


def test_a_file_is_saved_under_a_plain_name_and_sandboxed() -> None:
    conversation = replace(examples.GROUP, id='dm:a"b:é;\\')
    view = replace(examples.SHARED_VIEW, conversation=conversation)
    headers = exports.conversation(export(ExportForm.HTML, view)).headers
    assert headers["Content-Disposition"] == (
        'attachment; filename="dm-a-b--2025-10-23.html"; '
        "filename*=UTF-8''dm%3Aa%22b%3A%C3%A9%3B%5C-2025-10-23.html"
    )
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
