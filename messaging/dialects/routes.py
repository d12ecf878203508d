"""The routes of REST (docs/protocols.md): who may ask what, where, and what comes back."""

from __future__ import annotations

from functools import partial
from typing import Any

from messaging.dialects import bodies, camel, envelopes, personal
from messaging.dialects.answers import CURSOR, FLAG, NUMBER, SUCCESS, items, reference, shape
from messaging.dialects.rest import Route, Who
from messaging.dialects.routes_admin import ADMIN_ROUTES
from messaging.dialects.routes_exports import EXPORT_ROUTES
from messaging.dialects.routes_moderation import MODERATION_ROUTES
from messaging.dialects.routes_push import PUSH_ROUTES
from messaging.dialects.uploads import UPLOAD_ROUTES
from messaging.domain.commands import (
    ChangeConversation,
    Command,
    CreateConversation,
    DeleteConversation,
    DeleteMessage,
    EditMessage,
    FindUsers,
    GetConversation,
    GetStatus,
    GetUser,
    ListConversations,
    ListEdits,
    ListReceipts,
    LoadHistory,
    MarkConversationRead,
    MarkRead,
    PutConversation,
    PutMember,
    PutUser,
    RemoveMember,
    SearchMessages,
    SendMessage,
    SetReaction,
)
from messaging.domain.errors import InvalidFormat
from messaging.domain.models import Author, Profile
from messaging.domain.replies import (
    ChangedMessage,
    ConversationList,
    ConversationReply,
    Done,
    EditList,
    Found,
    HistoryPage,
    Marked,
    ReceiptList,
    Sent,
    UserList,
    UserReply,
    UserStatus,
)

# --- from arguments to commands ----------------------------------------------------------------------


def _send(author: Author = Author.USER, **arguments: Any) -> Command:
    return SendMessage(system=author is Author.SYSTEM, **arguments)


def _mark(
    message_id: int | None = None,
    message_ids: tuple[int, ...] | None = None,
    conversation_id: str | None = None,
) -> Command:
    match message_id, message_ids, conversation_id:
        case int(), None, None:
            return MarkRead(message_ids=(message_id,), count_unread=True)
        case None, tuple(), None:
            return MarkRead(message_ids=message_ids, count_unread=True)
        case None, None, str():
            return MarkConversationRead(conversation_id=conversation_id, count_unread=True)
        case _:
            raise InvalidFormat("Give one of messageId, messageIds and conversationId.")


def _put_user(user_id: str, **profile: str) -> Command:
    return PutUser(profile=Profile(id=user_id, **profile))


_CONVERSATION = shape(conversation=reference("Conversation"))
_CONVERSATIONS = shape(conversations=items("Conversation"), totalUnread=NUMBER, next=CURSOR)
_MESSAGE = shape(message=reference("Message"))
_MESSAGES = shape(messages=items("Message"), hasMore=FLAG)
_USER = shape(user=reference("User"))
_DONE = shape(success=SUCCESS)

