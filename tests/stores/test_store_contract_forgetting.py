"""What every store must know of people, and forget. See test_store_contract.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from messaging.domain.forgetting import Erasure
from messaging.domain.models import (
    ChangeKind,
    Kind,
    Notification,
    Position,
    Profile,
    Reaction,
    Recovery,
    Status,
)
from messaging.domain.moderation import Report
from messaging.domain.pushing import Subscription
from messaging.domain.uploads import Upload
from messaging.service.ports import Store
from messaging.stores import mongodb_forgetting, sqlite_forgetting, sqlite_schema
from messaging.stores.mongodb import MongoStore
from tests.stores.build import T0, change, conversation, draft, later, mark, member, over_shared, send

A_PERSON = re.compile(r"\w+_(id|by)")
NOBODY = {"conversation_id", "message_id", "client_message_id", "upload_id"}
"""Columns that look like a person's, and are none."""
NOBODY_THERE = {"attached", "conversations", "deletions", "hooks", "leases", "pings"}
"""Collections in which nobody is named; `hooks` are told soon, and then gone."""
REMOVED = {"profile", "notifications", "blocks", "positions", "pushSubscriptions", "recoveries", "reports"}
REMOVED_BY_PLACE = {"cursors", "deliveries", "invitations", "invited"}
STAYING = {"memberships", "uploads", "disconnections"}
ALL_KINDS = REMOVED | REMOVED_BY_PLACE | STAYING


async def known(store: Store, user_id: str, conversation_id: str) -> None:
    """Leave something of a user in every place."""
    await store.put_user(Profile(id=user_id, name=user_id.title(), username=f"the {user_id}"))
    await store.set_last_seen(user_id, later(5))
    await store.save(conversation(f"of {user_id}"), put=[member(user_id, f"of {user_id}", muted=True)])
    await store.keep_positions(user_id, "phone", {conversation_id: Position(1, 0)}, at=T0)
    await store.invite(conversation_id, user_id, by="host", at=T0)
    await store.invite(conversation_id, f"friend of {user_id}", by=user_id, at=T0)
    await store.mark_read(mark(user_id, 2, conversation_id=conversation_id), own_read=1, keep=True)
    await store.mark_delivered({conversation_id: {user_id: 2}}, at=T0)
    await store.add_notifications([(user_id, Notification(id="n", type="t", created_at=T0))])
    await store.block(user_id, "other", at=T0)
    browser = f"https://push.example/{user_id}"
    keys = {"p256dh": "a public key", "auth": "a secret"}
    await store.put_subscription(
        Subscription(user_id=user_id, endpoint=browser, created_at=T0, **keys), at_most=9
    )
    recovery = Recovery(
        pid=f"p {user_id}", owner="o", user_id=user_id, dialect="d", sid="s", expires_at=later(1e9)
    )
    await store.add_recoveries([recovery])
    await store.keep_upload(Upload(id=f"u {user_id}", user_id=user_id, file_name="a.txt", created_at=T0))
    await said(store, user_id, conversation_id)
    await store.disconnect(user_id, revoked_before=T0)


async def said(store: Store, user_id: str, conversation_id: str) -> None:
    """A message of a user's to which they react themselves, and somebody's that they report."""
    (message,) = await send(store, draft(sender_id=user_id, conversation_id=conversation_id))
    reacted = replace(message, reactions=(Reaction(emoji="👍", user_ids=(user_id,)),))
    await store.change(reacted, change(message, ChangeKind.REACTED, user_id, emoji="👍"))
    await store.add_report(report(message.id, sender_id="other", reporter_id=user_id))
    await store.begin_erasure(user_id, messages=False)


def report(number: int, **people: str) -> Report:
    """A report of some message."""
    given: dict[str, Any] = {"conversation_id": "c", "seq": 1, "content": "bad", "sent_at": T0, **people}
    return Report(id=number, message_id=7, at=T0, **given)


