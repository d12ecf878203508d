"""Channel: one conversation as this process hears it, in order.

Messages reach a process from several sides (its own commits, other processes, the store) late, twice or
not at all. The channel knows the next seq: it tells each message once and in order, keeps what comes early,
and says when something is missing. Changes of messages have an order of their own, by rev; none is told
before the message that it changes.

A session that joins is held until its history has been written: what happens meanwhile waits in its
`Joining`, and what the history contained already is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from messaging.domain.events import Event, MessageChange, MessageSent, MessagesRead, RoomEntered, RoomLeft
from messaging.domain.models import Message, Position
from messaging.gateway.offset import Point, mark_of, point

if TYPE_CHECKING:
    from messaging.gateway.follower import Follower, Standing
    from messaging.gateway.session import Session
    from messaging.gateway.transport import Wire

MAX_EARLY = 1_000
"""How many early messages are kept; more are read from the store when their turn comes."""
MAX_KNOWN_READS = 256
"""How many of the last reads are known one by one, so that none is told twice."""
MAX_HELD = 1_000
"""How many events wait for one joining session; more, and it reads them from the store."""
MAX_TOLD = 200
"""How many messages are at hand for those who note who was told; more are looked up in the store."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Tell(Protocol):
    """Renders an event and writes it to sessions, which have reached the point `here` with it."""

    def __call__(self, sessions: Iterable[Session], event: Event, here: Point | None = None, /) -> None: ...


class Joining:
    """A session on its way into a channel. `position` is the last seq of its history, once that is known."""

    __slots__ = (
        "held",
        "overflowed",
        "position",
        "reads",
        "rev",
        "seen",
        "session",
        "since",
        "since_rev",
        "told",
    )

    def __init__(self, session: Session, since: int, since_rev: int) -> None:
        self.session = session
        self.since = since
        """The last seq that the channel does not tell: what had been told when the joining began, or what
        those skip who said later where the channel starts."""
        self.since_rev = since_rev
        """Likewise the last rev."""
        self.position: int | None = None
        self.rev = 0
        """The last rev whose change the session knows, once its position is known."""
        self.told = Position()
        """Up to where it has been told everything, once its position is known."""
        self.seen: dict[int, int] = {}
        """The revs of those messages in its history that have later changes."""
        self.reads: dict[str, int] = {}
        """What it was told of others' reads that it had missed: their cursors."""
        self.held: list[Event] = []
        self.overflowed = False

    def hold(self, event: Event) -> None:
        """Keep an event until the history has been written."""
        if len(self.held) >= MAX_HELD:
            self.overflowed = True
            self.held.clear()
        if not self.overflowed:
            self.held.append(event)

    def misses(self, event: Event) -> bool:
        """Whether the session has not seen this event in its history."""
        if isinstance(event, MessageSent):
            return event.message.seq > (self.position or 0)
        if isinstance(event, MessageChange):
            return event.rev > max(self.rev, self.seen.get(event.message.id, 0))
        if isinstance(event, MessagesRead):
            return event.cursor > self.reads.get(event.reader.id, 0)
        return True

    def reach(self, event: Event) -> bool:
        """The session is told this; whether it has come further by it."""
        if isinstance(event, MessageSent):
            self.told = self.told.raised_to(Position(event.message.seq))
        elif isinstance(event, MessageChange):
            self.told = self.told.raised_to(Position(rev=event.rev))
        else:
            return isinstance(event, MessagesRead)
        return True

    @property
    def furthest(self) -> int:
        """The rev of the last change that is in the session's history."""
        return max(self.rev, *self.seen.values(), 0)

    def saw(self, messages: Iterable[Message]) -> None:
        """These were in the session's history, as they were then."""
        self.seen |= {message.id: message.rev for message in messages if message.rev > self.since_rev}


