"""What becomes of uploads: their quota, what is collected, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from messaging.domain.commands import Actor, BeginUpload, DeleteMessage, FinishUpload, SendMessage
from messaging.domain.errors import PayloadTooLarge
from messaging.domain.models import Attachment
from messaging.domain.replies import Sent, UploadReply
from messaging.domain.uploads import Upload, clean_file_name, upload_of
from messaging.files.folder import FolderFiles
from messaging.service.policy import Policy
from messaging.service.ports_uploads import Files
from messaging.service.uploads import collect
from tests.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged(policy=Policy(upload_quota_bytes=100)) as made:
        yield made


@pytest.fixture
async def files(tmp_path: Path) -> Files:
    kept = FolderFiles(tmp_path / "uploads")
    await kept.open()
    return kept


async def uploaded(stage: Stage, actor: Actor, files: Files, size: int = 10) -> Upload:
    async def data() -> AsyncIterator[bytes]:
        yield bytes(size)

    begun = await stage.do(actor, BeginUpload(file_name="a.txt"))
    assert isinstance(begun, UploadReply)
    await files.write(begun.upload.id, data())
    kept = Upload(
        id=begun.upload.id,
        user_id=actor.user_id,
        file_name="a.txt",
        file_size=size,
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


async def test_what_no_message_has_is_collected_after_a_day(
    stage: Stage, files: Files, tmp_path: Path
) -> None:
    alice = await stage.user("alice")
    await stage.group("c", "alice")
    loose, kept = await uploaded(stage, alice, files), await uploaded(stage, alice, files)
    begun = await stage.do(alice, BeginUpload(file_name="never.txt"))
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
