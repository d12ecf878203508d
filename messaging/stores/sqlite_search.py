"""Finding messages by their words in SQLite.

The full-text index `search` has one row per message that can be found: the words that `domain.words` cut,
with a space between them, and before them one that stands for the conversation. FTS5 stores lists of
messages without places (`detail=none`), and takes the words as they are: its tokenizer `ascii` only
splits at the spaces.

A message is stored now and indexed later, together with hundreds of others: FTS5 writes a piece of index
for each transaction and merges the pieces, so that a few at a time cost it several times as much. Ids rise:
those that wait are the messages above the id in `indexed`, and those noted in `unindexed`, which came late or
were edited. Each search looks through all that wait: a message is found as soon as it is stored. The id rises
and the notes go in the transaction that indexes, so a message is in one of both whenever the process may die.
Edits and deletions see to the same by triggers, so that nobody who changes messages has to think of it.

The words of a prefix are many, and FTS5 joins all their messages before it gives the first. So the newest
candidates are looked through first, without the prefix: what is frequent is among them. What is not is
rare, and quick to find by the index.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import orjson

from messaging.domain.models import Message
from messaging.domain.words import Query, words_of
from messaging.stores import sqlite_rows as rows

FUNCTION = "searchable"
"""What the first schema calls `searchable` by; a connection that migrates must have it."""

SCHEMA = """
CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = 'ascii', detail = none, columnsize = 0);
CREATE TRIGGER search_changed AFTER UPDATE OF content, deleted_at ON messages BEGIN
    DELETE FROM search WHERE rowid = OLD.id;
    INSERT INTO search (rowid, words)
        SELECT NEW.id, searchable(NEW.conversation_id, NEW.content) WHERE NEW.deleted_at IS NULL;
END;
CREATE TRIGGER search_gone AFTER DELETE ON messages BEGIN
    DELETE FROM search WHERE rowid = OLD.id;
END;
INSERT INTO search (rowid, words)
    SELECT id, searchable(conversation_id, content) FROM messages WHERE deleted_at IS NULL;
"""
UNINDEXED = """
CREATE TABLE unindexed (id INTEGER PRIMARY KEY);
DROP TRIGGER search_changed;
CREATE TRIGGER search_changed AFTER UPDATE OF content, deleted_at ON messages BEGIN
    DELETE FROM search WHERE rowid = OLD.id;
    DELETE FROM unindexed WHERE id = OLD.id;
    INSERT INTO unindexed SELECT NEW.id WHERE NEW.deleted_at IS NULL;
END;
DROP TRIGGER search_gone;
CREATE TRIGGER search_gone AFTER DELETE ON messages BEGIN
    DELETE FROM search WHERE rowid = OLD.id;
    DELETE FROM unindexed WHERE id = OLD.id;
END;
"""

INDEXED = """
-- All messages up to this id are indexed, but for those in `unindexed`.
CREATE TABLE indexed (up_to INTEGER NOT NULL);
INSERT INTO indexed SELECT coalesce(max(id), 0) FROM messages;
DROP TRIGGER search_changed;
CREATE TRIGGER search_changed AFTER UPDATE OF content, deleted_at ON messages
WHEN OLD.id <= (SELECT up_to FROM indexed) BEGIN
    DELETE FROM search WHERE rowid = OLD.id;
    DELETE FROM unindexed WHERE id = OLD.id;
    INSERT INTO unindexed SELECT NEW.id WHERE NEW.deleted_at IS NULL;
END;
"""
WAITING = """
SELECT id, conversation_id, content FROM unindexed CROSS JOIN messages USING (id)
UNION ALL
SELECT id, conversation_id, content FROM messages
WHERE id > (SELECT up_to FROM indexed) AND deleted_at IS NULL
"""
"""What is not indexed yet. Those that are noted have the lower ids."""

TOGETHER = 250
"""How many messages are indexed together. More would save little, and each search looks through so many."""
_TEXT = 100_000
"""How many characters are indexed together, and a message more: those who write wait meanwhile."""
_CANDIDATES = 3_000
"""How many of the newest messages are looked through. So many take about as long as a rare word."""
_MAX_NAMED = 100
"""Of how many conversations the newest messages are picked out by the index; of more, from all."""
_MAX_NAMED_IN_RARE = 1_000
_NO_BOUND = 2**62


def searchable(conversation_id: str, content: str) -> str:
    """A message's row in the index."""
    return " ".join([_place(conversation_id), *words_of(content)])


def add(db: sqlite3.Connection, ids: Collection[int]) -> None:
    """New messages can be found from now on. Need not be told of those with an id above all of before."""
    db.execute(
        """
        INSERT INTO unindexed
        SELECT value FROM json_each(?) WHERE value <= (SELECT up_to FROM indexed)
        """,
        (rows.json_list(ids),),
    )


