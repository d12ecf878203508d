"""What is known of uploads is kept as the port says, by every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from messaging.domain.uploads import Attached, Upload
from messaging.service.ports import Store
from tests.stores.build import later as at

PICTURE = Upload(id="p" * 22, user_id="1", file_name="pic.png", created_at=at(0))
DONE = replace(PICTURE, file_size=1_000, mime_type="image/png", width=4, height=3, thumbnail=True, ready=True)


def place(message_id: int, upload_id: str = PICTURE.id) -> Attached:
    return Attached(upload_id=upload_id, conversation_id="c", message_id=message_id)


async def test_an_upload_is_known_from_its_beginning_and_in_its_last_form(store: Store) -> None:
    assert await store.uploads([PICTURE.id, "x"]) == {}
    await store.keep_upload(PICTURE)
    assert await store.uploads([PICTURE.id, "x"]) == {PICTURE.id: PICTURE}
    await store.keep_upload(DONE)
    assert await store.uploads([PICTURE.id]) == {PICTURE.id: DONE}


async def test_what_is_dropped_is_not_known_again_by_a_change(store: Store) -> None:
    assert not await store.change_upload(DONE)
    assert await store.uploads([PICTURE.id]) == {}
    await store.keep_upload(PICTURE)
    assert await store.change_upload(DONE)
    assert await store.uploads([PICTURE.id]) == {PICTURE.id: DONE}


async def test_what_a_user_uploaded_is_counted_together(store: Store) -> None:
    assert await store.uploaded_bytes("1") == 0
    for number, size in enumerate((10, 20, 12)):
        await store.keep_upload(replace(DONE, id=str(number) * 22, file_size=size))
    await store.keep_upload(replace(DONE, id="z" * 22, user_id="2"))
    assert await store.uploaded_bytes("1") == 42
    assert len(await store.uploads_of("1", limit=2)) == 2
    assert [upload.id[0] for upload in await store.uploads_of("1", limit=9)] == ["0", "1", "2"]
    assert [upload.id[0] for upload in await store.uploads_of("1", after="1" * 22, limit=9)] == ["2"]


async def test_an_upload_belongs_to_messages_until_it_is_taken_from_them(store: Store) -> None:
    await store.keep_upload(DONE)
    await store.attach([])
    await store.attach([place(1), place(2), place(1), place(3, "q" * 22)])
    assert set(await store.attached(DONE.id)) == {place(1), place(2)}
    await store.detach([place(1), place(7)])
    await store.detach([])
    assert await store.attached(DONE.id) == [place(2)]


async def test_the_longest_unchecked_come_first(store: Store) -> None:
    for number in range(3):
        await store.keep_upload(replace(DONE, id=str(number) * 22, created_at=at(number)))
    await store.check_upload("0" * 22, at=at(10))
    found = await store.unchecked_uploads(before=at(5), limit=9)
    assert [upload.id[0] for upload in found] == ["1", "2"]
    assert [u.id[0] for u in await store.unchecked_uploads(before=at(20), limit=2)] == ["1", "2"]
    assert await store.unchecked_uploads(before=at(1), limit=9) == []
    await store.keep_upload(replace(DONE, id="0" * 22, created_at=at(0)))  # its check stays
    assert "0" * 22 not in {u.id for u in await store.unchecked_uploads(before=at(5), limit=9)}


async def test_nothing_is_known_of_a_dropped_upload(store: Store) -> None:
    await store.keep_upload(DONE)
    await store.attach([place(1)])
    await store.drop_upload(DONE.id)
    await store.drop_upload(DONE.id)
    assert await store.uploads([DONE.id]) == {}
    assert await store.attached(DONE.id) == []
    assert await store.unchecked_uploads(before=at(0) + timedelta(days=1), limit=9) == []


async def test_a_shared_key_is_made_once(store: Store) -> None:
    first = await store.shared_key("uploads")
    assert len(first) == 32
    assert await store.shared_key("uploads") == first
    assert await store.shared_key("other") != first
