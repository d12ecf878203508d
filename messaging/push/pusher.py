"""Pusher: who is to be pushed what. Notifications, and messages in conversations that are not muted, go to
users who have no connection on any process.

The process that a command was carried out in pushes what it led to, so each thing is pushed once. Who had a
connection a moment ago still counts as online during their grace period; so whoever seems to be online is
looked at once more after it, and pushed what they have not read by then.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from messaging.domain.errors import ClientError, InvalidFormat
from messaging.domain.events import Announcement, MessageSent, Notified
from messaging.domain.models import Kind
from messaging.domain.pushing import Subscription
from messaging.domain.values import dataclass
from messaging.outgoing.addresses import is_public
from messaging.outgoing.client import Outgoing, OutgoingRefused, check_target
from messaging.push import payload
from messaging.push.keys import VapidKey, decoded, is_on_curve
from messaging.push.letters import Letter
from messaging.push.mail import Mail, Observe
from messaging.service.context import Context
from messaging.service.ports import ONLINE

MAX_EVENTS = 2_000
"""How many events may wait for their recipients to be found; when there are more, the oldest are left out."""
MAX_MEMBERS = 1_000
"""Messages in larger groups are not pushed."""
_RESOLVE_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """An event whose recipients are to be found. The second time only `among` those who seemed online."""

    event: MessageSent | Notified
    among: frozenset[str] | None = None


class Pusher:
    """Pushes what this process's commands led to. `out` is the way to push services."""

    def __init__(
        self,
        ctx: Context,
        out: Outgoing,
        key: VapidKey,
        *,
        content: bool,
        grace_seconds: float,
        observe: Observe | None = None,
        pause_seconds: float = 2.0,
    ) -> None:
        self._ctx = ctx
        self._content = content
        self._second_look_seconds = grace_seconds + 1.0
        self._observe = observe or _unobserved
        self._mail = Mail(out, key, gone=self._gone, observe=self._observe, pause_seconds=pause_seconds)
        self._looks: deque[_Look] = deque()
        self._later: set[asyncio.TimerHandle] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._mail.start()
        self._task = asyncio.create_task(self._run(), name="find whom to push")

    async def close(self) -> None:
        """Stop; what has not been pushed by now is not. Idempotent."""
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._mail.close()

    def offer(self, event: Announcement) -> None:
        """Something happened here: push it to whom it concerns, soon."""
        if isinstance(event, Notified) or (
            isinstance(event, MessageSent) and event.conversation.kind is not Kind.ROOM
        ):
            self._take(_Look(event=event))

    def _take(self, look: _Look) -> None:
        if len(self._looks) >= MAX_EVENTS:
            self._looks.popleft()
            self._observe("dropped")
        self._looks.append(look)
        self._news.set()

    async def _run(self) -> None:
        while True:
            while not self._looks:
                self._news.clear()
                await self._news.wait()
            look = self._looks.popleft()
            try:
                await self._push(look)
            except ClientError as error:
                logger.warning("nobody could be found to push to: %s", error.message)
                self._observe("dropped")
            except Exception:
                logger.exception("finding whom to push to failed")
                self._observe("failed")

    async def _push(self, look: _Look) -> None:
        users = await self._recipients(look)
        found = await self._ctx.store.subscriptions(users) if users else ()
        users = {each.user_id for each in found}
        if not users:
            return
        online = await self._ctx.presence.among(ONLINE, users)
        for subscription in found:
            if subscription.user_id not in online:
                self._mail.post(self._letter(look.event, subscription))
        if online and look.among is None:
            self._look_again(look.event, online)

    def _look_again(self, event: MessageSent | Notified, users: frozenset[str]) -> None:
        if len(self._later) >= MAX_EVENTS:
            return

        def take() -> None:
            self._later.discard(timer)
            self._take(_Look(event=event, among=users))

        timer = asyncio.get_running_loop().call_later(self._second_look_seconds, take)
        self._later.add(timer)

    async def _recipients(self, look: _Look) -> set[str]:
        event = look.event
        if isinstance(event, Notified):
            seen = look.among is not None and await self._is_read(event)
            return set() if seen else {event.user_id}
        if event.conversation.member_count > MAX_MEMBERS:
            return set()
        members = await self._ctx.store.members(event.conversation.id, limit=MAX_MEMBERS)
        return {
            member.user_id
            for member in members
            if member.user_id != event.message.sender_id
            and not member.muted
            and (look.among is None or member.user_id in look.among)
            and member.cursor < event.message.seq
        }

    async def _is_read(self, event: Notified) -> bool:
        kept = await self._ctx.store.notifications_after(event.user_id, event.position - 1, limit=1)
        return any(note.id == event.notification.id and note.read_at is not None for note in kept)

    def _letter(self, event: MessageSent | Notified, to: Subscription) -> Letter:
        if isinstance(event, Notified):
            said = payload.of_notification(event, content=self._content)
        else:
            said = payload.of_message(event, content=self._content)
        return Letter(to=to, payload=said, topic=payload.topic(event))

    async def _gone(self, subscription: Subscription) -> None:
        await self._ctx.store.drop_subscription(subscription.endpoint, user_id=subscription.user_id)


class PushTargets:
    """`Pushing` (messaging.service.ports_push): the server's key, and where it pushes to. What a name leads
    to is looked at once more, and held to, whenever something is pushed."""

    def __init__(self, public_key: str, *, allow_private: bool = False) -> None:
        self.public_key: str | None = public_key
        self._allow_private = allow_private

    async def check(self, subscription: Subscription) -> None:
        """Raise InvalidFormat where nothing can, or may, be pushed to."""
        if not is_on_curve(decoded(subscription.p256dh)):
            raise InvalidFormat("keys.p256dh must be a public key on P-256.", field="keys.p256dh")
        endpoint = subscription.endpoint
        try:
            check_target(endpoint, allow_private=self._allow_private)
        except OutgoingRefused as wrong:
            raise InvalidFormat(f"endpoint {wrong}.", field="endpoint") from None
        host = urlsplit(endpoint).hostname or ""
        if not self._allow_private and not all(is_public(each) for each in await _addresses(host)):
            raise InvalidFormat("endpoint is inside a private network.", field="endpoint")


async def _addresses(host: str) -> Collection[str]:
    """What a name leads to now; nothing where nobody knows."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found: Sequence[tuple[object, ...]] = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return {str(address[4][0]) for address in found if isinstance(address[4], tuple)}


def _unobserved(_outcome: str) -> None:
    """Nobody counts."""
