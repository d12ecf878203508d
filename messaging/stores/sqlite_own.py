"""How the messages of one sender in a conversation are found in SQLite: statements to put into others.

An index of all messages by sender would have one more page to be written for each conversation that is
written to. So it holds only *anchors*: of each sender the first message in each stretch of `STRETCH` places
(`seq` 0 to 7, 8 to 15, …). What else they sent is behind an anchor in the same stretch, and found by
looking through that stretch. Old messages are removed from the old end, and the last stretch of which some
were removed may have lost its anchors: it is looked through, too, from `removed_seq`.

A message that need not be an anchor may be one: all are that were stored before there were any.
"""

from __future__ import annotations

from typing import Final

STRETCH: Final = 8
"""A power of two. How many messages are looked through, at the most, for one sender in one conversation."""
NEVER: Final = -1
"""The place of a sender's last message where there is none: in no stretch."""
NO_BOUND: Final = 2**62

SCHEMA: Final = """
-- Whether the message is found by its sender in the index; else it is behind one of theirs that is. The index
-- holds `anchor`, too, so that nobody has to look into the message for it.
ALTER TABLE messages ADD COLUMN anchor INTEGER NOT NULL DEFAULT 1;
DROP INDEX messages_by_sender;
CREATE INDEX messages_by_sender ON messages (conversation_id, sender_id, seq, anchor) WHERE anchor = 1;
"""


def is_anchor(seq: int, last: int) -> bool:
    """Whether a message at `seq` must be an anchor, where its sender's last one is at `last`."""
    return seq // STRETCH != last // STRETCH


def last(columns: str, conversation: str, sender: str, up_to: str | int = NO_BOUND) -> str:
    """A statement for their last message in the conversation up to a `seq`: these columns of it."""
    base = _base(conversation, sender, up_to)
    return f"""
        SELECT {columns} FROM messages
        WHERE conversation_id = {conversation} AND sender_id = {sender}
            AND seq BETWEEN {base} AND min({_end(base)}, {up_to})
        ORDER BY seq DESC LIMIT 1
    """  # noqa: S608  names of ours


def first_count(conversation: str, sender: str) -> str:
    """An expression for the `sender_seq` of their first message that is there; NULL where there is none."""
    base = _removed(conversation)
    return f"""coalesce((
        SELECT sender_seq FROM messages
        WHERE conversation_id = {conversation} AND sender_id = {sender}
            AND seq BETWEEN {base} AND {_end(base)}
        ORDER BY seq LIMIT 1
    ), (
        SELECT sender_seq FROM messages
        WHERE conversation_id = {conversation} AND sender_id = {sender} AND anchor = 1
        ORDER BY seq LIMIT 1
    ))"""  # noqa: S608  names of ours


def ids_after(conversation: str, sender: str, seq: str, limit: str) -> str:
    """A statement for the ids of at least so many of their messages behind a `seq`, if there are so many.

    They are in no order, and some may be there more than once.
    """
    return f"""
        SELECT messages.id FROM (
            SELECT {_base(conversation, sender, seq)} AS base
            UNION ALL
            SELECT * FROM (
                SELECT seq FROM messages
                WHERE conversation_id = {conversation} AND sender_id = {sender} AND anchor = 1
                    AND seq > {seq}
                ORDER BY seq LIMIT {limit}
            )
        ) CROSS JOIN messages
        WHERE conversation_id = {conversation} AND sender_id = {sender}
            AND seq BETWEEN max(base, {seq} + 1) AND {_end("base")}
    """  # noqa: S608  names of ours


def _base(conversation: str, sender: str, up_to: str | int) -> str:
    """The place from which a stretch is looked through: of their last anchor up to a `seq`.

    Where there is none, what is there of theirs has lost it. NULL where there cannot be anything.
    """
    return f"""coalesce((
        SELECT seq FROM messages
        WHERE conversation_id = {conversation} AND sender_id = {sender} AND anchor = 1 AND seq <= {up_to}
        ORDER BY seq DESC LIMIT 1
    ), {_removed(conversation)})"""  # noqa: S608  names of ours


def _removed(conversation: str) -> str:
    """The last place of which the message was removed; NULL where none was."""
    return f"(SELECT nullif(removed_seq, 0) FROM conversations WHERE id = {conversation})"  # noqa: S608


def _end(base: str) -> str:
    """The last place of a stretch."""
    return f"({base} | {STRETCH - 1})"
