"""Comparison: what the bus lost is found by comparing positions with the store, and read from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from messaging.domain.events import (
    ConversationChanged,
    ConversationDeleted,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageSent,
)
from messaging.domain.models import Conversation, Kind, Membership, Tail
from messaging.gateway.channel import Channel
from messaging.gateway.follower import Follower
from messaging.gateway.metrics import Metrics
from messaging.service.changes import change_events
from messaging.service.context import Context
from messaging.service.missed_reads import read_event
from messaging.service.views import conversation_view

COMPARE_SECONDS = 3.0
"""How often positions are compared with the store."""
GAP_SECONDS = 0.05
"""How long a missing message may still come by itself before it is read from the store."""
_READS_SINCE = timedelta(seconds=15)
"""How far back reads are looked for that the bus lost: a few comparisons, and how much clocks may differ."""
_READS_AT_ONCE = 1_000
_COMPARED_AT_ONCE = 500
_FOLLOWERS_AT_ONCE = 50
"""How many users' memberships and cursors are compared each time: a thousand in a minute."""
_FOLLOWERS_TOGETHER = 10
"""Of how many of them the store is asked together: each may be in hundreds of conversations."""
_READ_AT_ONCE = 200
"""Fewer than a client may have waiting for it, so that filling a gap sends nobody away."""


