"""The asking half of a relay: a request came here, and its session lives in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from messaging.domain.errors import Unavailable
from messaging.service.ports import Mail
from messaging.transports.socketio import letters
from messaging.transports.socketio.handshake import Refused
from messaging.transports.socketio.letters import Letter
from messaging.transports.socketio.polling import Poll

ANSWER_SECONDS = 90.0
"""The longest that a request waits: a poll is answered by the next ping at the latest."""
LOOK_SECONDS = 1.5
"""How often it is looked whether the client still waits; who needs to know at once, asks."""
STILL_SECONDS = 3.0
"""How often the owner is asked whether it is still there, and has the question."""
OK = "200"


class Question:
    """A request that was passed on and waits for its answer."""

    def __init__(self, number: str, owner: str, alive: Callable[[], bool]) -> None:
        self.number = number
        self.owner = owner
        self.alive = alive
        self.answer: asyncio.Future[Letter] = asyncio.get_running_loop().create_future()


class Asking:
    """Passes requests on and waits for their answers."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._numbers = count(1)
        self._questions: dict[str, Question] = {}

    async def poll(self, owner: str, sid: str, poll: Poll) -> None:
        """Deliver what the session's owner has for this poll. Raises Refused."""
        with self._question(owner, lambda: poll.alive) as question:
            answer = await self._ask(question, letters.POLL, sid)
            if answer is None:
                await self._tell(question, letters.GONE)
                return
            taken = answer.about != OK or await poll.deliver(answer.body)
            await self._tell(question, letters.TAKEN if taken else letters.MISSED)
        _refuse(answer)

    async def post(self, owner: str, sid: str, body: str) -> None:
        """Have the session's owner take this body. Raises Refused."""
        with self._question(owner, lambda: True) as question:
            answer = await self._ask(question, letters.POST, sid, body)
            await self._tell(question, letters.TAKEN)
        if answer is not None:
            _refuse(answer)

    def hear(self, letter: Letter) -> None:
        """An owner answers, or wants to know something."""
        question = self._questions.get(letter.question)
        if letter.kind == letters.CHECK:
            waits = question is not None and question.alive()
            reply = Letter(letters.HERE if waits else letters.GONE, letter.question, self._mail.name)
            self._mail.post(letter.sender, reply.encode())
        elif question is not None and not question.answer.done():
            question.answer.set_result(letter)

    @contextmanager
    def _question(self, owner: str, alive: Callable[[], bool]) -> Iterator[Question]:
        question = Question(f"{self._mail.name}-{next(self._numbers)}", owner, alive)
        self._questions[question.number] = question
        try:
            yield question
        finally:
            del self._questions[question.number]

    async def _ask(self, question: Question, kind: str, sid: str, body: str = "") -> Letter | None:
        """The answer; None when the client has hung up. Raises Refused when there is nobody to answer."""
        await self._send(question, kind, sid, body)
        loop = asyncio.get_running_loop()
        end, next_still = loop.time() + ANSWER_SECONDS, loop.time() + STILL_SECONDS
        while not question.answer.done():
            await asyncio.wait([question.answer], timeout=LOOK_SECONDS)
            if not question.alive() and not question.answer.done():
                return None
            if loop.time() >= end:
                raise Refused.unknown_session()
            if loop.time() >= next_still and not question.answer.done():
                next_still = loop.time() + STILL_SECONDS
                await self._look(question, sid)
        return question.answer.result()

    async def _look(self, question: Question, sid: str) -> None:
        try:
            await self._send(question, letters.STILL, sid)
        except Unavailable:
            return  # Redis comes back, or the time is over

    async def _send(self, question: Question, kind: str, sid: str, body: str = "") -> None:
        letter = Letter(kind, question.number, self._mail.name, sid, body)
        if not await self._mail.send(question.owner, letter.encode()):
            raise Refused.unknown_session()

    async def _tell(self, question: Question, kind: str) -> None:
        self._mail.post(question.owner, Letter(kind, question.number, self._mail.name).encode())


def _refuse(answer: Letter) -> None:
    """Raise the owner's refusal, if it is one."""
    if answer.about != OK:
        raise Refused.told(int(answer.about), answer.body)
