"""Delivery: takes from the store what webhooks are still to be told, and tells it.

One process at a time does this for all, by a lease; another one takes over when it dies. In each lane one
thing is told after the other, and dropped from the store once the receiver has said 2xx: at least once, under
the same id each time. Lanes do not wait for each other. Nobody waits for any of it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from messaging.domain.errors import ClientError
from messaging.domain.models import Conversation, ConversationView, Hook, MessageView
from messaging.outgoing.client import Outgoing, OutgoingFailed, OutgoingRefused
from messaging.service.context import Context
from messaging.service.views import conversation_view, message_views
from messaging.webhooks import payload
from messaging.webhooks.lanes import MAX_REMEMBERED, Lanes, in_order, is_hopeless, pause_seconds
from messaging.webhooks.payload import Telling

TASK = "webhooks"
"""The name of the lease."""
LEASE_SECONDS = 20.0
_ENOUGH_SECONDS = 12.0
"""A try, which may take ten seconds, is begun only with so much of the lease left."""
IDLE_SECONDS = 1.0
"""How often the store is asked for what other processes have to tell."""
_LONGEST_REST_SECONDS = 30.0
"""How long to rest, at the most, when nothing at all goes through."""
_LANES_AT_ONCE = 16
_HOOKS_AT_ONCE = 20

Observe = Callable[[str, str], None]
"""Takes a type, and what became of a try: `told`, `failed` or `given up`."""

logger = logging.getLogger(__name__)


class Failed(Exception):
    """The receiver did not take a delivery; the text says why."""


class _Lost(Exception):
    """Another process may be delivering by now."""


class Deliveries:
    """The loop of one process. `url` and `key` are the receiver's."""

    def __init__(
        self, ctx: Context, out: Outgoing, *, url: str, key: bytes, observe: Observe | None = None
    ) -> None:
        self._ctx = ctx
        self._out = out
        self._url = url
        self._key = key
        self._observe = observe or _unobserved
        self._holder = secrets.token_hex(8)
        self._held_until = 0.0
        self._lanes = Lanes()
        self._after = ""
        self._failures = 0
        """How many rounds in a row nothing went through."""
        self._failing: dict[str, datetime] = {}
        """Since when what comes next in a lane that fails has been there."""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def behind_seconds(self) -> float:
        """For how long the oldest of what fails has waited here; 0 while all goes through."""
        oldest = min(self._failing.values(), default=None)
        return 0.0 if oldest is None else max(0.0, (self._ctx.clock() - oldest).total_seconds())

    def start(self) -> None:
        """Begin."""
        self._ctx.hooks.kept = self._news.set
        self._task = asyncio.create_task(self._run(), name="webhooks")

    async def close(self) -> None:
        """Stop, and let another process go on at once. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._give_back()
        await self._out.close()

    async def _give_back(self) -> None:
        if self._held_until > 0.0:
            try:
                await self._ctx.store.lease(TASK, self._holder, 0)
            except ClientError as error:
                logger.info("the lease of webhooks was not given back: %s", error.message)

    async def _run(self) -> None:
        while True:
            try:
                pause = await self._round()
            except ClientError as error:
                logger.warning("webhooks have to wait: %s", error.message)
                pause = IDLE_SECONDS
            except _Lost:
                pause = IDLE_SECONDS
            except Exception:
                logger.exception("webhooks failed")
                pause = _LONGEST_REST_SECONDS
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        """Wait; where nothing failed, only until there are news."""
        try:
            async with asyncio.timeout(seconds):
                if self._failures:
                    await asyncio.sleep(seconds)
                await self._news.wait()
        except TimeoutError:
            pass

    async def _round(self) -> float:
        """Tell something in some lanes; after how many seconds to go on."""
        self._news.clear()
        if not await self._holds():
            return IDLE_SECONDS
        lanes = await self._ctx.store.hook_lanes(after=self._after, limit=_LANES_AT_ONCE)
        if not self._after and len(lanes) < _LANES_AT_ONCE:  # these are all that there are
            self._failing = {lane: since for lane, since in self._failing.items() if lane in lanes}
        self._after = lanes[-1] if len(lanes) == _LANES_AT_ONCE else ""
        now = _now()
        due = [lane for lane in lanes if not self._lanes.rests(lane, now)]
        outcomes = await asyncio.gather(*(self._tell_lane(lane) for lane in due), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return self._pause_after([outcome for outcome in outcomes if not isinstance(outcome, BaseException)])

    def _pause_after(self, outcomes: Sequence[bool | None]) -> float:
        if True in outcomes:
            if self._failures:
                logger.info("the webhook takes deliveries again")
            self._failures = 0
            return 0.0
        if False not in outcomes:
            return 0.0 if self._after else IDLE_SECONDS
        self._failures += 1
        return pause_seconds(self._failures, _LONGEST_REST_SECONDS)

    async def _holds(self) -> bool:
        """Whether this process may deliver, for long enough to do so."""
        now = _now()
        if self._held_until - now > _ENOUGH_SECONDS:
            return True
        held = await self._ctx.store.lease(TASK, self._holder, LEASE_SECONDS)
        self._held_until = now + LEASE_SECONDS if held else 0.0
        if not held:
            self._failing.clear()  # it is another one's now
        return held

    async def _tell_lane(self, lane: str) -> bool | None:
        """Tell what is kept in a lane, as far as it goes. Whether something was done; None: there was nothing
        to do."""
        hooks = in_order(await self._ctx.store.hooks(lane, limit=_HOOKS_AT_ONCE), _HOOKS_AT_ONCE)
        told: list[Hook] = []
        failure: Failed | None = None
        try:
            for hook in hooks:
                if not await self._holds():
                    raise _Lost
                await self._tell(hook)
                told.append(hook)
        except Failed as error:
            failure = error
            if await self._give_up(hooks[len(told)]):
                told.append(hooks[len(told)])
        finally:
            if told:
                await self._ctx.store.drop_hooks(told)
        left = hooks[len(told)].at if failure is not None and len(told) < len(hooks) else None
        return self._noted(lane, told, failure, left)

    def _noted(
        self, lane: str, told: Sequence[Hook], failure: Failed | None, left: datetime | None
    ) -> bool | None:
        self._failing.pop(lane, None)
        if left is not None and len(self._failing) < MAX_REMEMBERED:
            self._failing[lane] = left
        if told:
            self._lanes.worked(lane)
        if failure is not None:
            self._lanes.failed(lane, _now())
            if not self._failures:
                logger.warning("the webhook did not take a delivery: %s", failure)
            return bool(told)
        return True if told else None

    async def _give_up(self, hook: Hook) -> bool:
        if not is_hopeless(hook.at, self._ctx.clock()):
            return False
        logger.error("given up telling the webhook: Type=%s, Id=%d, Since=%s", hook.type, hook.id, hook.at)
        self._observe(hook.type, "given up")
        return True

    async def _tell(self, hook: Hook) -> None:
        """Deliver; return at once where there is nothing left to tell. Raises Failed."""
        view = await self._view(hook)
        conversation = await self._conversation(hook)
        if (hook.message_id is not None and view is None) or (_is_about(hook) and conversation is None):
            return
        for telling in payload.tellings(hook, view, conversation):
            if telling.type in self._ctx.hooks.wanted:
                await self._send(telling)

    async def _send(self, telling: Telling) -> None:
        headers = payload.headers(telling, self._key, self._ctx.clock())
        try:
            answer = await self._out.post(self._url, telling.body, headers)
            if not 200 <= answer.status < 300:
                raise Failed(f"it answered {answer.status}")
        except (OutgoingRefused, OutgoingFailed) as error:
            self._observe(telling.type, "failed")
            raise Failed(f"it {error}") from error
        except Failed:
            self._observe(telling.type, "failed")
            raise
        self._observe(telling.type, "told")

    async def _view(self, hook: Hook) -> MessageView | None:
        message = hook.message
        if message is None and hook.message_id is not None:
            message = await self._ctx.store.message(hook.message_id)
        return None if message is None else (await message_views(self._ctx, [message]))[0]

    async def _conversation(self, hook: Hook) -> Conversation | ConversationView | None:
        """What a hook about a conversation shows; the bare conversation for the first message there."""
        if not _is_about(hook) and not (hook.message is not None and hook.message.seq == 1):
            return None
        conversation = await self._ctx.store.conversation(hook.lane)
        if conversation is None or not _is_about(hook):
            return conversation
        return await conversation_view(self._ctx, conversation)


def _is_about(hook: Hook) -> bool:
    """Whether what is told is how a conversation is now."""
    return hook.type in ("conversation.created", "conversation.updated")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _unobserved(_type: str, _outcome: str) -> None:
    """Nobody counts."""
