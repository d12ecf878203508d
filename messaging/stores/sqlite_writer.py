"""The connection that alone writes, and what it therefore need not ask the database for."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any, Final

from messaging.domain.models import Message
from messaging.stores import sqlite_reads as reads

MAX_KNOWN: Final = 20_000
"""About how many senders in conversations are known, at the most: a few megabytes."""

UNKNOWN: Final = -1
"""Lower than any id."""

_REMOVALS: Final = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE removals (count INTEGER NOT NULL);
INSERT INTO removals VALUES (0);
CREATE TEMP TRIGGER message_removed AFTER DELETE ON main.messages
    BEGIN UPDATE removals SET count = count + 1; END;
CREATE TEMP TRIGGER conversation_removed AFTER DELETE ON main.conversations
    BEGIN UPDATE removals SET count = count + 1; END;
"""
"""A function of ours would be called for each row, and wait for Python's lock each time."""
_CHANGES: Final = "SELECT data_version, count FROM pragma_data_version, removals"


class Writer(sqlite3.Connection):
    """Knows where conversations end that were lately written to, with what the transaction under way added.

    What is known stays true, since nobody else writes. All of it is forgotten when a transaction is undone,
    when a message or a conversation was removed (which triggers count, so that whoever removes one need not
    think of it), and when another program wrote all the same: then the database is asked again. So a job that
    adds messages notes their places here, and leaves nothing to be mended when it is undone.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.last: dict[str, int] = {}
        """The last `seq` of conversations."""
        self.sent: dict[tuple[str, str], tuple[int, int]] = {}
        """The last `seq` and `sender_seq` of senders in conversations."""
        self.highest_id = UNKNOWN
        """No message has a higher id, nor had one when the text index passed it."""
        self._changes = (0, 0)
        """When another program last wrote, and how much was removed here, as far as is known."""

    def watch_removals(self) -> None:
        """To be called once, when the tables are there."""
        self.executescript(_REMOVALS)

    def know(self, places: Collection[tuple[str, str]]) -> int:
        """Find out what is unknown of these conversations and senders; `highest_id` as it is now.

        A conversation that does not exist stays unknown.
        """
        changes = tuple(self.execute(_CHANGES).fetchone())
        if changes != self._changes or len(self.sent) > MAX_KNOWN:
            self.forget()
            self._changes = changes
        if unknown := set(places).difference(self.sent):
            last, sent = reads.ends(self, unknown)
            self.last |= last
            self.sent |= sent
        if self.highest_id == UNKNOWN:
            self.highest_id = reads.highest_id(self)
        return self.highest_id

    def note(self, message: Message) -> None:
        """A message is added by the transaction under way, and where it belongs is known."""
        self.last[message.conversation_id] = message.seq
        self.sent[message.conversation_id, message.sender_id] = message.seq, message.sender_seq
        if message.id > self.highest_id:
            self.highest_id = message.id

    def rollback(self) -> None:
        """Undo the transaction under way, if there is one."""
        self.forget()
        super().rollback()

    def forget(self) -> None:
        """Know nothing."""
        self.last.clear()
        self.sent.clear()
        self.highest_id = UNKNOWN
