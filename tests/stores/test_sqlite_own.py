"""A sender's own messages are found by the few that are in the index, whatever was removed."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.stores import sqlite_forgetting, sqlite_own, sqlite_retention, sqlite_rows, sqlite_schema
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_writes as writes
from messaging.stores.sqlite_writer import Writer
from tests.stores import sqlite_old
from tests.stores.build import conversation, draft, later, member

SENDERS = ("alice", "bob", "carol", "dave")
STEPS = st.one_of(
    st.tuples(st.sampled_from(SENDERS), st.integers(1, 40)),
    st.tuples(st.just("remove"), st.integers(1, 60)),
    st.tuples(st.just("forget"), st.just(0)),
    st.tuples(st.just("all anchors"), st.just(0)),
)
Own = dict[int, tuple[str, int]]
"""What is in the conversation: by `seq` its sender and `sender_seq`."""


def append(db: Writer, sender: str, count: int) -> None:
    for _ in range(count):
        writes.append(db, [draft(sender_id=sender)])


def remove(db: Writer, count: int) -> None:
    """Remove the oldest."""
    sqlite_retention.remove_before(db, "c", sqlite_rows.milliseconds(later(1)), count)


def own_of(db: Writer) -> Own:
    found = db.execute("SELECT seq, sender_id, sender_seq FROM messages WHERE conversation_id = 'c'")
    return {seq: (sender, count) for seq, sender, count in found}


def assert_right(db: Writer, own: Own, sender: str) -> None:
    mine = {seq: count for seq, (who, count) in own.items() if who == sender}
    places = sorted(mine)
    first_count = mine[places[0]] if mine else 1
    for up_to in (*range(max(own, default=0) + 2), None):
        counted = [mine[seq] for seq in places if up_to is None or seq <= up_to]
        none = 0 if up_to is None else first_count - 1
        assert reads.own_sent(db, "c", sender, up_to) == (counted[-1] if counted else none)
    membership = reads.membership(db, "c", sender)
    assert membership is not None
    assert membership.own_sent == (mine[places[-1]] if mine else 0)
    _, sent = reads.ends(db, [("c", sender)])
    assert sent == {("c", sender): (places[-1], mine[places[-1]]) if mine else (sqlite_own.NEVER, 0)}
    assert sqlite_forgetting.written_in(db, ["c", "d"], sender) == ({"c"} if mine else set())
    for after in (0, 7, 40):
        for limit in (1, 3, 1000):
            told = [message.seq for message in sqlite_forgetting.sent(db, "c", sender, after, limit)]
            assert told == [seq for seq in places if seq > after][:limit]


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_own_messages_are_those_that_are_there(steps: list[tuple[str, int]]) -> None:
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        members = [member(sender) for sender in SENDERS]
        for name in ("c", "d"):
            writes.save(db, conversation(name), members, (), ())
        for what, number in steps:
            match what:
                case "remove":
                    remove(db, number)
                case "forget":
                    db.forget()
                case "all anchors":  # as those that were stored before there were any
                    db.execute("UPDATE messages SET anchor = 1")
                case sender:
                    append(db, sender, number)
        own = own_of(db)
        for sender in SENDERS:
            assert_right(db, own, sender)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), removed=st.integers(1, 200))
def test_in_a_lively_conversation_too(seed: int, removed: int) -> None:
    chance = random.Random(seed)
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        writes.save(db, conversation("c"), [member(sender) for sender in SENDERS], (), ())
        for _ in range(150):
            append(db, chance.choices(SENDERS, weights=(40, 20, 5, 1))[0], 1)
        remove(db, removed)
        for _ in range(30):
            append(db, chance.choice(SENDERS), 1)
        own = own_of(db)
        for sender in SENDERS:
            assert_right(db, own, sender)


def test_what_was_read_of_what_is_removed_is_counted() -> None:
    """A cursor is moved behind what was removed, with as many own messages as were before it."""
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        writes.save(db, conversation("c"), [member(sender) for sender in SENDERS], (), ())
        for count in range(60):
            at = later(0 if count < 37 else 9)
            writes.append(db, [draft(sender_id=SENDERS[count % 3], created_at=at)])
        sqlite_retention.remove_before(db, "c", sqlite_rows.milliseconds(later(1)), 100)
        reads_of = {
            sender: (there.cursor, there.own_read)
            for sender in SENDERS
            if (there := reads.member(db, "c", sender)) is not None
        }
        assert reads_of == {"alice": (37, 13), "bob": (37, 12), "carol": (37, 12), "dave": (37, 0)}


def test_few_messages_are_anchors() -> None:
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        writes.save(db, conversation("c"), (), (), ())
        append(db, "alice", 160)
        (anchors,) = db.execute("SELECT count(*) FROM messages WHERE anchor = 1").fetchone()
        assert anchors == 1 + 160 // sqlite_own.STRETCH


def test_what_was_stored_before_there_were_anchors_is_found(tmp_path: Path) -> None:
    path = tmp_path / "messaging.db"
    with sqlite_old.made_before(sqlite_own.SCHEMA, path) as before:
        sqlite_old.keep(before, [(number, SENDERS[number % 3], "") for number in range(1, 60)])
    with closing(sqlite_schema.connect_writer(str(path))) as db:
        writes.save(db, conversation("c", version=2), [member(sender) for sender in SENDERS], (), ())
        for _ in range(2):
            own = own_of(db)
            for sender in SENDERS:
                assert_right(db, own, sender)
            append(db, "alice", 20)
            remove(db, 50)
