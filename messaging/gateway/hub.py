"""Hub: who in this process watches or follows which conversation, and telling them.

Events come from this process's own commands and, over the bus, from the others'. The bus is only a hint:
what it lost is found by comparing positions with the store every few seconds, and read from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import assert_never

from messaging.domain.errors import ClientError
from messaging.domain.events import (
    BlocksChanged,
    ConversationChanged,
    ConversationDeleted,
    ConversationEvent,
    DeviceChanged,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageChange,
    MessageDeleted,
    MessageEdited,
    MessagesDelivered,
    MessageSent,
    MessagesRead,
    Notified,
    PlaceChanged,
    PresenceChanged,
    ReactionChanged,
    RoomEntered,
    RoomLeft,
    TypingChanged,
    UnreadChanged,
    UserEvent,
    conversation_topic,
    user_topic,
)
from messaging.domain.models import Membership, Position
from messaging.gateway.channel import Channel, Joining
from messaging.gateway.comparison import GAP_SECONDS, Comparison
from messaging.gateway.follower import Follower, Standing
from messaging.gateway.hearing import Hearing
from messaging.gateway.metrics import Metrics
from messaging.gateway.offset import Point, milliseconds
from messaging.gateway.personal import Personal
from messaging.gateway.rendering import Rendering
from messaging.gateway.session import Session
from messaging.gateway.tasks import Tasks
from messaging.service.context import Context
from messaging.service.ports import Bus

_SIGNALS = (TypingChanged, PresenceChanged)
"""What is not told to clients that are behind."""
_RETRY_SECONDS = 1.0
_RECKONED_SECONDS = 0.1
"""So long, what was reckoned from the time is taken as it is: a little less than could be said is said."""
_LATE = timedelta(seconds=10)
"""How much later than it was made a read may be told, clocks aside; those from before that have been."""

logger = logging.getLogger(__name__)


class Hub:
    """Delivers events to the sessions of this process, each message once and in order."""

    def __init__(self, ctx: Context, bus: Bus, metrics: Metrics, tasks: Tasks) -> None:
        self._ctx = ctx
        self._bus = bus
        self._metrics = metrics
        self._tasks = tasks
        self._reads_until = 0
        self._reckoned_at = float("-inf")
        self.channels: dict[str, Channel] = {}
        self.followers: dict[str, Follower] = {}
        self._comparison = Comparison(ctx, self.channels, self.followers, self.announce, metrics)
        self._personal = Personal(ctx, self.followers, self.tell, tasks, self._comparison.add)
        self.hearing = Hearing(ctx, self.tell, self.leave, tasks)

    # --- watching ---

    async def begin_join(self, session: Session, conversation_id: str) -> Joining:
        """Hold what happens in a conversation for a session that is about to read its history."""
        channel = self._open(conversation_id)
        joining = channel.begin_join(session)
        await self._bus.subscribe(conversation_topic(conversation_id))
        return joining

    async def find_rev(self, joining: Joining, conversation_id: str) -> int:
        """The last rev whose change need not be told to who is joining: what is read of the conversation from
        now on shows it already."""
        channel = self.channels.get(conversation_id)
        if channel is not None and channel.next_rev is None:
            tails = await self._ctx.store.tails([conversation_id])
            channel.start_at_rev(tails[conversation_id].last_rev)
        return joining.since_rev

    def shown_rev(self, joining: Joining, conversation_id: str, last_rev: int) -> int:
        """The same for one whose history shows all changes up to `last_rev`. It may be less than where the
        channel starts, when somebody who joined at the same time saw more."""
        channel = self.channels.get(conversation_id)
        if channel is not None:
            channel.start_at_rev(last_rev)
        return min(joining.since_rev, last_rev)

    def finish_join(self, joining: Joining, conversation_id: str, position: Position) -> bool:
        """The history has been written up to `position`. False: read on from there, and finish again."""
        channel = self.channels.get(conversation_id)
        if channel is None:
            return True
        conversation = joining.session.watched.get(conversation_id)
        if conversation is not None:
            channel.let_in(conversation.version)
        return channel.finish_join(joining, position)

    def is_joining(self, joining: Joining, conversation_id: str) -> bool:
        """Whether the session is still on its way in; not after it left, was removed or the end of it all."""
        channel = self.channels.get(conversation_id)
        return channel is not None and channel.joining.get(joining.session) is joining

    def point(self, conversation_id: str, position: Position) -> Point | None:
        """Where a client stands that was told all up to `position`; None when nobody hears it here."""
        channel = self.channels.get(conversation_id)
        return None if channel is None else channel.point(position)

    def leave(self, session: Session, conversation_id: str) -> None:
        """The session no longer watches this conversation."""
        channel = self.channels.get(conversation_id)
        if channel is not None:
            channel.leave(session)
            self._close_if_deserted(channel)

    # --- following ---

    async def follow(self, session: Session) -> Follower:
        """Follow all conversations of the session's user; the first session here loads them."""
        follower = self.followers.get(session.user_id)
        if follower is None:
            follower = Follower(
                session.user_id, self._ctx.clock, self._tell_follower, self._personal.returned
            )
            self.followers[session.user_id] = follower
        follower.sessions[session] = None
        ready = follower.ready
        if ready is None:
            ready = follower.ready = asyncio.ensure_future(self._load(follower))
        try:
            await asyncio.shield(ready)
        finally:
            if ready.done() and (ready.cancelled() or ready.exception()):
                follower.ready = None  # the next one tries again
        return follower

    def unfollow(self, follower: Follower) -> None:
        """The user has no connection here any more, for good."""
        follower.close()
        if self.followers.get(follower.user_id) is follower:
            del self.followers[follower.user_id]
        self._bus.unsubscribe(user_topic(follower.user_id))
        for conversation_id in list(follower.standings):
            self._drop_standing(follower, conversation_id)

    async def _load(self, follower: Follower) -> None:
        user_id, position = follower.user_id, None
        heard = self._bus.subscribe(user_topic(user_id))
        if not (isinstance(heard, asyncio.Future) and heard.done()):
            # First of all: what comes from now on is news to clients, who may have listed what was before.
            position = await self._personal.position(user_id)
            await heard
        arrival = (await self._ctx.store.arrivals([user_id]))[user_id]
        if self.followers.get(user_id) is not follower:
            return  # the user is gone again
        follower.hidden, follower.arrival = arrival.blocked, arrival
        if arrival.memberships:
            await asyncio.gather(*(self._stand(follower, each) for each in arrival.memberships))
        for standing in list(follower.standings.values()):
            if standing.channel.last_seq > standing.known_seq:  # own messages among these were not counted
                await self._look_again(follower, standing)
        follower.loaded()
        self._personal.begin(follower, arrival.position if position is None else position)

    async def _look_again(self, follower: Follower, standing: Standing) -> None:
        membership = await self._ctx.store.membership(standing.conversation.id, follower.user_id)
        if membership is not None:
            standing.raise_to(membership)

    def _stand(self, follower: Follower, membership: Membership) -> asyncio.Future[None]:
        conversation = membership.conversation
        channel = self._open(conversation.id)
        channel.start_at(membership.last_seq)
        channel.start_at_rev(membership.last_rev)
        if channel.version is None:  # else what is told here goes by what was told here
            channel.version = conversation.version
        channel.let_in(conversation.version)
        standing = channel.followers[follower] = Standing(channel, membership)
        follower.stand(conversation.id, standing)
        return asyncio.ensure_future(_wait(self._bus.subscribe(conversation_topic(conversation.id))))

    def _drop_standing(self, follower: Follower, conversation_id: str) -> None:
        standing = follower.standings.pop(conversation_id, None)
        if standing is not None:
            if standing.unread and follower.sessions:
                follower.recount(conversation_id)
            standing.channel.followers.pop(follower, None)
            self._close_if_deserted(standing.channel)

    # --- telling ---

    def announce(self, event: Event) -> None:
        """Something happened, here or in another process: tell those it concerns."""
        self._ctx.seats.note(event)
        if isinstance(event, PresenceChanged):
            self._presence_changed(event)
        elif isinstance(event, ConversationEvent):
            self._happened_in_conversation(event)
        else:
            self._happened_to_user(event)

    def _happened_in_conversation(self, event: ConversationEvent) -> None:
        match event:
            case MessageSent():
                self.message_sent(event)
            case MessageEdited() | MessageDeleted() | ReactionChanged():
                self._message_changed(event)
            case TypingChanged() | RoomEntered() | RoomLeft():
                self._to_channel(event.conversation.id, event, skip_user=event.user.id)
            case MessagesRead():
                self._messages_read(event)
            case ConversationChanged():
                self._conversation_changed(event)
            case ConversationDeleted():
                self._conversation_deleted(event)
            case _:
                assert_never(event)

    def _happened_to_user(self, event: UserEvent) -> None:
        match event:
            case MemberAdded():
                self._member_added(event)
            case MemberRemoved():
                self._member_removed(event)
            case Notified() | PlaceChanged():
                self._personal.happened(event)
            case MessagesDelivered():
                self._messages_delivered(event)
            case DeviceChanged():
                self._to_other_devices(event)
            case UnreadChanged():
                pass  # every process counts for its own connections
            case _:
                assert_never(event)

    def tell(self, sessions: Iterable[Session], event: Event, here: Point | None = None) -> None:
        """Write an event to sessions: rendered and encoded once for all those of one wire.

        `here` is the point that they have reached with it, where it has a place in a conversation's order.
        """
        rendering = Rendering(event, here, self.reads_until() if here is not None else 0)
        counts: dict[str, int] = {}
        signal = isinstance(event, _SIGNALS)
        for session in tuple(sessions):  # writing may end one, which then watches no longer
            if signal and session.crowded:
                self._metrics.left_out(session.wire.dialect.name)
                continue
            texts = rendering.texts(session)
            for text in texts:
                session.push(text)
            name = session.wire.dialect.name
            counts[name] = counts.get(name, 0) + len(texts)
        for dialect, count in counts.items():
            self._metrics.delivered(dialect, count, message=type(event) is MessageSent)

    def reads_until(self) -> int:
        """Up to when all reads have been told here, in milliseconds since 1970, as far as clocks agree."""
        now = time.monotonic()
        if now - self._reckoned_at >= _RECKONED_SECONDS:
            self._reckoned_at = now
            self._reads_until = max(self._reads_until, milliseconds(self._ctx.clock() - _LATE))
        return self._reads_until

    def _tell_follower(self, follower: Follower, event: Event) -> None:
        self.tell(list(follower.sessions), event)

    def message_sent(self, event: MessageSent) -> None:
        """As `announce`, for what happens most."""
        channel = self.channels.get(event.conversation.id)
        if channel is None:
            return
        if not channel.receive(event):
            self._metrics.suppressed("bus")
        self._fill_gap(channel)

    def _message_changed(self, event: MessageChange) -> None:
        channel = self.channels.get(event.conversation.id)
        if channel is not None:
            channel.receive_change(event)
            self._fill_gap(channel)

    def _fill_gap(self, channel: Channel) -> None:
        if channel.gap and channel.next_seq is not None and not channel.filling:
            channel.filling = True
            self._tasks.start(self._comparison.fill(channel, wait=GAP_SECONDS))

    def _to_channel(self, conversation_id: str, event: Event, *, skip_user: str | None = None) -> None:
        channel = self.channels.get(conversation_id)
        if channel is not None:
            channel.tell(event, skip_user=skip_user)

    def _to_other_devices(self, event: DeviceChanged) -> None:
        follower = self.followers.get(event.user_id)
        if follower is not None:
            self.tell([s for s in follower.sessions if s.device != event.device], event)

    def _messages_read(self, event: MessagesRead) -> None:
        follower = self.followers.get(event.reader.id)
        if follower is not None:
            follower.messages_read(event)
        channel = self.channels.get(event.conversation.id)
        if channel is None:
            return
        if event.pushed:
            channel.receive_read(event)
            self._fill_gap(channel)
        else:
            self.tell([s for s in channel.watchers if s.user_id == event.reader.id], event)

    def _messages_delivered(self, event: MessagesDelivered) -> None:
        channel = self.channels.get(event.conversation.id)
        if channel is not None:
            self.tell([s for s in channel.watchers if s.user_id == event.user_id], event)

    def _conversation_changed(self, event: ConversationChanged) -> None:
        conversation = event.view.conversation
        channel = self.channels.get(conversation.id)
        if channel is None or (channel.version or 0) >= conversation.version:
            return
        channel.version = conversation.version
        self.tell([s for follower in channel.followers for s in follower.sessions], event)

    def _conversation_deleted(self, event: ConversationDeleted) -> None:
        channel = self.channels.get(event.conversation.id)
        if channel is None:
            return
        listeners = dict.fromkeys(s for follower in channel.followers for s in follower.sessions)
        self.tell(listeners | channel.watchers | dict.fromkeys(channel.joining), event)
        for session in [*channel.watchers, *channel.joining]:
            session.unwatch(event.conversation.id)
        for follower in list(channel.followers):
            self._drop_standing(follower, event.conversation.id)

    def _member_added(self, event: MemberAdded) -> None:
        """Tell the user, and let those hear at once who hear unasked: a first message follows."""
        follower = self.followers.get(event.user_id)
        if follower is None:
            return
        conversation = event.view.conversation
        channel = self._open(conversation.id)
        channel.start_at(event.since)
        channel.start_at_rev(event.since_rev)
        for session in follower.sessions:
            self.hearing.let_in(session, conversation, channel, Position(event.since, event.since_rev))
        self.tell(list(follower.sessions), event)
        self._tasks.start(self._begin_following(follower, channel))

    async def _begin_following(self, follower: Follower, channel: Channel) -> None:
        """Count what is unread there, too; as soon as the store says how it is."""
        try:
            while self._awaits(follower, channel):
                try:
                    await self._follow_one(follower, channel)
                    return
                except ClientError as error:
                    logger.warning("a new membership cannot be followed yet: %s", error.message)
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._close_if_deserted(channel)

    def _awaits(self, follower: Follower, channel: Channel) -> bool:
        here = self.followers.get(follower.user_id) is follower
        return here and channel.conversation_id not in follower.standings

    async def _follow_one(self, follower: Follower, channel: Channel) -> None:
        conversation_id = channel.conversation_id
        if follower.ready is not None:
            await asyncio.shield(follower.ready)
        membership = await self._ctx.store.membership(conversation_id, follower.user_id)
        if not self._awaits(follower, channel):
            return
        if membership is None:
            for session in follower.sessions:
                session.unwatch(conversation_id)
            return
        standing = self._stand(follower, membership)
        if follower.standings[conversation_id].unread:
            follower.recount(conversation_id)  # a message was there before the standing that counts it
        await standing
        if channel.last_seq < membership.last_seq or channel.last_rev < membership.last_rev:
            # What came before the standing.
            await self._comparison.catch_up(channel)

    def _member_removed(self, event: MemberRemoved) -> None:
        follower = self.followers.get(event.user_id)
        conversation_id = event.conversation.id
        if follower is None:
            return
        for session in list(follower.sessions):
            session.unwatch(conversation_id)
        self._drop_standing(follower, conversation_id)
        self.tell(list(follower.sessions), event)

    def _presence_changed(self, event: PresenceChanged) -> None:
        channels = (self.channels.get(conversation_id) for conversation_id in event.conversations)
        followers = dict.fromkeys(f for channel in channels if channel for f in channel.followers)
        user_id = event.user.id
        told = [f for f in followers if f.user_id != user_id and user_id not in f.hidden]
        self.tell([s for f in told for s in f.sessions], event)

    def blocks_changed(self, event: BlocksChanged) -> None:
        """Two users have nothing to do with one another any more, or have again."""
        self._ctx.blocks.note(event)
        self._personal.happened(event)

    async def compare(self) -> None:
        """Compare every position with the store once, and catch up where this process is behind."""
        await self._comparison.run()
        await self._personal.compare()

    # --- channels ---

    def _open(self, conversation_id: str) -> Channel:
        channel = self.channels.get(conversation_id)
        if channel is None:
            channel = self.channels[conversation_id] = Channel(conversation_id, self.tell, self._ctx.clock())
        return channel

    def _close_if_deserted(self, channel: Channel) -> None:
        if channel.deserted and self.channels.get(channel.conversation_id) is channel:
            del self.channels[channel.conversation_id]
            self._bus.unsubscribe(conversation_topic(channel.conversation_id))


async def _wait(subscribed: Awaitable[None]) -> None:
    await subscribed
