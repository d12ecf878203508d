"""Sending away: ends the connections of users whom an administrator disconnected, in whichever process.

It is announced on the bus. Should that get lost, the store is asked every few seconds for what is past the
last known number: one query, whoever is connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from messaging.domain.events import UserSentAway
from messaging.domain.models import Disconnection
from messaging.gateway.session import ERASED, SENT_AWAY, Session
from messaging.service.context import Context

_PAGE = 1_000


class SendingAway:
    """Which disconnections this process has carried out. `sessions_of` gives a user's connections here."""

    def __init__(self, ctx: Context, sessions_of: Callable[[str], Iterable[Session]]) -> None:
        self._ctx = ctx
        self._sessions_of = sessions_of
        self._position = 0
        """The number up to which all are known."""
        self._heard: set[int] = set()
        """Numbers past it that were announced already."""

    def heard(self, event: UserSentAway) -> None:
        """A user was disconnected, here or in another process."""
        if event.number > self._position:
            self._heard.add(event.number)
        known = Disconnection(user_id=event.user_id, number=event.number, revoked_before=event.revoked_before)
        self._carry_out(known, erased=event.erased)

    async def compare(self) -> None:
        """Carry out what the store has and nobody told. Before the first client: know all that there is."""
        while True:
            page = await self._ctx.store.disconnections(after=self._position, limit=_PAGE)
            for each in page:
                if each.number not in self._heard:
                    self._carry_out(each, erased=await self._is_erased(each.user_id))
            if page:
                self._position = page[-1].number
                self._heard = {number for number in self._heard if number > self._position}
            if len(page) < _PAGE:
                return

    async def _is_erased(self, user_id: str) -> bool:
        """Whether a user who is connected here is being erased now."""
        return any(self._sessions_of(user_id)) and await self._ctx.store.erasure(user_id) is not None

    def _carry_out(self, known: Disconnection, *, erased: bool) -> None:
        if known.revoked_before is not None:
            self._ctx.revocations.note(known.user_id, known.revoked_before)
        for session in list(self._sessions_of(known.user_id)):
            session.send_away(ERASED if erased else SENT_AWAY)