# --- the table ---------------------------------------------------------------------------------------

ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="listConversations",
        method="GET",
        path="/api/conversations",
        summary="Your conversations, the most recently active first",
        command=ListConversations,
        reply=ConversationList,
        shape=envelopes.conversations,
        answer=_CONVERSATIONS,
        query=camel.Listing(),
    ),
    Route(
        name="createConversation",
        method="POST",
        path="/api/conversations",
        summary="Make a group that you own, or a public room",
        command=CreateConversation,
        reply=ConversationReply,
        shape=envelopes.conversation,
        made=envelopes.is_new,
        makes=True,
        answer=_CONVERSATION,
        body=bodies.NewConversation(),
        example={"kind": "group", "name": "Salon", "memberIds": ["2"]},
    ),
    Route(
        name="getConversation",
        method="GET",
        path="/api/conversations/{id}",
        summary="One conversation",
        command=GetConversation,
        reply=ConversationReply,
        shape=envelopes.conversation,
        answer=_CONVERSATION,
        place=bodies.ThisConversation(),
    ),
    Route(
        name="putConversation",
        method="PUT",
        path="/api/conversations/{id}",
        who=Who.SERVICE,
        summary="Make or update a conversation under your own id; members are added, nobody is removed",
        command=PutConversation,
        reply=ConversationReply,
        shape=envelopes.conversation,
        made=envelopes.is_new,
        makes=True,
        answer=_CONVERSATION,
        place=bodies.ChosenConversation(),
        body=bodies.PutConversation(),
        example={"kind": "group", "memberIds": ["1", "2"]},
    ),
    Route(
        name="changeConversation",
        method="PATCH",
        path="/api/conversations/{id}",
        summary="Rename a conversation, or change whether it is private",
        command=ChangeConversation,
        reply=ConversationReply,
        shape=envelopes.conversation,
        answer=_CONVERSATION,
        place=bodies.ThisConversation(),
        body=bodies.ConversationChange(),
        example={"name": "Salon"},
    ),
    Route(
        name="deleteConversation",
        method="DELETE",
        path="/api/conversations/{id}",
        summary="Delete a group or room with all that is in it",
        command=DeleteConversation,
        reply=Done,
        shape=envelopes.done,
        answer=_DONE,
        place=bodies.ThisConversation(),
    ),
    Route(
        name="putMember",
        method="PUT",
        path="/api/conversations/{id}/members/{userId}",
        summary="Add a user to a group, or change what a member may do",
        command=PutMember,
        reply=ConversationReply,
        shape=envelopes.conversation,
        made=envelopes.is_new,
        makes=True,
        answer=_CONVERSATION,
        place=bodies.ThisMember(),
        body=bodies.Membership(),
        example={"role": "admin"},
    ),
    Route(
        name="removeMember",
        method="DELETE",
        path="/api/conversations/{id}/members/{userId}",
        summary="Take a user out of a group; yourself: leave it",
        command=RemoveMember,
        reply=Done,
        shape=envelopes.done,
        answer=_DONE,
        place=bodies.ThisMember(),
    ),
    Route(
        name="listMessages",
        method="GET",
        path="/api/conversations/{id}/messages",
        summary="A page of a conversation, oldest first",
        command=LoadHistory,
        reply=HistoryPage,
        shape=envelopes.messages,
        answer=_MESSAGES,
        place=bodies.ThisConversation(),
        query=camel.Page(),
    ),
    Route(
        name="sendMessage",
        method="POST",
        path="/api/conversations/{id}/messages",
        summary="Send a message; a service may name its sender, or speak as the system",
        command=_send,
        reply=Sent,
        shape=envelopes.message,
        made=envelopes.is_new_message,
        makes=True,
        answer=_MESSAGE,
        place=bodies.ThisConversation(),
        body=bodies.NewMessage(),
        example={"content": "Bonjour!", "clientMessageId": "draft-1"},
    ),
    Route(
        name="listMessagesWithUser",
        method="GET",
        path="/api/messages/user/{id}",
        summary="A page of your conversation with a user; empty while there is none",
        command=LoadHistory,
        reply=HistoryPage,
        shape=envelopes.messages,
        answer=_MESSAGES,
        place=bodies.Partner(),
        query=camel.Page(),
    ),
    Route(
        name="listMessagesOfGroup",
        method="GET",
        path="/api/messages/group/{id}",
        summary="A page of a group or room",
        command=LoadHistory,
        reply=HistoryPage,
        shape=envelopes.messages,
        answer=_MESSAGES,
        place=bodies.ThisConversation(),
        query=camel.Page(),
    ),
    Route(
        name="editMessage",
        method="PATCH",
        path="/api/messages/{id}",
        summary="Say something else in your message; what it said before is kept",
        command=EditMessage,
        reply=ChangedMessage,
        shape=envelopes.changed,
        answer=_MESSAGE,
        place=bodies.ThisMessage(),
        body=bodies.OtherWords(),
        example={"content": "Bonsoir!"},
    ),
    Route(
        name="deleteMessage",
        method="DELETE",
        path="/api/messages/{id}",
        summary="Take back your message, or as an admin anybody's; its place stays",
        command=DeleteMessage,
        reply=ChangedMessage,
        shape=envelopes.changed,
        answer=_MESSAGE,
        place=bodies.ThisMessage(),
    ),
    Route(
        name="listEdits",
        method="GET",
        path="/api/messages/{id}/edits",
        summary="What a message said before it was edited; for who wrote it, admins and services",
        command=ListEdits,
        reply=EditList,
        shape=envelopes.edits,
        answer=shape(edits=items("Edit")),
        place=bodies.ThisMessage(),
    ),
    Route(
        name="listReceipts",
        method="GET",
        path="/api/messages/{id}/receipts",
        summary="Whom your message has reached, and who has read it; members by id",
        command=ListReceipts,
        reply=ReceiptList,
        shape=envelopes.receipts,
        answer=shape(receipts=items("Receipt"), next=CURSOR),
        place=bodies.ThisMessage(),
        query=camel.ListPage(),
    ),
    Route(
        name="putReaction",
        method="PUT",
        path="/api/messages/{id}/reactions/{emoji}",
        summary="Put an emoji on a message",
        command=partial(SetReaction, present=True),
        reply=ChangedMessage,
        shape=envelopes.changed,
        answer=_MESSAGE,
        place=bodies.ThisReaction(),
    ),
    Route(
        name="deleteReaction",
        method="DELETE",
        path="/api/messages/{id}/reactions/{emoji}",
        summary="Take your emoji back",
        command=partial(SetReaction, present=False),
        reply=ChangedMessage,
        shape=envelopes.changed,
        answer=_MESSAGE,
        place=bodies.ThisReaction(),
    ),
    Route(
        name="markRead",
        method="POST",
        path="/api/messages/read",
        summary="Mark all messages up to these, or a whole conversation, read",
        command=_mark,
        reply=Marked,
        shape=envelopes.marked,
        answer=shape(
            success=SUCCESS,
            totalUnread=NUMBER | {"type": ["integer", "null"], "description": "null: not known now."},
        ),
        body=bodies.Read(),
        example={"messageIds": ["123", "124"]},
    ),
    Route(
        name="searchMessages",
        method="GET",
        path="/api/search",
        summary="Messages with all these words (the last one may go on), the newest first; "
        "public rooms only by conversationId",
        command=SearchMessages,
        reply=Found,
        shape=envelopes.found,
        answer=shape(messages=items("Message"), next=CURSOR),
        query=bodies.SearchMessages(),
    ),
    Route(
        name="findUsers",
        method="GET",
        path="/api/users",
        summary="Users whose id or one of whose names begins with a text",
        command=FindUsers,
        reply=UserList,
        shape=envelopes.users,
        answer=shape(users=items("Person"), next=CURSOR),
        query=bodies.Search(),
    ),
    Route(
        name="getUser",
        method="GET",
        path="/api/users/{id}",
        summary="One user; the e-mail address only for themselves and services",
        command=GetUser,
        reply=UserReply,
        shape=envelopes.user,
        answer=_USER,
        place=bodies.ThisUser(),
    ),
    Route(
        name="putUser",
        method="PUT",
        path="/api/users/{id}",
        who=Who.SERVICE,
        summary="Make a user known, or replace their profile",
        command=_put_user,
        reply=UserReply,
        shape=envelopes.user,
        made=envelopes.is_new,
        makes=True,
        answer=_USER,
        place=bodies.ThisUser(),
        body=bodies.UserProfile(),
        example={"firstName": "Alice", "role": "CLIENT"},
    ),
    Route(
        name="getStatus",
        method="GET",
        path="/api/users/{id}/status",
        summary="Whether a contact is online",
        command=GetStatus,
        reply=UserStatus,
        shape=envelopes.status,
        answer=reference("Status"),
        place=bodies.ThisUser(),
    ),
    *ADMIN_ROUTES,
    *UPLOAD_ROUTES,
    *personal.ROUTES,
    *MODERATION_ROUTES,
    *EXPORT_ROUTES,
    *PUSH_ROUTES,
)
