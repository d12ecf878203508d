"""Census: who is connected, over all processes. Each is asked over the bus and answers for itself."""

from __future__ import annotations

import asyncio
import heapq
import secrets
from collections import Counter
from collections.abc import Collection, Sequence

from messaging.domain.events import CensusAsked, CensusTold, census_topic
from messaging.domain.models import ConnectionView, ProcessView
from messaging.gateway.session import Session
from messaging.service.ports import Bus, Clock

LISTEN_SECONDS = 0.3
"""How long others have for their answer when it is not known whether there are any."""
PATIENCE_SECONDS = 2.0
"""How long those have of whom it is known that they are there."""


class Census:
    """Asks the other processes, and answers them."""

    def __init__(self, bus: Bus, sessions: Collection[Session], clock: Clock) -> None:
        self.process = secrets.token_hex(4)
        """This process's name."""
        self._bus = bus
        self._sessions = sessions
        self._clock = clock
        self._started_at = clock()
        self._others: set[str] = set()
        """Processes that answered the last time."""
        self._answers: dict[str, dict[str, CensusTold]] = {}

    async def take(
        self, *, user_id: str | None = None, after: str | None = None, limit: int = 0
    ) -> Sequence[CensusTold]:
        """As service.ports.Census.take."""
        asked = CensusAsked(question=secrets.token_hex(8), user_id=user_id, after=after, limit=limit)
        answers = self._answers[asked.question] = {}
        topic = census_topic(asked.question)
        try:
            await self._bus.subscribe(topic)
            self._bus.publish([asked])
            await self._await_answers(answers)
        finally:
            self._bus.unsubscribe(topic)
            del self._answers[asked.question]
        return [self.answer(asked), *answers.values()]

    async def _await_answers(self, answers: dict[str, CensusTold]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited := loop.time() - began) < PATIENCE_SECONDS:
            if waited >= LISTEN_SECONDS and self._others <= answers.keys():
                break
            await asyncio.sleep(0.02)
        self._others = set(answers)

    def told(self, answer: CensusTold) -> None:
        """Another process answered; too late, maybe."""
        answers = self._answers.get(answer.question)
        if answers is not None:
            answers[answer.process.id] = answer

    def answer(self, asked: CensusAsked) -> CensusTold:
        """What this process has to say."""
        by_dialect = Counter(session.wire.dialect.name for session in self._sessions)
        users = len({session.user_id for session in self._sessions})
        process = ProcessView(
            id=self.process,
            started_at=self._started_at,
            users=users,
            connections=tuple(sorted(by_dialect.items())),
        )
        listed = tuple(self._listed(asked)) if asked.limit else ()
        return CensusTold(question=asked.question, process=process, connections=listed)

    def _listed(self, asked: CensusAsked) -> list[ConnectionView]:
        mine = (s for s in self._sessions if asked.user_id in (None, s.user_id))
        past = ((place, s) for s in mine if (place := self._place(s)) > (asked.after or ""))
        first = heapq.nsmallest(asked.limit, past, key=lambda each: each[0])
        return [self._view(place, session) for place, session in first]

    def _place(self, session: Session) -> str:
        """Where a connection stands in the list of all of them: by user."""
        return f"{session.user_id}/{self.process}/{session.connection}"

    def _view(self, place: str, session: Session) -> ConnectionView:
        return ConnectionView(
            id=place,
            user_id=session.user_id,
            process=self.process,
            dialect=session.wire.dialect.name,
            address=session.peer,
            device=session.device,
            connected_at=session.connected_at,
        )