async def told(store: Store, user_id: str) -> Mapping[str, list[Mapping[str, Any]]]:
    """All records of a user, by kind, read two at a time."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    page = await store.records(user_id, limit=2)
    while True:
        assert len(page.records) <= 2
        for record in page.records:
            found.setdefault(record.kind, []).append(record.values)
        if page.next is None:
            return {kind: values for kind, values in found.items() if kind != "devices"}  # only in SQLite
        page = await store.records(user_id, after=page.next, limit=2)


async def test_all_that_is_kept_of_a_user_is_told_and_forgotten(store: Store) -> None:
    for user_id in ("alice", "bob"):
        await known(store, user_id, "c")
    for user_id in ("alice", "bob"):
        assert set(await told(store, user_id)) == ALL_KINDS
    await store.forget_user("alice")
    assert set(await told(store, "alice")) == ALL_KINDS - REMOVED
    await store.forget_in(["c"], "alice")
    assert set(await told(store, "alice")) == STAYING
    assert await store.users(["alice"]) == {}
    assert list(await store.find_users("alice", limit=5)) == []
    assert set(await told(store, "bob")) == ALL_KINDS


async def test_records_are_values_of_json_and_times(store: Store) -> None:
    await known(store, "alice", "c")
    records = {kind: values for kind, (values, *_) in (await told(store, "alice")).items()}
    profile, place = records["profile"], records["memberships"]
    assert (profile["id"], profile["name"], profile["lastSeen"]) == ("alice", "Alice", later(5))
    assert profile["status"] == Status.ONLINE.value
    assert (place["conversationId"], place["muted"]) == ("of alice", True)
    assert (records["uploads"]["id"], records["uploads"]["ready"]) == ("u alice", False)
    assert (records["reports"]["messageId"], records["reports"]["content"]) == ("7", "bad")
    assert records["pushSubscriptions"]["endpoint"] == "https://push.example/alice"
    assert records["disconnections"]["revokedBefore"] == T0


async def test_a_record_tells_no_secret(store: Store) -> None:
    await known(store, "alice", "c")
    records = await told(store, "alice")
    for kind, secret in (("pushSubscriptions", "a secret"), ("recoveries", "p alice")):
        assert secret not in [value for values in records[kind] for value in values.values()]


async def test_many_records_are_told_once_each(store: Store) -> None:
    await store.add_notifications(
        [("alice", Notification(id=str(number), type="t", created_at=T0)) for number in range(5)]
    )
    for number in range(5):
        await store.save(conversation(f"g{number}"), put=[member("alice", f"g{number}", archived_at=3)])
        await store.block("alice", f"other {number}", at=T0)
    records = await told(store, "alice")
    assert sorted(each["id"] for each in records["notifications"]) == list("01234")
    assert sorted(each["blockedId"][-1] for each in records["blocks"]) == list("01234")
    places = records["memberships"]
    assert sorted((e["conversationId"], e["archivedAt"]) for e in places) == [(f"g{n}", 3) for n in range(5)]


async def test_what_a_user_reacted_to_is_found_by_message(store: Store) -> None:
    first, second, third = await send(store, draft(), draft(), draft())
    for message, user_id in ((first, "bob"), (second, "alice"), (third, "bob")):
        liked = replace(message, reactions=(Reaction(emoji="👍", user_ids=(user_id,)),))
        done = await store.change(liked, change(message, ChangeKind.REACTED, user_id, emoji="👍"))
        assert done is not None
        if message is third:
            await store.change(
                replace(done.message, reactions=()), change(third, ChangeKind.UNREACTED, "bob")
            )
    assert list(await store.reacted_to("bob", limit=1)) == [first.id]
    assert list(await store.reacted_to("bob", after=first.id, limit=9)) == [third.id]
    assert list(await store.reacted_to("bob", after=third.id, limit=9)) == []


async def test_that_somebody_had_read_a_message_stays_known_but_not_who(store: Store) -> None:
    await send(store, draft(), draft())
    for reader in ("bob", "carol"):
        await store.mark_read(mark(reader, 2, seconds=3), own_read=0, keep=True)
    await store.forget_in(["c"], "bob")
    await store.forget_in(["c"], "carol")  # nobody has read up to there already
    marks = await store.read_marks("c", after=0, up_to=2)
    assert [(each.reader_id, each.at) for each in marks] == [("", later(3))]


async def test_that_a_message_was_reported_stays_known_but_not_by_whom(store: Store) -> None:
    await store.add_report(report(1, sender_id="alice", reporter_id="bob"))
    await store.add_report(report(2, sender_id="alice", reporter_id="carol"))
    await store.add_report(replace(report(3, sender_id="alice", reporter_id="carol"), message_id=8))
    await store.forget_user("bob")
    reporters = [(each.message_id, each.reporter_id) for each in await store.reports(limit=9)]
    assert reporters == [(8, "carol"), (7, "carol"), (7, "")]
    await store.forget_user("carol")
    reporters = [(each.message_id, each.reporter_id) for each in await store.reports(limit=9)]
    assert reporters == [(8, ""), (7, "")]


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
    assert await store.erasure("alice") is None
    await store.begin_erasure("alice", messages=True)
    await store.begin_erasure("bob", messages=False)
    begun = await store.erasure("alice")
    assert begun == Erasure(user_id="alice", messages=True)
    assert await store.note_erasure(begun, place="c")
    assert await store.erasure("alice") == replace(begun, place="c")
    assert [each.user_id for each in await store.erasures(limit=5)] == ["alice", "bob"]
    assert len(await store.erasures(limit=1)) == 1
    assert await store.end_erasure(begun)
    assert [each.user_id for each in await store.erasures(limit=5)] == ["bob"]


async def test_an_erasure_that_is_begun_anew_is_not_ended_by_who_carried_out_the_first(store: Store) -> None:
    await store.begin_erasure("alice", messages=True)
    first = await store.erasure("alice")
    assert first is not None
    await store.begin_erasure("alice", messages=False)
    assert not await store.note_erasure(first, place="c")
    assert not await store.end_erasure(first)
    assert await store.erasure("alice") == Erasure(user_id="alice", messages=True, round=2)


async def test_where_a_user_is_a_member_is_told_in_pages(store: Store) -> None:
    for number in range(4):
        await store.save(conversation(f"g{number}"), put=[member("alice", f"g{number}")])
    await store.save(conversation("h"), put=[member("bob", "h")])
    assert list(await store.places_of("alice", limit=3)) == ["g0", "g1", "g2"]
    assert list(await store.places_of("alice", after="g2", limit=3)) == ["g3"]


def people_in_sqlite() -> set[tuple[str, str]]:
    """Every column that holds a person's id."""
    database = sqlite_schema.connect_writer(sqlite_schema.MEMORY)
    tables = [row["name"] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = {
        (table, row["name"]) for table in tables for row in database.execute(f"PRAGMA table_info({table})")
    }
    database.close()
    return {("users", "id")} | {
        (table, name) for table, name in columns if A_PERSON.fullmatch(name) and name not in NOBODY
    }


def test_every_table_with_a_person_in_it_says_what_becomes_of_them() -> None:
    removed = {(part.table, part.column) for part in sqlite_forgetting.PARTS}
    exported = {(part.table, part.column) for part in sqlite_forgetting.TOLD}
    assert removed | set(sqlite_forgetting.KEPT) == people_in_sqlite()
    assert exported | set(sqlite_forgetting.UNTOLD) == people_in_sqlite()


def names_of(document: Mapping[str, Any], person: str, before: str = "") -> Iterator[str]:
    """Every field, also of what is inside, that holds exactly this."""
    for key, value in document.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from names_of(each, person, f"{before}{key}.")
            elif each == person:
                yield before + key


@over_shared
async def test_every_collection_with_a_person_in_it_says_what_becomes_of_them(store: Store) -> None:
    assert isinstance(store, MongoStore)
    await known(store, "alice", "c")
    await store.block("bob", "alice", at=T0)
    await store.lease("a chore", "holder", 1)
    await store.add_report(report(9, sender_id="alice", reporter_id="bob"))
    people: set[tuple[str, str]] = set()
    silent = set()
    database = store._database  # noqa: SLF001
    for name in await database.list_collection_names():
        documents = await database[name].find().to_list()
        found = {(name, field) for each in documents for field in names_of(each, "alice")}
        people |= found - {("users", "profile.id"), ("users", "searchable")}
        silent |= set() if found else {name}
    removed = {(part.collection, part.field) for part in mongodb_forgetting.PARTS}
    exported = {(part.collection, part.field) for part in mongodb_forgetting.TOLD}
    assert removed | set(mongodb_forgetting.KEPT) == people
    assert exported | set(mongodb_forgetting.UNTOLD) == people
    assert silent <= NOBODY_THERE


def test_both_stores_forget_and_tell_the_same() -> None:
    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    only_in_sqlite = {"usernames", "devices"}  # part of users, part of positions
    sqlite = {plain(part.table) for part in sqlite_forgetting.PARTS} - only_in_sqlite
    assert sqlite == {plain(part.collection) for part in mongodb_forgetting.PARTS}
    kinds = {part.shown for part in sqlite_forgetting.TOLD} - only_in_sqlite
    assert kinds == {part.shown for part in mongodb_forgetting.TOLD} == ALL_KINDS
