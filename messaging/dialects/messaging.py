"""The dialect of the Socket.IO namespace `/messaging` (docs/protocols.md)."""

from __future__ import annotations

from functools import partial

from messaging.dialects import camel, envelopes, shapes
from messaging.dialects.answers import CURSOR, NUMBER, TEXT, items, reference
from messaging.dialects.base import Frame, Payload
from messaging.dialects.messaging_events import change, receipts, render
from messaging.dialects.messaging_told import HISTORY_ACK, VOCABULARY
from messaging.dialects.namespace import Namespace, Row
from messaging.dialects.told import TOKEN_END, listed
from messaging.domain.commands import (
    Authenticate,
    Command,
    DeleteMessage,
    EditMessage,
    JoinConversation,
    LeaveConversation,
    ListConversations,
    ListOnlineUsers,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
    SearchMessages,
    SendMessage,
    SetReaction,
    SetStatus,
    SetTyping,
)
from messaging.domain.events import Event
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    ConversationList,
    Done,
    Found,
    HistoryPage,
    Joined,
    Left,
    Marked,
    OnlineUsers,
    Sent,
)

# --- commands ----------------------------------------------------------------------------------------


def _mark(message_id: int) -> Command:
    return MarkRead(message_ids=(message_id,))


def _joined(reply: Joined) -> Payload:
    return {"conversationId": reply.conversation.id, "lastSeq": reply.last_seq}


def _history(page: Joined | HistoryPage) -> tuple[Frame, ...]:
    if page.conversation is None:
        return ()
    payload = {
        "conversationId": page.conversation.id,
        "messages": shapes.views(page.messages),
        "hasMore": page.has_more,
        "lastSeq": page.last_seq,
    }
    return (Frame("conversation-history", payload),)


def _marked(reply: Marked) -> tuple[Frame, ...]:
    return tuple(frame for event in reply.again for frame in receipts(event))


def _online(reply: OnlineUsers) -> Payload:
    return {"onlineUsers": list(reply.user_ids)}


def _changed(reply: ChangedMessage) -> tuple[Frame, ...]:
    """What was so before already, to who asks for it again."""
    return (change(reply.event),) if reply.repeated else ()


_HERE: Payload = {"conversationId": "1"}
_THIS: Payload = {"messageId": "123"}

