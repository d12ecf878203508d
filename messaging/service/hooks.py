"""Hooks: what webhooks are told, kept in the store until it has been.

    hooks = ctx.hooks.made("message.reported", lane=conversation_id, message_id=…, data={"reason": …})
    await ctx.store.add_report(report, hooks=hooks)

What is kept together with what happened is told although the process should die right after: at least once,
in the order of its lane. Messages carry their own mark (`Draft.hook`), so a send costs no second write.
Delivery is `messaging/webhooks/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime

from messaging.domain.ids import IdSource
from messaging.domain.models import Hook
from messaging.service import tracing
from messaging.service.ports import Clock, Store

MESSAGE_CREATED = "message.created"
MESSAGE_EDITED = "message.edited"
MESSAGE_DELETED = "message.deleted"
MESSAGE_REPORTED = "message.reported"
USER_ONLINE = "user.online"
USER_OFFLINE = "user.offline"
CONVERSATION_CREATED = "conversation.created"
CONVERSATION_UPDATED = "conversation.updated"
CONVERSATION_DELETED = "conversation.deleted"

TYPES = (
    *(MESSAGE_CREATED, MESSAGE_EDITED, MESSAGE_DELETED, MESSAGE_REPORTED, USER_ONLINE, USER_OFFLINE),
    *(CONVERSATION_CREATED, CONVERSATION_UPDATED, CONVERSATION_DELETED),
)
"""All that a webhook can be told."""


class Hooks:
    """Keeps what webhooks are to be told, where they want to be told of it."""

    def __init__(
        self, store: Store, ids: IdSource, clock: Clock, wanted: frozenset[str] = frozenset()
    ) -> None:
        self.wanted = wanted
        """Which of TYPES; none where there is no webhook."""
        self.kept: Callable[[], None] = _nobody_waits
        """Called when there is something new to tell."""
        self._store = store
        self._ids = ids
        self._clock = clock

    @property
    def for_messages(self) -> str | None:
        """What `Draft.hook` is to be for a message that is sent now."""
        return tracing.current() if MESSAGE_CREATED in self.wanted else None

    async def keep(
        self,
        type: str,  # noqa: A002  as it is called on the wire
        *,
        lane: str,
        data: Mapping[str, object] | None = None,
        message_id: int | None = None,
    ) -> None:
        """Keep something to be told; nothing where nobody wants it. Durable when this returns; raises
        Unavailable. Arguments as those of `made`."""
        if hooks := self.made(type, lane=lane, data=data, message_id=message_id):
            await self._store.keep_hooks(hooks)
            self.kept()

    def made(
        self,
        type: str,  # noqa: A002  as it is called on the wire
        *,
        lane: str,
        data: Mapping[str, object] | None = None,
        message_id: int | None = None,
    ) -> tuple[Hook, ...]:
        """What the store is to keep together with what happened (`Store.save`, `Store.change`); nothing where
        nobody wants it.

        `lane` is mostly the conversation's id. `data` is JSON; with `message_id` the message is added to it,
        as it is when it is told.
        """
        if type not in self.wanted:
            return ()
        hook = Hook(
            id=self._ids.next(),
            lane=lane,
            type=type,
            at=self._clock(),
            data=json.dumps(data or {}, separators=(",", ":")),
            message_id=message_id,
            trace=tracing.current(),
        )
        return (hook,)


def iso(at: datetime) -> str:
    """A time as it goes out: ISO 8601 in UTC, milliseconds, `Z`."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nobody_waits() -> None:
    """There is no webhook."""
