"""The answering half of a relay: a session lives here, and its client's request came to another process.

What a poll is given is kept until the other process says that it was written to the client. Where nobody can
say, the connection ends, and the client comes back: late, but never wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from messaging.domain.errors import Unavailable
from messaging.gateway.tasks import Tasks
from messaging.service.ports import Mail
from messaging.transports.handshake import Limits
from messaging.transports.socketio import letters
from messaging.transports.socketio.handshake import Refused
from messaging.transports.socketio.letters import Letter
from messaging.transports.socketio.polling import BodyTooLarge, Poll

CHECK_SECONDS = 1.0
"""How long it may take to say whether its client still waits."""
GOODBYE_SECONDS = 1.0


class Sessions(Protocol):
    """The Engine.IO connections of this process."""

    async def poll(self, sid: str, poll: Poll) -> None:
        """Deliver to a poll. Raises Refused."""

    async def post(self, sid: str, read: Callable[[int], Awaitable[str]]) -> None:
        """Take a body. Raises Refused and BodyTooLarge."""


class Asked(Poll):
    """A request that another process passed on. Used as a poll if it is one."""

    def __init__(self, mail: Mail, letter: Letter, limits: Limits) -> None:
        super().__init__()
        self.max_bytes = limits.write_bytes
        self._confirm_seconds = limits.confirm_seconds
        self.letter = letter
        self._mail = mail
        self._gone = False
        self._answer: Letter | None = None
        self._taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._heard = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self._gone

    async def still_waits(self) -> bool:
        """Asks the other process; whoever does not answer does not wait."""
        self._heard.clear()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                if await self._send(Letter(letters.CHECK, self.letter.question, self._mail.name)):
                    await self._heard.wait()
                    return self.alive
        except (TimeoutError, Unavailable):
            pass
        self._hang_up()
        return False

    async def deliver(self, body: str) -> bool:
        return await self.answer(200, body)

    def cut(self) -> None:
        """The other process does so by itself: here nobody waits longer than it takes to confirm."""

    async def answer(self, status: int, body: str) -> bool:
        """Whether the client was given this. Raises ConnectionError when nobody can say."""
        self._answer = Letter(letters.ANSWER, self.letter.question, self._mail.name, str(status), body)
        try:
            if not await self._send(self._answer):
                return False
        except Unavailable:
            pass  # it may have arrived; if not, the other process asks again
        done, _ = await asyncio.wait([self._taken], timeout=self._confirm_seconds)
        if not done:
            raise ConnectionError
        return self._taken.result()

    def hear(self, letter: Letter) -> None:
        """The other process says something about it."""
        match letter.kind:
            case letters.TAKEN | letters.MISSED if not self._taken.done():
                self._taken.set_result(letter.kind == letters.TAKEN)
            case letters.STILL if self._answer is not None:
                self._mail.post(self.letter.sender, self._answer.encode())
            case letters.GONE:
                self._hang_up()
            case letters.HERE:
                self._heard.set()
            case _:
                return  # the same again, or what a younger version says

    def _hang_up(self) -> None:
        self._gone = True
        self._heard.set()
        self.wake()
        if not self._taken.done():
            self._taken.set_result(False)

    async def _send(self, letter: Letter) -> bool:
        return await self._mail.send(self.letter.sender, letter.encode())


class Answering:
    """Answers requests that other processes pass on."""

    def __init__(self, mail: Mail, sessions: Sessions, limits: Limits) -> None:
        self._mail = mail
        self._sessions = sessions
        self._limits = limits
        self._asked: dict[str, Asked] = {}
        self._tasks = Tasks()

    async def close(self) -> None:
        """Answer nothing more; what waits for its last words may have them."""
        await self._tasks.close(GOODBYE_SECONDS)

    def hear(self, letter: Letter) -> None:
        """Another process asks for something, or says something about what it asked."""
        asked = self._asked.get(letter.question)
        if asked is not None:
            asked.hear(letter)
        elif letter.kind in (letters.POLL, letters.POST):
            asked = self._asked[letter.question] = Asked(self._mail, letter, self._limits)
            self._tasks.start(self._serve(asked))
        elif letter.kind == letters.STILL:  # its question was lost, or our answer a while ago
            self._mail.post(letter.sender, self._unknown(letter).encode())

    async def _serve(self, asked: Asked) -> None:
        try:
            await self._carry_out(asked)
        except ConnectionError:
            pass  # the other process does not say whether the client was told
        finally:
            del self._asked[asked.letter.question]

    async def _carry_out(self, asked: Asked) -> None:
        letter = asked.letter
        try:
            if letter.kind == letters.POLL:
                await self._sessions.poll(letter.about, asked)
                return
            await self._sessions.post(letter.about, asked_body(letter))
        except Refused as refused:
            await asked.answer(refused.status, refused.body)
        except BodyTooLarge:
            await asked.answer(413, "")
        else:
            await asked.answer(200, "ok")

    def _unknown(self, letter: Letter) -> Letter:
        refused = Refused.unknown_session()
        return Letter(letters.ANSWER, letter.question, self._mail.name, str(refused.status), refused.body)


def asked_body(letter: Letter) -> Callable[[int], Awaitable[str]]:
    """The body of a POST that was read by the process that passed it on."""

    async def read(max_bytes: int) -> str:
        if len(letter.body.encode()) > max_bytes:
            raise BodyTooLarge
        return letter.body

    return read
