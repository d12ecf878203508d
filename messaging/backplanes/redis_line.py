"""One connection to Redis for commands in order, as many in one round trip as came up in one loop turn.

Whatever Redis does (closed, black-holed, full of errors), a caller has an answer or `Away` within the
line's patience, and after a failure nobody waits at all for a while. redis.asyncio's own client promises
neither; this uses only its connections (protocol, TLS, URLs, hiredis).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0
"""Longer than this without an answer, and the connection is given up."""
REST_SECONDS = 1.0
"""How long nobody tries after a failure."""
GRACE_TURNS = 4
"""A loop that was busy itself sees the time is over before it sees the answer: it looks so often again."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
COMMAND_BYTES = 200
"""What a waiting command costs beside its arguments, roughly."""

log = logging.getLogger(__name__)

T = TypeVar("T")
Entry = tuple["Command", "asyncio.Future[Any] | None"]

Argument = str | bytes | int
Command = tuple[Argument, ...]


class Away(Exception):
    """Redis cannot be asked now, or did not answer in time: whether it did what was asked is unknown."""


class Address:
    """Where Redis is; makes connections that are not connected yet. ValueError for a URL that names none."""

    def __init__(self, url: str, *, verify_certificates: bool = True) -> None:
        options: dict[str, Any] = {}
        if url.startswith("rediss://") and not verify_certificates:
            options = {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=None,  # each use has a limit of its own
            socket_keepalive=True,
            **options,
        )

    def connection(self) -> AbstractConnection:
        """A new connection, to be connected and disconnected by its owner."""
        make: Callable[[], AbstractConnection] = self._pool.make_connection  # has no types
        return make()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, in sequences of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def connect(connection: AbstractConnection) -> None:
    """Connect and sign in; RedisError, OSError or TimeoutError within 2 seconds when that fails."""
    start: Callable[[], Awaitable[None]] = connection.connect  # has no types
    async with asyncio.timeout(CONNECT_SECONDS):
        await start()


async def drop(connection: AbstractConnection) -> None:
    """Close a connection without waiting for the other side."""
    with contextlib.suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)


class Line:
    """Carries out commands in the order given, one round trip at a time. Must be closed."""

    def __init__(self, address: Address, *, patience: float, scripts: Sequence[str] = ()) -> None:
        self.lost = 0
        """Commands that were not known to be carried out."""
        self._connection = address.connection()
        self._patience = patience
        self._scripts = scripts
        self._waiting: list[Entry] = []
        self._waiting_bytes = 0
        self._rest_until = 0.0
        self._away = False  # and said so in the log
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def resting(self) -> bool:
        """Whether nobody should try, soon after a failure."""
        return asyncio.get_running_loop().time() < self._rest_until

    def post(self, *command: Argument) -> None:
        """Have a command carried out; when that fails it is dropped and counted as lost."""
        self._add(command, None)

    async def ask(self, *command: Argument) -> Any:
        """The answer to a command; raises Away when there is none in time, or a refusal."""
        answer = asyncio.get_running_loop().create_future()
        if not self._add(command, answer):
            raise Away
        try:
            await asyncio.wait([answer], timeout=self._patience)
            for _ in range(GRACE_TURNS):
                if answer.done():
                    return answer.result()
                await asyncio.sleep(0)
        finally:
            answer.cancel()
        self._rest()
        raise Away

    async def close(self) -> None:
        """Stop at once; what still waits is lost. Idempotent."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail(self._take())
        await drop(self._connection)

    def _add(self, command: Command, answer: asyncio.Future[Any] | None) -> bool:
        """Queue a command; False, and it is lost, while nobody should try or when too much is waiting."""
        size = COMMAND_BYTES + sum(len(part) for part in command if not isinstance(part, int))
        if self._closed or self.resting or self._waiting_bytes + size > MAX_WAITING_BYTES:
            self.lost += 1
            return False
        self._waiting.append((command, answer))
        self._waiting_bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="redis-line")
        self._wake.set()
        return True

    def _take(self) -> list[Entry]:
        """All that waits, but for those who have given up waiting."""
        batch = [entry for entry in self._waiting if entry[1] is None or not entry[1].done()]
        self._waiting = []
        self._waiting_bytes = 0
        return batch

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch: list[Entry] = []
            try:
                await self._connect()
                batch = self._take()
                await self._carry_out(batch)
            except (RedisError, OSError, TimeoutError) as error:
                self._failed(error)
                self._fail(batch + self._take())
                await drop(self._connection)
            except BaseException:
                self._fail(batch)
                raise

    async def _connect(self) -> None:
        if self._connection.is_connected:
            return
        await connect(self._connection)
        async with asyncio.timeout(ANSWER_SECONDS):
            for script in self._scripts:
                await self._connection.send_command("SCRIPT", "LOAD", script)
                await self._connection.read_response()

    async def _carry_out(self, batch: Sequence[Entry]) -> None:
        if not batch:
            return
        # pack_commands is not typed for mixed arguments, and takes them all.
        commands: list[Any] = [command for command, _ in batch]
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._connection.send_packed_command(self._connection.pack_commands(commands))
            for _, answer in batch:
                settle(answer, await self._read())
        self._away = False

    async def _read(self) -> object:
        """The next answer; Away for a refusal."""
        try:
            answer: object = await self._connection.read_response()
            return answer
        except NoScriptError:
            raise  # somebody flushed the scripts; connecting loads them again
        except ResponseError as refusal:
            log.error("Redis refused: %s", refusal)  # noqa: TRY400 - its traceback would only show this place
            self.lost += 1
            return Away(str(refusal))

    def _rest(self) -> None:
        self._rest_until = asyncio.get_running_loop().time() + REST_SECONDS

    def _failed(self, error: Exception) -> None:
        if not self._away:
            log.warning("Redis is away: %r", error)
        self._away = True
        self._rest()

    def _fail(self, batch: Sequence[Entry]) -> None:
        for _, answer in batch:
            self.lost += 1
            settle(answer, Away())


def settle(answer: asyncio.Future[Any] | None, result: object) -> None:
    """Give the one who waits, if anybody still does, the result or the exception."""
    if answer is None or answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
