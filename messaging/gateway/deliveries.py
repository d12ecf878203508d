"""Deliveries: which messages have reached which users, as far as their connections here say so.

A message counts as delivered when it was written to one of a user's connections, and that connection answered
afterwards: a command, or a pong. A fan-out does nothing for it: twice a second, what channels have told since
is noted for those who watch them, who are asked (with a ping) where conversations are small enough for
receipts; all that was answered goes to the store together. In larger
conversations nobody is asked, and what is known is kept more rarely.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from messaging.domain.errors import ClientError
from messaging.domain.events import Event
from messaging.domain.models import Conversation, Kind, Message
from messaging.service.context import Context
from messaging.service.delivering import delivered, pushes_deliveries
from messaging.service.recent import Recent

if TYPE_CHECKING:
    from messaging.gateway.channel import Channel
    from messaging.gateway.hub import Hub
    from messaging.gateway.session import Session

TICK_SECONDS = 0.5
"""How often what was told is noted, and what was answered kept."""
_RARELY = 60
"""After how many ticks what is known of large conversations is kept."""
_TOGETHER = 200
"""Of how many conversations it is kept in one call."""
_REMEMBERED, _REMEMBERED_SECONDS = 100_000, 3_600.0

logger = logging.getLogger(__name__)


class Deliveries:
    """What the clients of this process have received."""

    def __init__(self, ctx: Context, hub: Hub, publish: Callable[[Iterable[Event]], None]) -> None:
        self._ctx = ctx
        self._hub = hub
        self._publish = publish
        self._ticks = 0
        self._small: dict[str, dict[str, int]] = {}
        """What was answered, by conversation and user, and is not kept yet."""
        self._large: dict[str, dict[str, int]] = {}
        self._told: dict[str, dict[int, Message]] = {}
        """What has been noted at this tick, by conversation and seq: of that most is answered until the next
        one."""
        self._told_before: dict[str, dict[int, Message]] = {}
        """The same of the tick before."""
        self._kept: Recent[tuple[str, str], int] = Recent(_REMEMBERED, _REMEMBERED_SECONDS)

    async def tick(self) -> None:
        """Note what was told since the last time, ask for it, and keep what was answered."""
        self._ticks += 1
        asked: dict[Session, None] = {}
        self._told_before, self._told = self._told, {}
        for channel in list(self._hub.channels.values()):
            if channel.last_seq > channel.noted_seq:
                asked |= self._note(channel)
        for session in asked:
            session.ask()
        small, self._small = self._small, {}
        await self._keep(small)
        if self._ticks % _RARELY == 0:
            large, self._large = self._large, {}
            await self._keep(large)

    def joined(self, session: Session, conversation: Conversation, seq: int) -> None:
        """A session was written the history of a conversation up to `seq`."""
        if seq > 0 and conversation.kind is not Kind.ROOM:
            session.received[conversation.id] = seq
            if pushes_deliveries(self._ctx, conversation):
                session.ask()

    def answered(self, session: Session) -> None:
        """The session's client answered: what was noted before has reached it, unless it still waits here."""
        if session.behind:
            return
        for conversation_id, seq in session.received.items():
            if seq > (self._kept.get((conversation_id, session.user_id)) or 0):
                self._reached(conversation_id, session.user_id, seq)
        session.received.clear()

    def _note(self, channel: Channel) -> dict[Session, None]:
        """What the watchers of a conversation have been written; those who are to be asked for it."""
        channel.noted_seq = channel.last_seq
        messages, channel.told = channel.told, {}
        conversation = self._conversation(channel)
        if conversation is None or conversation.kind is Kind.ROOM:
            return {}
        told = [session for session in channel.watchers if session.signed_in]
        for session in told:
            session.received[channel.conversation_id] = channel.last_seq
        if not pushes_deliveries(self._ctx, conversation):
            return {}
        self._told[channel.conversation_id] = messages
        return dict.fromkeys(told)

    def _conversation(self, channel: Channel) -> Conversation | None:
        """The conversation as a follower knows it: without one, it has no members here."""
        standing = next(iter(channel.followers.values()), None)
        return standing.conversation if standing else None

    def _reached(self, conversation_id: str, user_id: str, seq: int) -> None:
        channel = self._hub.channels.get(conversation_id)
        conversation = self._conversation(channel) if channel else None
        small = conversation is None or pushes_deliveries(self._ctx, conversation)
        cursors = (self._small if small else self._large).setdefault(conversation_id, {})
        cursors[user_id] = max(seq, cursors.get(user_id, 0))

    async def _keep(self, reached: Mapping[str, Mapping[str, int]]) -> None:
        """Keep what was answered, and tell the authors; what cannot be kept now, the next time."""
        conversation_ids = list(reached)
        for start in range(0, len(conversation_ids), _TOGETHER):
            chunk = {each: reached[each] for each in conversation_ids[start : start + _TOGETHER]}
            try:
                self._publish(await delivered(self._ctx, chunk, self._at_hand))
            except ClientError as error:
                logger.warning("deliveries cannot be kept yet: %s", error.message)
                self._put_back(chunk)
            except Exception:  # a bug: those of other conversations are kept all the same
                if len(chunk) == 1:
                    logger.exception("deliveries in a conversation are lost")
                else:
                    for each, cursors in chunk.items():
                        await self._keep({each: cursors})
            else:
                for place, seq in _places(chunk):
                    self._kept.put(place, seq)

    def _at_hand(self, conversation_id: str, after: int, up_to: int) -> Sequence[Message] | None:
        """The messages past `after` and up to `up_to`, where all of them were told here a moment ago."""
        told = self._told_before.get(conversation_id, {}) | self._told.get(conversation_id, {})
        try:
            return list(map(told.__getitem__, range(after + 1, up_to + 1)))
        except KeyError:
            return None

    def _put_back(self, reached: Mapping[str, Mapping[str, int]]) -> None:
        for (conversation_id, user_id), seq in _places(reached):
            self._reached(conversation_id, user_id, seq)


def _places(reached: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[tuple[str, str], int]]:
    """Conversation and user, and up to where it has reached them."""
    for conversation_id, cursors in reached.items():
        for user_id, seq in cursors.items():
            yield (conversation_id, user_id), seq
