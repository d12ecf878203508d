"""What replies hold in camelCase with ids as strings: the contents of an ack, the body of a REST answer."""

from __future__ import annotations

from messaging.dialects import shapes
from messaging.dialects.shapes import Payload
from messaging.domain.models import Status
from messaging.domain.replies import (
    Authenticated,
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


def conversations(reply: ConversationList) -> Payload:
    """A page of conversations; `next` is null on the last one."""
    return {
        "conversations": [shapes.conversation(view) for view in reply.conversations],
        "totalUnread": reply.total_unread,
        "next": reply.next,
    }


def conversation(reply: ConversationReply) -> Payload:
    """One conversation."""
    return {"conversation": shapes.conversation(reply.view)}


def messages(page: HistoryPage) -> Payload:
    """A page of messages, oldest first."""
    return {"messages": shapes.views(page.messages), "hasMore": page.has_more}


def found(reply: Found) -> Payload:
    """A page of what was found, the newest first; `next` is null on the last one."""
    return {"messages": shapes.views(reply.messages), "next": reply.next}


def message(reply: Sent) -> Payload:
    """The message as it was stored."""
    return {"message": shapes.view(reply.view)}


def changed(reply: ChangedMessage) -> Payload:
    """The message as it is now."""
    return {"message": shapes.view(reply.view)}


def edits(reply: EditList) -> Payload:
    """What a message said before each edit, the oldest first."""
    return {
        "edits": [
            {"content": edit.content, "editedBy": edit.user_id, "editedAt": shapes.time(edit.at)}
            for edit in reply.edits
        ]
    }


def receipts(reply: ReceiptList) -> Payload:
    """Whom a message has reached, and who has read it; `next` is null on the last page."""
    return {
        "receipts": [
            {"userId": each.user_id, "delivered": each.delivered >= reply.seq, "read": each.read >= reply.seq}
            for each in reply.receipts
        ],
        "next": reply.next,
    }


def user(reply: UserReply) -> Payload:
    """One user: the only place that shows an e-mail address, to those who may see it."""
    shown = shapes.person(reply.profile)
    if reply.private and reply.profile.email is not None:
        shown["email"] = reply.profile.email
    return {"user": shown}


def users(reply: UserList) -> Payload:
    """A page of users; `next` is null on the last one."""
    return {"users": [shapes.person(profile) for profile in reply.profiles], "next": reply.next}


def status(reply: UserStatus) -> Payload:
    """Whether a user is online; `lastSeen` is null for one who never was."""
    return {
        "userId": reply.user_id,
        "status": reply.status.value,
        "online": reply.status is not Status.OFFLINE,
        "lastSeen": shapes.time(reply.last_seen) if reply.last_seen else None,
    }


def marked(reply: Marked) -> Payload:
    """What is left unread."""
    return {"success": True, "totalUnread": reply.total_unread}


def done(_reply: Done) -> Payload:
    """That it is done."""
    return {"success": True}


def authenticated(reply: Authenticated) -> Payload:
    """When the token ends; null for one without an end."""
    ends = reply.identity.expires_at
    return {"expiresAt": shapes.time(ends) if ends else None}


def is_new(reply: ConversationReply | UserReply) -> bool:
    """Whether the command made it."""
    return reply.created


def is_new_message(reply: Sent) -> bool:
    """Whether it was stored just now."""
    return not reply.repeated
