"""Whatever keeps files keeps the words of its port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.files import open_files
from messaging.files.folder import FolderFiles
from messaging.service.ports_uploads import FileGone, Files

CHUNK = os.urandom(100_000)


@pytest.fixture(params=["folder", pytest.param("gridfs", marks=pytest.mark.real), "objects"])
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Files]:
    """Each kind of storage, empty. Object storage is a folder, too; the library makes it look like S3."""
    url = mongodb_uri = None
    if request.param == "gridfs":
        mongodb_uri = request.getfixturevalue("mongodb_uri")
    if request.param == "objects":
        pytest.importorskip("obstore")
        (tmp_path / "objects").mkdir()
        url = (tmp_path / "objects").as_uri()
    opened = open_files(url=url, mongodb_uri=mongodb_uri, folder=tmp_path / "uploads")
    await opened.open()
    yield opened
    await opened.close()


async def pieces(count: int, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK
    if then is not None:
        raise then


async def whole(files: Files, name: str, *, start: int = 0, length: int = 10**9) -> bytes:
    return b"".join([chunk async for chunk in files.read(name, start=start, length=length)])


async def test_what_was_written_can_be_read_whole_and_in_part(files: Files) -> None:
    await files.write("a", pieces(20))
    size = 20 * len(CHUNK)
    assert await whole(files, "a", length=size) == CHUNK * 20
    assert await whole(files, "a", start=150_000, length=300_000) == (CHUNK * 20)[150_000:450_000]
    assert await whole(files, "a", start=size - 5, length=5) == CHUNK[-5:]


@pytest.mark.parametrize("kilobytes", [1, 256, 1024, 1025])
async def test_more_than_there_is_ends_where_the_file_ends(files: Files, kilobytes: int) -> None:
    data = os.urandom(kilobytes * 1024)

    async def given() -> AsyncIterator[bytes]:
        yield data

    await files.write("a", given())
    assert await whole(files, "a", length=4 * 1024 * 1024) == data
    assert await whole(files, "a", start=1000, length=4 * 1024 * 1024) == data[1000:]


async def test_a_small_and_an_empty_file_are_files(files: Files) -> None:
    await files.write("small", pieces(1))
    await files.write("empty", pieces(0))
    assert await whole(files, "small", length=len(CHUNK)) == CHUNK
    assert await whole(files, "empty", length=0) == b""


async def test_of_a_file_that_broke_off_nothing_is_kept(files: Files) -> None:
    with pytest.raises(ConnectionResetError):
        await files.write("b", pieces(3, ConnectionResetError("the client went away")))
    with pytest.raises(FileGone):
        await whole(files, "b")


async def test_of_a_write_that_is_cancelled_nothing_is_kept(files: Files) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield CHUNK
        begun.set()
        await never.wait()

    writing = asyncio.create_task(files.write("c", stuck()))
    await asyncio.wait_for(begun.wait(), 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    with pytest.raises(FileGone):
        await whole(files, "c")


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(files: Files) -> None:
    await files.write("d", pieces(2))
    await files.delete("d")
    await files.delete("d")
    with pytest.raises(FileGone):
        await whole(files, "d")


async def test_a_folder_forgets_at_the_start_what_was_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    files = FolderFiles(folder)
    await files.open()
    (folder / ".draft-1").write_bytes(b"half")
    await files.write("e", pieces(1))
    await FolderFiles(folder).open()
    assert [path.name for path in folder.iterdir()] == ["e"]
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "e").stat().st_mode & 0o077 == 0
