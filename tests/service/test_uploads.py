"""What becomes of uploads: their quota, what is collected, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from messaging.domain.commands import (
    AbandonUpload,
    Actor,
    BeginUpload,
    DeleteMessage,
    FinishUpload,
    SendMessage,
)
from messaging.domain.errors import PayloadTooLarge
from messaging.domain.ids import IdSource
from messaging.domain.models import Attachment
from messaging.domain.replies import Sent, UploadReply
from messaging.domain.uploads import Upload, clean_file_name, upload_of
from messaging.files.folder import FolderFiles
from messaging.service import uploads as module
from messaging.service.policy import Policy
from messaging.service.ports import Store
from messaging.service.ports_uploads import Files
from messaging.service.uploads import collect
from tests.stage import Stage, staged


@pytest.fixture
async def stage(store: Store) -> AsyncIterator[Stage]:
    async with staged(policy=Policy(upload_quota_bytes=100), store=store) as made:
        yield made


async def uploaded(stage: Stage, actor: Actor, files: Files, size: int = 10) -> Upload:
    async def data() -> AsyncIterator[bytes]:
        yield bytes(size)

    begun = await stage.do(actor, BeginUpload(file_name="a.txt", at_most=size))
    assert isinstance(begun, UploadReply)
    await files.write(begun.upload.id, data())
    kept = Upload(
        id=begun.upload.id,
        user_id=actor.user_id,
        file_name="a.txt",
        file_size=size,
        mime_type="text/plain",
        created_at=begun.upload.created_at,
    )
    finished = await stage.do(actor, FinishUpload(upload=kept))
    assert isinstance(finished, UploadReply)
    return finished.upload


async def sent(stage: Stage, actor: Actor, upload: Upload) -> int:
    file = Attachment(id="0", url=upload.path, file_name="a.txt")
    reply = await stage.do(actor, SendMessage(conversation_id="c", attachments=(file,)))
    assert isinstance(reply, Sent)
    return reply.view.message.id


async def test_a_user_has_so_much_room_and_no_more(stage: Stage, files: Files) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await uploaded(stage, alice, files, 60)
    with pytest.raises(PayloadTooLarge):
        await uploaded(stage, alice, files, 41)
    await uploaded(stage, bob, files, 41)


async def test_what_is_coming_in_takes_room_until_it_is_there_or_not(stage: Stage) -> None:
    alice = await stage.user("alice")
    begun = await stage.do(alice, BeginUpload(file_name="a.txt", at_most=60))
    assert isinstance(begun, UploadReply)
    with pytest.raises(PayloadTooLarge):
        await stage.do(alice, BeginUpload(file_name="b.txt", at_most=60))
    await stage.do(alice, FinishUpload(upload=replace(begun.upload, file_size=30)))
    second = await stage.do(alice, BeginUpload(file_name="b.txt", at_most=60))
    assert isinstance(second, UploadReply)
    await stage.do(alice, AbandonUpload(upload_id=second.upload.id))
    await stage.do(alice, BeginUpload(file_name="c.txt", at_most=70))


async def test_of_many_that_begin_at_once_no_more_come_in_than_there_is_room_for(stage: Stage) -> None:
    alice = await stage.user("alice")
    begin = [stage.do(alice, BeginUpload(file_name="a.txt", at_most=40)) for _ in range(9)]
    begun = await asyncio.gather(*begin, return_exceptions=True)
    assert sum(isinstance(each, UploadReply) for each in begun) <= 2
    assert await stage.ctx.store.uploaded_bytes("alice") <= 100


async def test_what_never_came_is_forgotten_after_an_hour(stage: Stage, files: Files) -> None:
    alice = await stage.user("alice")
    begun = await stage.do(alice, BeginUpload(file_name="never.txt", at_most=10))
    assert isinstance(begun, UploadReply)
    stage.clock.now += timedelta(hours=1, seconds=1)
    await collect(stage.ctx, files)
    assert await stage.ctx.store.uploads([begun.upload.id]) == {}


class Same(IdSource):
    """Gives one id again and again, as two processes may that have the same bits."""

    def __init__(self, message_id: int) -> None:
        self.message_id = message_id

    def next(self, at: datetime | None = None) -> int:
        """As IdSource.next."""
        del at
        return self.message_id


async def test_an_upload_belongs_to_a_message_that_the_store_gave_another_id(
    stage: Stage, files: Files
) -> None:
    alice = await stage.user("alice")
    await stage.group("c", "alice")
    upload = await uploaded(stage, alice, files)
    first = await stage.send(alice, "c")
    stage.ctx = replace(stage.ctx, ids=Same(first.id))
    message_id = await sent(stage, alice, upload)
    assert message_id != first.id
    assert [place.message_id for place in await stage.ctx.store.attached(upload.id)] == [message_id]
    stage.clock.now += timedelta(days=2)
    await collect(stage.ctx, files)
    assert [place.message_id for place in await stage.ctx.store.attached(upload.id)] == [message_id]


class Broken(FolderFiles):
    """A folder that cannot remove some of its files."""

    stuck = ""

    async def delete(self, name: str) -> None:
        """As Files.delete."""
        if name == self.stuck:
            raise OSError("stuck")
        await super().delete(name)


@pytest.mark.parametrize(
    ("ending", "said", "shown"),
    [
        ("", {}, ("a.txt", 10, "text/plain")),
        ("?expires=1&signature=x", {}, ("a.txt", 10, "text/plain")),
        ("", {"file_name": "mine"}, ("mine", 10, "text/plain")),
        ("", {"file_size": 5, "mime_type": "text/csv"}, ("a.txt", 5, "text/csv")),
        ("?thumbnail=1", {"file_name": "small"}, ("small", 0, None)),
    ],
)
async def test_an_attached_upload_says_itself_what_its_sender_did_not(
    stage: Stage, files: Files, ending: str, said: dict[str, Any], shown: tuple[str, int, str | None]
) -> None:
    alice = await stage.user("alice")
    await stage.group("c", "alice")
    upload = await uploaded(stage, alice, files)
    elsewhere = Attachment(id="1", url="https://example.com/b.txt", file_name="b.txt")
    given = Attachment(**{"id": "0", "url": upload.path + ending, "file_name": upload.id} | said)
    reply = await stage.do(alice, SendMessage(conversation_id="c", attachments=(given, elsewhere)))
    assert isinstance(reply, Sent)
    (stored,) = await stage.ctx.store.history("c", limit=1)
    assert stored.attachments == reply.view.message.attachments
    first, second = stored.attachments
    assert (first.file_name, first.file_size, first.mime_type) == shown
    assert (first.id, first.url, second) == ("0", upload.path + ending, elsewhere)


async def test_one_bad_file_does_not_keep_the_others(
    stage: Stage, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COLLECTED_AT_ONCE", 1)
    alice = await stage.user("alice")
    kept = [await uploaded(stage, alice, files) for _ in range(3)]
    stage.clock.now += timedelta(days=2)
    broken = Broken(tmp_path / "uploads")
    broken.stuck = kept[0].id
    while await collect(stage.ctx, broken):
        pass
    assert set(await stage.ctx.store.uploads([each.id for each in kept])) == {kept[0].id}
    stage.clock.now += timedelta(hours=2)
    while await collect(stage.ctx, files):
        pass
    assert await stage.ctx.store.uploads([kept[0].id]) == {}


async def test_what_no_message_has_is_collected_after_a_day(
    stage: Stage, files: Files, tmp_path: Path
) -> None:
    alice = await stage.user("alice")
    await stage.group("c", "alice")
    loose, kept = await uploaded(stage, alice, files), await uploaded(stage, alice, files)
    begun = await stage.do(alice, BeginUpload(file_name="never.txt", at_most=10))
    assert isinstance(begun, UploadReply)
    message = await sent(stage, alice, kept)
    stage.clock.now += timedelta(hours=23)
    await collect(stage.ctx, files)
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {loose.id, kept.id}
    stage.clock.now += timedelta(hours=2)
    await collect(stage.ctx, files)
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {kept.id}
    assert set(await stage.ctx.store.uploads([loose.id, kept.id, begun.upload.id])) == {kept.id}
    await stage.do(alice, DeleteMessage(message_id=message))
    stage.clock.now += timedelta(hours=2)
    await collect(stage.ctx, files)
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_an_upload_stays_until_the_last_message_that_has_it_is_gone(stage: Stage, files: Files) -> None:
    alice = await stage.user("alice")
    await stage.group("c", "alice")
    upload = await uploaded(stage, alice, files)
    first, second = await sent(stage, alice, upload), await sent(stage, alice, upload)
    await stage.do(alice, DeleteMessage(message_id=first))
    for _ in range(2):
        stage.clock.now += timedelta(days=2)
        await collect(stage.ctx, files)
    assert [place.message_id for place in await stage.ctx.store.attached(upload.id)] == [second]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.png", "a.png"),
        ("", "file"),
        ("..", "file"),
        ("/etc/passwd", "passwd"),
        ("a\r\nb.txt", "ab.txt"),
        ("x" * 300, "x" * 255),
        ("\ud800.txt", "txt"),
    ],
)
def test_a_file_name_is_cleaned(given: str, kept: str) -> None:
    assert clean_file_name(given) == kept


@pytest.mark.parametrize(
    ("url", "upload"),
    [
        ("/api/uploads/abc", "abc"),
        ("/api/uploads/abc?thumbnail=1", "abc"),
        ("/api/uploads/abc/../d", "abc"),
        ("/api/uploads/", ""),
        ("/api/uploadsx/abc", None),
        ("https://host/api/uploads/abc", None),
    ],
)
def test_the_upload_of_a_url(url: str, upload: str | None) -> None:
    assert upload_of(url) == upload
