"""What clients might do, as strategies: frames of every command of every dialect, fit and unfit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from messaging.dialects import DIALECTS
from messaging.dialects.attachments import Attachments, Url
from messaging.dialects.base import Frame, Payload
from messaging.dialects.fields import (
    Choice,
    ClientMessageId,
    Content,
    ConversationId,
    EmojiText,
    Field,
    Flag,
    Limit,
    MessageId,
    Seconds,
    Text,
    UserId,
    Whole,
)
from messaging.dialects.frames import Frames
from messaging.dialects.frames import Row as FrameRow
from messaging.dialects.namespace import Namespace
from messaging.dialects.namespace import Row as NamespaceRow
from messaging.domain.commands import (
    BlockUser,
    Command,
    DeleteConversation,
    MarkNotificationsRead,
    MarkUnread,
    Notify,
    PutConversation,
    PutMember,
    RemoveMember,
    SendMessage,
    SetArchived,
    SetMuted,
    UnblockUser,
)
from messaging.domain.models import Kind, Role
from tests.dialects import examples, wrong

USERS = ("1", "2", "alice", "zoé")
ABSENT_USER = "nobody"
GROUPS = ("12", "team")
ROOMS = ("general", "7")
PLACES = (*GROUPS, *ROOMS, "dm:1:2", "dm:1:alice", "dm:alice:zo%C3%A9", "nowhere", "dm:1:nobody")


@dataclass(frozen=True)
class Known:
    """The id of a message that somebody heard of, counted back from the last."""

    back: int


@dataclass(frozen=True)
class TokenOf:
    """A token of a user, good for so many minutes."""

    user_id: str
    minutes: float


@dataclass(frozen=True)
class Connect:
    """Somebody comes."""

    user_id: str
    dialect: str
    device: str
    after: Known | None
    seconds: float | None


@dataclass(frozen=True)
class Leave:
    """A client goes."""

    client: int


@dataclass(frozen=True)
class WrongValue:
    """A field has a value that it does not take."""

    key: str
    value: object


@dataclass(frozen=True)
class WrongBody:
    """The whole body is anything at all."""

    body: object


@dataclass(frozen=True)
class Say:
    """A client sends a frame; of which command is said by a number, for its dialect is not known yet."""

    client: int
    command: int
    data: Payload
    keys: tuple[str, ...]
    """Fields to be left out."""
    mistake: WrongValue | WrongBody | None
    batched: int
    settled: bool
    """Whether the client waits for all that it asked for."""


@dataclass(frozen=True)
class Babble:
    """A client sends what may be no frame at all."""

    client: int
    text: str | bytes


@dataclass(frozen=True)
class Host:
    """The host application does something."""

    command: Command


@dataclass(frozen=True)
class Own:
    """A user does by REST what no dialect has words for."""

    user_id: str
    command: Command


Step = Connect | Leave | Say | Babble | Host | Own


users = st.sampled_from((*USERS, ABSENT_USER))
places = st.sampled_from(PLACES)
known = st.builds(Known, st.integers(0, 5)) | st.builds(Known, st.integers(0, 5)) | st.integers(1, 10**6)
words = st.sampled_from(["hello", "été", "", " ", "<b>", "x" * 5000, "\x00", "🙂"]) | st.text(max_size=5)

_BY_KIND: dict[type[Field[Any]], st.SearchStrategy[object]] = {
    ConversationId: places,
    UserId: users,
    MessageId: known,
    EmojiText: st.sampled_from(["👍", "🎉", "❤️", "a", "👍👍"]),
    ClientMessageId: st.sampled_from(["a", "b", "c", 7]),
    Content: words,
    Limit: st.integers(-1, 300),
    Whole: st.integers(0, 10),
    Flag: st.booleans(),
    Seconds: st.integers(0, 100) | st.floats(0, 100),
    Url: st.sampled_from(["/a.png", "https://example.com/x/b.pdf"]),
    Attachments: st.lists(st.sampled_from(["/a", {"url": "https://example.com/b"}]), max_size=3),
}


def fit(field: Field[Any], key: str) -> st.SearchStrategy[object]:
    """What a field of this kind takes, most of the time."""
    if isinstance(field, Choice):
        return st.sampled_from(sorted(field.words))
    if key == "token":
        return st.builds(TokenOf, users, st.sampled_from([5.0, -5.0])) | st.just("no.token.this")
    if isinstance(field, Text):
        return st.sampled_from(["image/png", "x", "b2xk"])
    for kind in type(field).__mro__:
        if kind in _BY_KIND:
            return _BY_KIND[kind]
    raise AssertionError(f"what does a {type(field).__name__} take?")


def _fields() -> dict[str, st.SearchStrategy[object]]:
    found: dict[str, st.SearchStrategy[object]] = {}
    for dialect in DIALECTS.values():
        assert isinstance(dialect, Namespace | Frames)
        for row in dialect.rows.values():
            for field in row.form.parts.values():
                key = str(field.data_key)
                found[key] = found[key] | fit(field, key) if key in found else fit(field, key)
    return found


FIELDS = _fields()
anything: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
mistakes: st.SearchStrategy[WrongValue | WrongBody | None] = st.one_of(
    *[st.none()] * 8,
    st.builds(WrongBody, anything),
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda key: st.sampled_from(wrong.WRONG[key]).map(lambda value: WrongValue(key, value))
    ),
)
clients = st.integers(0, 7)
says = st.builds(
    Say,
    client=clients,
    command=st.integers(0, 100),
    data=st.fixed_dictionaries(FIELDS),
    keys=st.lists(st.sampled_from(sorted(FIELDS)), max_size=12).map(tuple),
    mistake=mistakes,
    batched=st.sampled_from([0, 0, 0, 1, 3]),
    settled=st.booleans(),
)
connects = st.builds(
    Connect,
    st.sampled_from(USERS),
    st.sampled_from(sorted(DIALECTS)),
    st.sampled_from(["phone", "laptop"]),
    st.none() | st.builds(Known, st.integers(0, 5)),
    st.sampled_from([None, None, None, None, 0.01]),
)
babbles = st.builds(
    Babble,
    clients,
    st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from(["[]", "null", "{}", '{"type":1}', '{"type":"\\ud800"}', '{"a":NaN}', "[" * 30])
    | st.sampled_from(["ping", "greet", "catch_up", "contacts", "x"]).map(
        lambda name: f'{{"type":"{name}"}}'
    ),
)
hosts = st.builds(
    Host,
    st.one_of(
        st.builds(
            PutConversation,
            conversation_id=st.sampled_from(GROUPS),
            name=st.sampled_from([None, "A", "B"]),
            member_ids=st.lists(st.sampled_from(USERS), max_size=3).map(tuple),
        ),
        st.builds(PutConversation, conversation_id=st.sampled_from(ROOMS), kind=st.just(Kind.ROOM)),
        st.builds(DeleteConversation, conversation_id=st.sampled_from((*GROUPS, *ROOMS))),
        st.builds(
            PutMember,
            conversation_id=st.sampled_from(GROUPS),
            user_id=st.sampled_from(USERS),
            role=st.sampled_from([None, *Role]),
        ),
        st.builds(RemoveMember, conversation_id=st.sampled_from(GROUPS), user_id=st.sampled_from(USERS)),
        st.builds(Notify, user_id=st.sampled_from(USERS), type=st.just("booking")),
        st.builds(
            SendMessage,
            conversation_id=st.sampled_from([*GROUPS, *ROOMS, "dm:1:2"]),
            content=st.just("hear, hear"),
            system=st.just(True),
        ),
    ),
)
owns = st.builds(
    Own,
    st.sampled_from(USERS),
    st.one_of(
        st.builds(SetArchived, conversation_id=places, archived=st.booleans()),
        st.builds(SetMuted, conversation_id=places, muted=st.booleans()),
        st.builds(MarkUnread, conversation_id=places),
        st.builds(BlockUser, user_id=users),
        st.builds(UnblockUser, user_id=users),
        st.builds(MarkNotificationsRead, ids=st.none()),
    ),
)
steps: st.SearchStrategy[Step] = st.one_of(
    connects, says, says, says, says, says, says, says, babbles, hosts, owns, st.builds(Leave, clients)
)


def body_of(say: Say, dialect: Namespace | Frames) -> tuple[str, object]:
    """The command and the body that a step means in this dialect."""
    rows: list[FrameRow[Any] | NamespaceRow[Any]] = [*dialect.rows.values()]
    row = rows[say.command % len(rows)]
    keys = {str(field.data_key): field.required for field in row.form.parts.values()}
    body: Any = {key: say.data[key] for key, needed in keys.items() if needed or key not in say.keys}
    match say.mistake:
        case WrongValue(key, value):
            body |= {key: value} if key in keys else {}
        case WrongBody(mistake):
            body = mistake
        case None:
            pass
    return row.name, body


def framed(name: str, body: object, dialect: Namespace | Frames) -> Frame:
    """A command in its envelope."""
    if isinstance(dialect, Namespace):
        return Frame(name, body)
    if not isinstance(body, dict):
        return Frame(name, {"type": name, "payload": body, "data": body})
    told = dialect.envelope(name, body, examples.NOW)
    if "meta" in told.payload and "target_id" in body:
        told.payload["meta"]["target_id"] = told.payload["payload"].pop("target_id")
    return told