ROWS = (
    Row(
        name="join-conversation",
        summary="Hear a conversation from here on; its newest messages, or all that was missed, come first.",
        form=camel.Join(),
        command=JoinConversation,
        reply=Joined,
        says="You hear this conversation now.",
        tells=_joined,
        has={"conversationId": TEXT, "lastSeq": NUMBER},
        frames=_history,
        pages=_history,
        example=_HERE | {"after": 41},
    ),
    Row(
        name="leave-conversation",
        summary="Hear a conversation no longer on this connection.",
        form=camel.InConversation(),
        command=LeaveConversation,
        reply=Left,
        says="You no longer hear this conversation.",
        example=_HERE,
    ),
    Row(
        name="send-message",
        summary="Send a message; the ack has it as it was stored.",
        form=camel.Send(),
        command=SendMessage,
        reply=Sent,
        says="Sent.",
        tells=envelopes.message,
        has={"message": reference("Message")},
        example=_HERE | {"content": "Bonjour!", "attachments": [], "clientMessageId": "draft-1"},
    ),
    Row(
        name="user-typing",
        summary="Show the others that the user types.",
        form=camel.InConversation(),
        command=partial(SetTyping, active=True),
        reply=Done,
        says="The others see that you type.",
        example=_HERE,
    ),
    Row(
        name="user-stopped-typing",
        summary="Show the others that the user stopped typing.",
        form=camel.InConversation(),
        command=partial(SetTyping, active=False),
        reply=Done,
        says="The others see that you stopped.",
        example=_HERE,
    ),
    Row(
        name="mark-as-read",
        summary="Mark all messages up to this one read.",
        form=camel.OneMessage(),
        command=_mark,
        reply=Marked,
        says="Marked read.",
        frames=_marked,
        example=_THIS,
    ),
    Row(
        name="mark-conversation-as-read",
        summary="Mark all messages of a conversation read.",
        form=camel.InConversation(),
        command=MarkConversationRead,
        reply=Marked,
        says="Marked read.",
        frames=_marked,
        example=_HERE,
    ),
    Row(
        name="edit-message",
        summary="Say something else in a message of one's own.",
        form=camel.Edit(),
        command=EditMessage,
        reply=ChangedMessage,
        says="Edited.",
        frames=_changed,
        example=_THIS | {"content": "Bonsoir!"},
    ),
    Row(
        name="delete-message",
        summary="Take back a message: one's own, or as an admin anybody's.",
        form=camel.OneMessage(),
        command=DeleteMessage,
        reply=ChangedMessage,
        says="Deleted.",
        frames=_changed,
        example=_THIS,
    ),
    Row(
        name="add-reaction",
        summary="Put an emoji on a message.",
        form=camel.React(),
        command=partial(SetReaction, present=True),
        reply=ChangedMessage,
        says="You reacted.",
        frames=_changed,
        example=_THIS | {"emoji": "👍"},
    ),
    Row(
        name="remove-reaction",
        summary="Take one's own emoji back.",
        form=camel.React(),
        command=partial(SetReaction, present=False),
        reply=ChangedMessage,
        says="You took your reaction back.",
        frames=_changed,
        example=_THIS | {"emoji": "👍"},
    ),
    Row(
        name="load-history",
        summary="A page of a conversation, before or after a seq, oldest first.",
        form=camel.History(),
        command=LoadHistory,
        reply=HistoryPage,
        says="A page of the conversation.",
        tells=envelopes.messages,
        has=HISTORY_ACK,
        example=_HERE | {"before": 42, "limit": 50},
    ),
    Row(
        name="search-messages",
        summary="Messages with all these words (the last one may go on), the newest first.",
        form=camel.Search(),
        command=SearchMessages,
        reply=Found,
        says="What was found.",
        tells=envelopes.found,
        has={"messages": items("Message"), "next": CURSOR},
        example={"query": "rendez-vous dem", "limit": 20},
    ),
    Row(
        name="list-conversations",
        summary="The user's conversations, the most recently active first.",
        form=camel.Listing(),
        command=ListConversations,
        reply=ConversationList,
        says="Your conversations.",
        tells=envelopes.conversations,
        has={"conversations": items("Conversation"), "totalUnread": NUMBER, "next": CURSOR},
        example={"limit": 50, "archived": False},
    ),
    Row(
        name="list-online-users",
        summary="Who of a conversation is online.",
        form=camel.InConversation(),
        command=ListOnlineUsers,
        reply=OnlineUsers,
        says="Who is online.",
        tells=_online,
        has={"onlineUsers": listed(TEXT)},
        example=_HERE,
    ),
    Row(
        name="set-status",
        summary="Choose what others see: online, away, busy or offline.",
        form=camel.ChooseStatus(),
        command=SetStatus,
        reply=Done,
        says="Your status is set.",
        example={"status": "away"},
    ),
    Row(
        name="authenticate",
        summary="Go on with a new token for the same user.",
        form=camel.Token(),
        command=Authenticate,
        reply=Authenticated,
        says="You are signed in.",
        tells=envelopes.authenticated,
        has={"expiresAt": TOKEN_END},
        example={"token": "eyJhbGciOi…"},
    ),
)


class Messaging(Namespace):
    """Ids as strings; full profiles, conversations and unread counts."""

    name = "messaging"
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        super().__init__(ROWS)

    def shown_id(self, given: str | int) -> str | int:
        """As a string."""
        return str(given)

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told; the same for everybody."""
        del viewer
        return render(event)
