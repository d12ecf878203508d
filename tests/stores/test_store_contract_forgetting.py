"""What every store must know of people, and forget. See test_store_contract.py."""

from __future__ import annotations

import re

import pytest

from messaging.domain.forgetting import Erasure
from messaging.domain.models import Kind, Notification, Position, Profile, Status
from messaging.service.ports import Store
from messaging.stores import sqlite_schema
from messaging.stores.mongodb_documents import INDEXES
from messaging.stores.mongodb_forgetting import PARTS as MONGODB_PARTS
from messaging.stores.sqlite_forgetting import KEPT, PARTS
from tests.stores.build import T0, conversation, draft, later, mark, member, send

A_PERSON = re.compile(r"(user|reader|sender|reporter|blocked|owner|member)_id|\w*_by")


async def known(store: Store, user_id: str, conversation_id: str) -> None:
    """Leave something of a user in every place."""
    await store.put_user(Profile(id=user_id, name=user_id.title(), username=f"the {user_id}"))
    await store.set_last_seen(user_id, later(5))
    await store.keep_positions(user_id, "phone", {conversation_id: Position(1, 0)}, at=T0)
    await store.invite(conversation_id, user_id, by="host", at=T0)
    await store.mark_read(mark(user_id, 2, conversation_id=conversation_id), own_read=1, keep=True)
    note = Notification(id="n", type="t", created_at=T0)
    await store.add_notifications([(user_id, note)])
    await store.block(user_id, "other", at=T0)


async def test_all_that_is_kept_of_a_user_is_told_and_forgotten(store: Store) -> None:
    for user_id in ("alice", "bob"):
        await known(store, user_id, "c")
    kinds = {"profile", "notifications", "blocks", "positions", "cursors", "invitations"}
    for user_id in ("alice", "bob"):
        records = await store.records(user_id)
        assert kinds <= {kind for kind, found in records.items() if found}
    await store.forget_user("alice")
    await store.forget_in(["c"], "alice")
    assert not any((await store.records("alice")).values())
    assert await store.users(["alice"]) == {}
    assert list(await store.find_users("alice", limit=5)) == []
    assert kinds <= {kind for kind, found in (await store.records("bob")).items() if found}


async def test_records_are_values_of_json_and_times(store: Store) -> None:
    await known(store, "alice", "c")
    records = await store.records("alice")
    (profile,) = records["profile"]
    assert profile["lastSeen"] == later(5)
    assert profile["status"] == Status.ONLINE.value
    assert "alice" in str(records["notifications"] and records["cursors"])


async def test_that_somebody_had_read_a_message_stays_known_but_not_who(store: Store) -> None:
    await send(store, draft(), draft())
    for reader in ("bob", "carol"):
        await store.mark_read(mark(reader, 2, seconds=3), own_read=0, keep=True)
    await store.forget_in(["c"], "bob")
    await store.forget_in(["c"], "carol")  # nobody has read up to there already
    marks = await store.read_marks("c", after=0, up_to=2)
    assert [(each.reader_id, each.at) for each in marks] == [("", later(3))]


async def test_conversations_and_who_wrote_there_are_told_in_pages(store: Store) -> None:
    for name in ("d", "e"):
        await store.save(conversation(name, kind=Kind.ROOM))
    sent = await send(
        store, draft("1"), draft("2", sender_id="bob"), draft("3"), draft("4", conversation_id="e")
    )
    assert list(await store.conversation_ids(limit=2)) == ["c", "d"]
    assert list(await store.conversation_ids(after="d", limit=2)) == ["e"]
    assert await store.written_in(["c", "d", "e"], "alice") == {"c", "e"}
    assert await store.written_in(["c", "d", "e"], "nobody") == frozenset()
    assert list(await store.sent("c", "alice", limit=9)) == [sent[0], sent[2]]
    assert list(await store.sent("c", "alice", after=1, limit=9)) == [sent[2]]


async def test_an_erasure_is_kept_until_it_is_done(store: Store) -> None:
    await store.begin_erasure("alice", messages=True)
    await store.note_erasure("alice", place="c")
    assert list(await store.erasures(limit=5)) == [Erasure(user_id="alice", messages=True, place="c")]
    await store.begin_erasure("alice", messages=False)
    assert list(await store.erasures(limit=5)) == [Erasure(user_id="alice", messages=True)]
    await store.end_erasure("alice")
    assert list(await store.erasures(limit=5)) == []


def test_every_table_with_a_person_in_it_says_what_becomes_of_them() -> None:
    database = sqlite_schema.connect_writer(sqlite_schema.MEMORY)
    tables = [row["name"] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    people = {
        (table, row["name"])
        for table in tables
        for row in database.execute(f"PRAGMA table_info({table})")
        if A_PERSON.fullmatch(row["name"])
    }
    database.close()
    said = {(part.table, part.column) for part in PARTS} | set(KEPT)
    assert people - said == set()


def test_both_stores_forget_the_same() -> None:
    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    only_in_sqlite = {"usernames", "devices"}  # part of users, part of positions
    sqlite = {plain(part.table) for part in PARTS} - only_in_sqlite
    assert sqlite == {plain(part.collection) for part in MONGODB_PARTS}
    assert "positions" in INDEXES


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_a_membership_is_told_too(store: Store, name: str) -> None:
    await store.save(conversation("d"), put=[member(name, "d")])
    (membership,) = (await store.records(name))["memberships"]
    assert membership["conversationId"] == "d"
