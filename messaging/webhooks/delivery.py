"""Delivery: takes from the store what webhooks are still to be told, and tells it.

One process at a time does this for all, as a chore; another one takes over when it dies. In each lane one
thing is told after the other, and dropped from the store once the receiver has said 2xx: at least once, under
the same id each time. Lanes do not wait for each other. Nobody waits for any of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from messaging.chores import Chore
from messaging.domain.models import Conversation, ConversationView, Hook, MessageView
from messaging.outgoing.client import Outgoing, OutgoingFailed, OutgoingRefused
from messaging.service.context import Context
from messaging.service.hooks import CONVERSATION_CREATED, CONVERSATION_UPDATED
from messaging.service.views import conversation_view, message_views
from messaging.webhooks import payload
from messaging.webhooks.lanes import MAX_REMEMBERED, Lanes, in_order, is_hopeless, pause_seconds
from messaging.webhooks.payload import Telling

TASK = "webhooks"
"""The name of the lease. A try, which may take ten seconds, is begun only with enough of it left."""
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
        self._chore = Chore(ctx.store, TASK, self._round, ask_seconds=IDLE_SECONDS)
        self._lanes = Lanes()
        self._after = ""
        self._failures = 0
        """How many rounds in a row nothing went through."""
        self._failing: dict[str, datetime] = {}
        """Since when what comes next in a lane that fails has been there."""

    def behind_seconds(self) -> float:
        """For how long the oldest of what fails has waited here; 0 while all goes through, and where another
        process delivers."""
        if not self._chore.is_held:
            self._failing.clear()
        oldest = min(self._failing.values(), default=None)
        return 0.0 if oldest is None else max(0.0, (self._ctx.clock() - oldest).total_seconds())

    def start(self) -> None:
        """Begin."""
        self._ctx.hooks.kept = self._heard
        self._chore.start()

    async def close(self) -> None:
        """Stop, and let another process go on at once. Idempotent."""
        await self._chore.close()
        await self._out.close()

    def _heard(self) -> None:
        """There are news. While nothing goes through, they wait, too."""
        if not self._failures:
            self._chore.wake()

    async def _round(self) -> float:
        """Tell something in some lanes; after how many seconds to go on."""
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

    async def _tell_lane(self, lane: str) -> bool | None:
        """Tell what is kept in a lane, as far as it goes. Whether something was done; None: there was nothing
        to do."""
        hooks = in_order(await self._ctx.store.hooks(lane, limit=_HOOKS_AT_ONCE), _HOOKS_AT_ONCE)
        told: list[Hook] = []
        failure: Failed | None = None
        try:
            for hook in hooks:
                await self._chore.hold()
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
    return hook.type in (CONVERSATION_CREATED, CONVERSATION_UPDATED)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _unobserved(_type: str, _outcome: str) -> None:
    """Nobody counts."""
