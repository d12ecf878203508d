"""Exports over HTTP, and what a large one costs the server."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from messaging.domain.models import Conversation, Kind, Member, Message, Profile
from messaging.stores import sqlite_rows, sqlite_writes
from messaging.stores.sqlite import SqliteStore
from tests.acceptance.stage import FREELY, Stage, new_id, token
from tests.browser import Browser
from tests.servers import ServerProcess

MANY = 100_000
MORE_BYTES = 50 * 1024 * 1024
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NOTE = """
INSERT INTO notifications (user_id, position, id, type, body, data, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
HOSTILE = "<script>document.title='hacked'</script><img src=/x onerror=\"document.title='hacked'\">"


async def test_a_member_downloads_their_conversation_in_three_forms(stage: Stage) -> None:
    alice, stranger = new_id(), new_id()
    group = await stage.group(alice)
    for content in ("Bonjour", "=1+1", HOSTILE):
        await stage.post(alice, group, content)
    path = f"/api/conversations/{group}/export"
    jsonl = await stage.rest("GET", path, user=alice)
    lines = [json.loads(line) for line in jsonl.body.splitlines()]
    assert [line["content"] for line in lines] == ["Bonjour", "=1+1", HOSTILE]
    table = await stage.rest("GET", f"{path}?format=csv", user=alice)
    rows = list(csv.DictReader(io.StringIO(table.body.removeprefix("\ufeff"), newline="")))
    assert [row["content"] for row in rows] == ["Bonjour", "'=1+1", HOSTILE]
    page = await stage.rest("GET", f"{path}?format=html&token={token(alice)}", user=None)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Content-Disposition"].startswith("attachment;")
    assert HOSTILE not in page.body
    for user, query, status in ((stranger, "", 404), (alice, "?format=pdf", 400)):
        assert (await stage.rest("GET", path + query, user=user)).status == status


async def test_the_page_for_people_does_nothing_but_show(stage: Stage, chromium: str, tmp_path: Path) -> None:
    alice = new_id()
    group = await stage.group(alice)
    await stage.post(alice, group, HOSTILE)
    answer = await stage.rest("GET", f"/api/conversations/{group}/export?format=html", user=alice)
    file = tmp_path / "export.html"
    file.write_text(answer.body)
    async with Browser.running(chromium, tmp_path / "browser") as browser:
        for media in ("screen", "print"):
            await browser.show(file.as_uri(), width=390)
            await browser.ask("Emulation.setEmulatedMedia", media=media)
            assert await browser.value("document.title") != "hacked"
            assert HOSTILE in await browser.value("document.body.innerText")
            assert await browser.value("document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.complaints == []
        assert set(browser.requests) == {file.as_uri()}


# --- a large one -------------------------------------------------------------------------------------------


async def filled(path: Path) -> None:
    """A database with one group of alice's, with many messages."""
    store = SqliteStore(str(path))
    await store.open()
    group = Conversation(id="g", kind=Kind.GROUP, created_at=BEGAN, updated_at=BEGAN, member_count=1)
    await store.save(group, put=[Member(conversation_id="g", user_id="alice", joined_at=BEGAN)])
    await store.put_user(Profile(id="alice"))
    await store.close()
    words = "a message of some words that are as long as people's usually are, more or less, in a chat"
    first = Message(
        id=1, conversation_id="g", seq=1, sender_id="alice", sender_seq=1, content=words, created_at=BEGAN
    )
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("BEGIN")
        sqlite_writes.insert(database, list(many(first)))
        now = sqlite_rows.milliseconds(datetime.now(UTC))  # old ones would be gone when it is opened
        notes = (("alice", n, str(n), "t", words, "{}", now) for n in range(1, MANY + 1))
        database.executemany(NOTE, notes)
        database.execute("COMMIT")
    database.close()


def many(first: Message) -> Iterator[Message]:
    for seq in range(1, MANY + 1):
        at = BEGAN + timedelta(seconds=seq)
        yield replace(first, id=seq, seq=seq, sender_seq=seq, created_at=at)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.real
@pytest.mark.parametrize(
    ("path", "least_lines"),
    [
        ("conversations/g/export?format=jsonl", MANY),
        ("conversations/g/export?format=html", MANY),
        ("users/alice/export", 2 * MANY),
    ],
)
async def test_a_hundred_thousand_messages_are_exported_in_little_memory(
    tmp_path: Path, path: str, least_lines: int
) -> None:
    database = tmp_path / "many.db"
    await filled(database)
    with ServerProcess(tmp_path / "server", {**FREELY, "DATABASE_PATH": str(database)}) as server:
        before, most, lines = resident_bytes(server.pid), 0, 0
        headers = {"Authorization": f"Bearer {token('alice')}"}
        timeout = aiohttp.ClientTimeout(total=50)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            url = f"{server.url}/api/{path}"
            async with http.get(url) as response:
                assert response.status == 200
                await asyncio.sleep(0.3)  # a client that is slow at first makes the server wait, not collect
                async for chunk in response.content.iter_any():
                    lines += chunk.count(b"\n")
                    most = max(most, resident_bytes(server.pid))
    assert lines >= least_lines
    assert most - before < MORE_BYTES, f"{(most - before) / 1024 / 1024:.1f} MiB more"