class Channel:
    """What this process knows and who in it wants to know. Nothing in here waits."""

    __slots__ = (
        "_early",
        "_early_changes",
        "_early_reads",
        "_mark",
        "_reads",
        "_tell",
        "_wires",
        "checked_version",
        "conversation_id",
        "filling",
        "followers",
        "joining",
        "next_rev",
        "next_seq",
        "noted_seq",
        "opened_at",
        "told",
        "version",
        "watchers",
    )

    def __init__(self, conversation_id: str, tell: Tell, opened_at: datetime = _LONG_AGO) -> None:
        self.conversation_id = conversation_id
        self.next_seq: int | None = None
        self.next_rev: int | None = None
        self.noted_seq = 0
        """Up to which seq it has been noted who was told; see `deliveries`."""
        self.told: dict[int, Message] = {}
        """What has been told since then, by seq, as far as it is at hand."""
        self.version: int | None = None
        """The last version of the conversation that was told here."""
        self.checked_version: int | None = None
        """The version as of which all who listen here may; None while nobody does."""
        self.watchers: dict[Session, None] = {}
        self._wires: Counter[Wire] = Counter()  # of the watchers
        self.joining: dict[Session, Joining] = {}
        self.followers: dict[Follower, Standing] = {}
        """The users who follow, each with their standing here."""
        self.filling = False
        self._mark = mark_of(conversation_id)
        self._early: dict[int, MessageSent] = {}
        self._early_changes: dict[int, MessageChange] = {}
        self._early_reads: list[MessagesRead] = []
        self._reads: dict[tuple[str, int], None] = {}
        self.opened_at = opened_at
        """What others had read by then, nobody here is to be told."""
        self._tell = tell

    @property
    def last_seq(self) -> int:
        """The seq of the last message told here; 0 while none is known."""
        return (self.next_seq or 1) - 1

    def point(self, position: Position | None = None) -> Point:
        """Where those stand who have been told all up to here, or up to `position`."""
        if position is None:
            seq, rev = (self.next_seq or 1) - 1, (self.next_rev or 1) - 1
        else:
            seq, rev = position
        return point(self.conversation_id, self._mark, seq, rev)

    @property
    def last_rev(self) -> int:
        """The rev of the last change told here; 0 while none is known."""
        return (self.next_rev or 1) - 1

    @property
    def deserted(self) -> bool:
        """Whether nobody here wants to hear of this conversation any more."""
        return not (self.watchers or self.joining or self.followers)

    @property
    def listeners(self) -> set[str]:
        """The users who watch or follow here."""
        sessions = {session.user_id for session in (*self.watchers, *self.joining)}
        return sessions | {follower.user_id for follower in self.followers}

    @property
    def gap(self) -> bool:
        """Whether something is missing before what came early."""
        return bool(self._early or self._early_changes or self._early_reads)

    def heard_by(self, session: Session) -> bool:
        """Whether the session watches, or is about to."""
        return session in self.watchers or session in self.joining

    def start_at(self, last_seq: int) -> None:
        """What came up to `last_seq` is not told here; the first who knows decides."""
        if self.next_seq is None:
            self.next_seq = last_seq + 1
            self.noted_seq = last_seq
            for joining in self.joining.values():
                joining.since = last_seq
            self._flush()
            self._flush_changes()

    def start_at_rev(self, last_rev: int) -> None:
        """Changes up to `last_rev` are not told here; the first who knows decides."""
        if self.next_rev is None:
            self.next_rev = last_rev + 1
            for joining in self.joining.values():
                joining.since_rev = last_rev
            self._flush_changes()

    def let_in(self, version: int) -> None:
        """Somebody listens from now on because they might as of this version, which may be an old one."""
        self.checked_version = version if self.checked_version is None else min(self.checked_version, version)

    def skip_to(self, seq: int) -> None:
        """What comes before `seq` was removed for good: it is not waited for."""
        if self.next_seq is not None and seq > self.next_seq:
            self.next_seq = seq
            self._flush()

    def receive(self, event: MessageSent) -> bool:
        """A message is known: tell it now, later, or not again, and then give False."""
        seq = event.message.seq
        if seq == self.next_seq:
            self._advance(event)
            if self._early:
                self._flush()
            if self._early_changes:
                self._flush_changes()
            if self._early_reads:
                self._flush_reads()
            return True
        if self.next_seq is not None and seq < self.next_seq:
            return False
        if len(self._early) < MAX_EARLY:
            self._early[seq] = event
        return True

    def receive_change(self, event: MessageChange) -> None:
        """A change is known: tell it now, later, or not again."""
        if event.rev >= (self.next_rev or 0) and len(self._early_changes) < MAX_EARLY:
            self._early_changes[event.rev] = event
            self._flush_changes()

    def receive_read(self, event: MessagesRead) -> None:
        """Somebody read: tell it once, and not before the messages that they read."""
        read = (event.reader.id, event.cursor)
        if read in self._reads:
            return
        self._reads[read] = None
        if len(self._reads) > MAX_KNOWN_READS:
            del self._reads[next(iter(self._reads))]
        self._tell_read(event)

    def knows_read(self, user_id: str, cursor: int) -> bool:
        """Whether it is known here that a user read up to there, of the last that were."""
        return (user_id, cursor) in self._reads

    def _tell_read(self, event: MessagesRead) -> None:
        if self._reads_ahead(event) and len(self._early_reads) < MAX_EARLY:
            self._early_reads.append(event)
        else:
            self.tell(event)

    def receive_missed(self, events: Sequence[MessageChange], up_to: int) -> None:
        """All that the store has up to rev `up_to` to be told. Ends before a change of a message that has not
        been told yet."""
        for event in events:
            if not self._has_told(event):
                return
            if event.rev >= (self.next_rev or 0):
                self._advance_change(event)
        self.next_rev = max(self.next_rev or 0, up_to + 1)
        self._flush_changes()

    def tell(self, event: Event, *, skip_user: str | None = None) -> None:
        """Tell the watchers of something that has no place in the order of messages. `skip_user` is whose
        doing it is: it is told neither to them nor to those who have nothing to do with them."""
        if skip_user is None:
            self._tell(self.watchers, event, self.point() if isinstance(event, MessagesRead) else None)
        elif self._is_understood(event):
            told = [s for s in self.watchers if s.user_id != skip_user and not s.hides(skip_user)]
            self._tell(told, event)
        for joining in list(self.joining.values()):
            session = joining.session
            if skip_user is None or (session.user_id != skip_user and not session.hides(skip_user)):
                self._to_joining(joining, event)

    def _is_understood(self, event: Event) -> bool:
        """Whether any watcher has words for it. Most do not say who comes and goes; and where thousands
        come, each of them would be asked at each one's coming."""
        if not isinstance(event, RoomEntered | RoomLeft):
            return True
        return any(wire.dialect.render(event) for wire in self._wires)

    def _unwatch(self, session: Session) -> None:
        if session in self.watchers:
            del self.watchers[session]
            self._wires[session.wire] -= 1
            if not self._wires[session.wire]:
                del self._wires[session.wire]

    def begin_join(self, session: Session) -> Joining:
        """Hold everything for this session from now on."""
        self._unwatch(session)
        joining = self.joining[session] = Joining(session, self.last_seq, self.last_rev)
        return joining

    def finish_join(self, joining: Joining, position: Position) -> bool:
        """The session's history has been written up to `position`: let it hear what came since.

        False when more came since than is held: it must read on from there in the store, and try again.
        """
        if self.joining.get(joining.session) is not joining:
            return True  # it left, or began to join again
        last_seq, last_rev = position
        if joining.overflowed or last_seq < joining.since or last_rev < joining.since_rev:
            joining.overflowed = False
            return False
        joining.position, joining.rev = joining.told = position
        held, joining.held = joining.held, []
        for event in held:
            self._to_joining(joining, event)
        self.start_at(last_seq)  # may tell what came early, and so promote it
        self.start_at_rev(last_rev)
        self._promote(joining)
        return True

    def leave(self, session: Session) -> None:
        """The session no longer wants to hear."""
        self._unwatch(session)
        self.joining.pop(session, None)

    def _advance(self, event: MessageSent) -> None:
        seq = event.message.seq
        self.next_seq = seq + 1
        if self._early:
            self._early.pop(seq, None)
        if len(self.told) < MAX_TOLD:
            self.told[seq] = event.message
        here = point(self.conversation_id, self._mark, seq, self.last_rev)
        self._tell(self.watchers, event, here)
        if self.joining:
            for joining in list(self.joining.values()):
                self._to_joining(joining, event)
                self._promote(joining)
        for follower, standing in self.followers.items():
            follower.message_sent(event, standing)

    def _has_told(self, event: MessageChange) -> bool:
        """Whether the message that is changed has been told here."""
        return self.next_seq is not None and event.message.seq < self.next_seq

    def _advance_change(self, event: MessageChange) -> None:
        self.next_rev = event.rev + 1
        self._early_changes.pop(event.rev, None)
        self._tell(self.watchers, event, self.point())
        for joining in list(self.joining.values()):
            self._to_joining(joining, event)
            self._promote(joining)
        for follower, standing in self.followers.items():
            follower.message_changed(event, standing)

    def _reads_ahead(self, event: MessagesRead) -> bool:
        return self.next_seq is not None and event.cursor >= self.next_seq

    def _flush_reads(self) -> None:
        waiting, self._early_reads = self._early_reads, []
        for event in waiting:
            self._tell_read(event)

    def _flush_changes(self) -> None:
        while self.next_rev is not None and (event := self._early_changes.get(self.next_rev)) is not None:
            if not self._has_told(event):
                break
            self._advance_change(event)
        for rev in [rev for rev in self._early_changes if rev < (self.next_rev or 0)]:
            del self._early_changes[rev]

    def _flush(self) -> None:
        if not self._early:
            return
        while self.next_seq is not None and (event := self._early.get(self.next_seq)) is not None:
            self._advance(event)
        for seq in [seq for seq in self._early if seq < (self.next_seq or 0)]:
            del self._early[seq]

    def _to_joining(self, joining: Joining, event: Event) -> None:
        if joining.position is None:
            joining.hold(event)
        elif joining.misses(event):
            here = self.point(joining.told) if joining.reach(event) else None
            self._tell((joining.session,), event, here)

    def _promote(self, joining: Joining) -> None:
        """Once the channel has come as far as the session's history, nothing sets the session apart."""
        if self.joining.get(joining.session) is not joining:
            return
        if (
            joining.position is not None
            and self.last_seq >= joining.position
            and self.last_rev >= joining.furthest
        ):
            del self.joining[joining.session]
            self.watchers[joining.session] = None
            self._wires[joining.session.wire] += 1