def index(db: sqlite3.Connection, limit: int) -> int:
    """Index up to so many messages, or fewer long ones; how many are left, at the most so many.

    They are read as one row, and written in one statement: for each row it would fight for Python's lock.
    """
    (waiting,) = db.execute(
        f"""
        SELECT json_group_array(json_array(id, conversation_id, content))
        FROM (SELECT * FROM ({WAITING}) ORDER BY id LIMIT ?)
        """,  # noqa: S608  ours
        (limit,),
    ).fetchone()
    texts: dict[int, str] = {}
    room = _TEXT
    for message_id, where, content in sorted(orjson.loads(waiting)):  # none may be passed over
        texts[message_id] = searchable(where, content)
        room -= len(content)
        if room <= 0:
            break
    db.execute(
        "INSERT INTO search (rowid, words) SELECT CAST(key AS INTEGER), value FROM json_each(?)",
        (orjson.dumps(texts, option=orjson.OPT_NON_STR_KEYS).decode(),),
    )
    last = max(texts, default=0)
    db.execute("DELETE FROM unindexed WHERE id <= ?", (last,))
    db.execute("UPDATE indexed SET up_to = ?1 WHERE up_to < ?1", (last,))
    (left,) = db.execute(f"SELECT count(*) FROM (SELECT * FROM ({WAITING}) LIMIT ?)", (limit,)).fetchone()  # noqa: S608
    return int(left)


def find(
    db: sqlite3.Connection, query: Query, conversation_ids: Collection[str], before: int | None, limit: int
) -> Sequence[Message]:
    """The newest messages with these words in these conversations, the newest first."""
    if not conversation_ids:
        return []
    end = _NO_BOUND if before is None else before
    ids = _among_newest(db, query, conversation_ids, end, limit)
    if ids is None:
        ids = _by_index(db, query, conversation_ids, end, limit)
    ids = sorted([*ids, *_among_waiting(db, query, conversation_ids, end)], reverse=True)[:limit]
    return _messages(db, ids, conversation_ids)


def _among_waiting(
    db: sqlite3.Connection, query: Query, conversation_ids: Collection[str], end: int
) -> list[int]:
    """All that is found where the index does not know of it yet. Read as one row, as in `index`."""
    (waiting,) = db.execute(
        f"""
        SELECT json_group_array(json_array(id, content)) FROM ({WAITING})
        WHERE id < ? AND conversation_id IN (SELECT value FROM json_each(?))
        """,  # noqa: S608  ours
        (end, rows.json_list(conversation_ids)),
    ).fetchone()
    return [message_id for message_id, content in orjson.loads(waiting) if query.fits(words_of(content))]


def _among_newest(
    db: sqlite3.Connection, query: Query, conversation_ids: Collection[str], end: int, limit: int
) -> list[int] | None:
    """What is found among the newest candidates; None where others may have to be found, too."""
    places = {_place(each) for each in conversation_ids}
    match = _all_of(_any_of(places) if len(places) <= _MAX_NAMED else "", *map(_quoted, query.words))
    rows_found = _newest(db, match, end, _NO_BOUND)
    candidates = itertools.islice(rows_found, _CANDIDATES)
    fitting = (row["rowid"] for row in candidates if _fits(row["words"], places, query.prefix))
    found = list(itertools.islice(fitting, limit))
    return found if len(found) == limit or next(rows_found, None) is None else None


def _fits(indexed: str, places: Collection[str], prefix: str) -> bool:
    place, _, words = indexed.partition(" ")
    return place in places and f" {prefix}" in f" {words}"


def _by_index(
    db: sqlite3.Connection, query: Query, conversation_ids: Collection[str], end: int, limit: int
) -> list[int]:
    """What is found by all that is asked for."""
    places = {_place(each) for each in conversation_ids}
    words = (*map(_quoted, query.words), _quoted(query.prefix) + " *")
    if len(places) <= _MAX_NAMED_IN_RARE:
        match = _all_of(_any_of(places), *words)
        return [row["rowid"] for row in _newest(db, match, end, limit)]
    found: list[int] = []
    for row in _newest(db, _all_of(*words), end, _NO_BOUND):
        if row["words"].partition(" ")[0] in places:
            found.append(row["rowid"])
            if len(found) == limit:
                break
    return found


def _newest(db: sqlite3.Connection, match: str, end: int, limit: int) -> Iterator[sqlite3.Row]:
    """Rows of the index that match, of all when nothing is to be matched, by falling id below `end`."""
    if not match:
        query = "SELECT rowid, words FROM search WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
        return db.execute(query, (end, limit))
    query = "SELECT rowid, words FROM search WHERE search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
    return db.execute(query, (match, end, limit))


def _messages(
    db: sqlite3.Connection, ids: Sequence[int], conversation_ids: Collection[str]
) -> Sequence[Message]:
    found = db.execute(
        "SELECT * FROM messages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC",
        (rows.json_list(ids),),
    )
    # Two conversations' words may be the same, though nobody will see it.
    return [message for row in found if (message := rows.message_of(row)).conversation_id in conversation_ids]


# --- FTS5's language ---------------------------------------------------------------------------------------


@lru_cache(maxsize=10_000)
def _place(conversation_id: str) -> str:
    """The word that stands for a conversation: no text has one with this sign."""
    return "¬" + hashlib.blake2b(conversation_id.encode(), digest_size=8).hexdigest()


def _quoted(word: str) -> str:
    return f'"{word}"'


def _any_of(words: Iterable[str]) -> str:
    return f"({' OR '.join(map(_quoted, words))})"


def _all_of(*parts: str) -> str:
    return " AND ".join(part for part in parts if part)