class Comparison:
    """Brings the channels of this process up to where the store is."""

    def __init__(
        self,
        ctx: Context,
        channels: Mapping[str, Channel],
        followers: Mapping[str, Follower],
        announce: Callable[[Event], None],
        metrics: Metrics,
    ) -> None:
        self._ctx = ctx
        self._channels = channels
        self._followers = followers
        self._waiting: list[str] = []
        """Users whose turn to be compared has not come yet."""
        self._announce = announce
        self._metrics = metrics

    async def run(self) -> None:
        """Compare every position with the store once, and catch up where this process is behind."""
        conversation_ids = list(self._channels)
        for start in range(0, len(conversation_ids), _COMPARED_AT_ONCE):
            chunk = conversation_ids[start : start + _COMPARED_AT_ONCE]
            tails = await self._ctx.store.tails(chunk)
            for conversation_id in chunk:
                channel = self._channels.get(conversation_id)
                if channel is not None:
                    await self._compare_channel(channel, tails[conversation_id])
            await self._compare_reads(chunk)
        await self._compare_some_followers()

    async def _compare_reads(self, conversation_ids: Sequence[str]) -> None:
        """What others read in the last moments, and nobody said so."""
        watched = [
            each for each in conversation_ids if each in self._channels and self._channels[each].watchers
        ]
        if not watched:
            return
        since = self._ctx.clock() - _READS_SINCE
        for mark in await self._ctx.store.marks_among(watched, since, limit=_READS_AT_ONCE):
            channel = self._channels.get(mark.conversation_id)
            if (
                channel is None
                or mark.at <= channel.opened_at
                or channel.knows_read(mark.reader_id, mark.seq)
            ):
                continue
            conversation = await self._ctx.seats.conversation(mark.conversation_id)
            event = await read_event(self._ctx, conversation, mark) if conversation is not None else None
            if event is not None:
                channel.receive_read(event)

    async def _compare_some_followers(self) -> None:
        if not self._waiting:
            self._waiting = list(self._followers)
        turn, self._waiting = self._waiting[:_FOLLOWERS_AT_ONCE], self._waiting[_FOLLOWERS_AT_ONCE:]
        for start in range(0, len(turn), _FOLLOWERS_TOGETHER):
            together = [each for each in turn[start : start + _FOLLOWERS_TOGETHER] if each in self._followers]
            found = await self._ctx.store.memberships_of(together) if together else {}
            for user_id, memberships in found.items():
                follower = self._followers.get(user_id)
                if follower is not None and follower.settled:
                    await self._compare_follower(follower, memberships)

    async def _compare_follower(self, follower: Follower, memberships: Sequence[Membership]) -> None:
        """What concerns one user alone: conversations that they were added to, and how far they have read."""
        for membership in memberships:
            conversation_id = membership.conversation.id
            standing = follower.standings.get(conversation_id)
            if standing is None:
                await self.add(follower, conversation_id)
            elif standing.raise_to(membership):
                follower.recount(conversation_id)

    async def add(self, follower: Follower, conversation_id: str) -> None:
        """The user was added, and nobody said so; unless they have been removed again meanwhile."""
        membership = await self._ctx.store.membership(conversation_id, follower.user_id)
        if membership is None or conversation_id in follower.standings:
            return
        if membership.conversation.kind is Kind.DIRECT and membership.last_seq == 0:
            return  # it has not begun
        view = await conversation_view(self._ctx, membership.conversation)
        self._announce(
            MemberAdded(
                user_id=follower.user_id,
                view=view,
                since=membership.member.cursor,
                since_rev=membership.last_rev,
                at=self._ctx.clock(),
            )
        )

    async def _compare_channel(self, channel: Channel, tail: Tail) -> None:
        behind = channel.next_seq is not None and channel.next_seq <= tail.last_seq
        if behind or (channel.next_rev is not None and channel.next_rev <= tail.last_rev):
            await self.catch_up(channel, tail.last_rev)
        if channel.version is None and tail.version > 0:
            channel.version = tail.version
        if channel.checked_version is not None and channel.checked_version != tail.version:
            await self._check(channel)

    async def catch_up(self, channel: Channel, last_rev: int = 0) -> None:
        """Tell in a channel what the store has past its end, unless that is being done already."""
        if not channel.filling:
            channel.filling = True
            await self.fill(channel, wait=0, last_rev=last_rev)

    async def fill(self, channel: Channel, *, wait: float, last_rev: int = 0) -> None:
        """Read from the store what is missing before what came early; and all past the end, where nothing
        did. Changes are known to be counted up to `last_rev`, also where they are kept no longer."""
        try:
            await asyncio.sleep(wait)
            await self._fill_messages(channel)
            await self._fill_changes(channel, last_rev)
        finally:
            channel.filling = False

    async def _fill_messages(self, channel: Channel) -> None:
        while channel.next_seq is not None and not channel.deserted:
            after = channel.next_seq - 1
            messages = await self._ctx.store.history(
                channel.conversation_id, after=after, limit=_READ_AT_ONCE
            )
            conversation = await self._ctx.seats.conversation(channel.conversation_id)
            if conversation is None or not messages:
                return
            people = await self._ctx.people.find({m.sender_id for m in messages})
            self._metrics.gap_filled()
            channel.skip_to(messages[0].seq)  # what is stored has no gaps, but may begin later by now
            for m in messages:
                channel.receive(MessageSent(conversation=conversation, message=m, sender=people[m.sender_id]))
            if len(messages) < _READ_AT_ONCE and not channel.gap:
                return

    async def _fill_changes(self, channel: Channel, last_rev: int) -> None:
        while channel.next_rev is not None and not channel.deserted:
            after = channel.next_rev - 1
            changes = await self._ctx.store.changes(channel.conversation_id, after=after, limit=_READ_AT_ONCE)
            conversation = await self._ctx.seats.conversation(channel.conversation_id)
            if conversation is None:
                return
            if not changes:
                channel.receive_missed((), last_rev)
                return
            events = await change_events(self._ctx, conversation, changes)
            self._metrics.gap_filled()
            channel.receive_missed(events, changes[-1].rev)
            if len(changes) < _READ_AT_ONCE or channel.last_rev == after:
                return

    async def _check(self, channel: Channel) -> None:
        """The conversation changed, which somebody may not have said: end what is not allowed, tell the rest.

        Not `version`, which an announcement raises, says whether this is needed: the announcement of who was
        removed goes another way, and may be lost alone.
        """
        conversation = await self._ctx.store.conversation(channel.conversation_id)
        if conversation is None:
            self._gone(channel)
            return
        channel.checked_version = conversation.version  # at once: who is let in meanwhile may lower it again
        try:
            gone = await self._outsiders(channel, conversation)
        except BaseException:
            channel.checked_version = 0
            raise
        for user_id in gone:
            self._evict(channel, user_id, conversation)
        if conversation.version > (channel.version or 0):
            view = await conversation_view(self._ctx, conversation)
            self._announce(ConversationChanged(view=view, at=self._ctx.clock()))

    async def _outsiders(self, channel: Channel, conversation: Conversation) -> list[str]:
        """Those who listen to a group and are not in it."""
        if conversation.kind is not Kind.GROUP:
            return []
        store = self._ctx.store
        members = await store.members(conversation.id, limit=conversation.member_count)
        unseen = channel.listeners - {member.user_id for member in members}
        # Each for itself: somebody may have been added since the conversation was looked at.
        return [user_id for user_id in unseen if await store.member(conversation.id, user_id) is None]

    def _evict(self, channel: Channel, user_id: str, conversation: Conversation) -> None:
        self._announce(MemberRemoved(user_id=user_id, conversation=conversation, at=self._ctx.clock()))
        for session in [s for s in (*channel.watchers, *channel.joining) if s.user_id == user_id]:
            session.unwatch(channel.conversation_id)

    def _gone(self, channel: Channel) -> None:
        """The conversation was deleted, and nobody said so."""
        conversation_id = channel.conversation_id
        known = [session.watched.get(conversation_id) for session in channel.watchers]
        known += [follower.standings[conversation_id].conversation for follower in channel.followers]
        last = next((conversation for conversation in known if conversation is not None), None)
        if last is not None:
            self._announce(ConversationDeleted(conversation=last, at=self._ctx.clock()))
