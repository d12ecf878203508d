"""One of everything that a dialect may have to tell, with all optional parts and with none."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from messaging.domain.commands import ExportForm
from messaging.domain.events import (
    ConversationChanged,
    ConversationDeleted,
    Delivery,
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
    Receipt,
    RoomEntered,
    RoomLeft,
    TypingChanged,
    UnreadChanged,
)
from messaging.domain.models import (
    SYSTEM,
    Attachment,
    Author,
    ConnectionView,
    Conversation,
    ConversationView,
    Edit,
    Identity,
    Kind,
    Member,
    Membership,
    MemberView,
    Message,
    MessageView,
    Notification,
    Position,
    ProcessView,
    Profile,
    Reaction,
    Receipts,
    Role,
    Status,
)
from messaging.domain.moderation import Block, BlockView, Report, ReportView
from messaging.domain.pushing import Subscription
from messaging.domain.replies import (
    Authenticated,
    BlockList,
    BlockReply,
    ChangedMessage,
    ConnectionList,
    ContactList,
    ConversationExport,
    ConversationList,
    ConversationReply,
    Done,
    EditList,
    Found,
    Greeted,
    HistoryPage,
    Joined,
    Left,
    Marked,
    Missed,
    NotificationList,
    NotificationReply,
    NotificationsMarked,
    OnlineUsers,
    Pong,
    PushKey,
    ReceiptList,
    Reply,
    ReportList,
    ReportReply,
    Sent,
    Stats,
    SubscriptionReply,
    UploadLink,
    UploadReply,
    UserExport,
    UserList,
    UserReply,
    UserStatus,
)
from messaging.domain.uploads import Upload

NOW = datetime(2025, 10, 23, 9, 30, 0, 120_000, tzinfo=UTC)
NOW_TEXT = "2025-10-23T09:30:00.120Z"
LATER = NOW + timedelta(seconds=1)

EMAIL = "alice@example.com"
ALICE = Profile(
    id="5",
    username="alice",
    name="Alice",
    first_name="Alice",
    last_name="Martin",
    salon_name="InkStudio",
    image="/alice.png",
    role="CLIENT",
    email=EMAIL,
)
HOST = Profile(id="host", role="service", email=EMAIL)
BOB = Profile(id="bob")

GROUP = Conversation(
    id="1", kind=Kind.GROUP, name="Salon", private=True, created_at=NOW, updated_at=LATER, member_count=2
)
ROOM = Conversation(id="42", kind=Kind.ROOM, name="42", created_at=NOW, updated_at=NOW)
PAIR = Conversation(id="dm:5:bob", kind=Kind.DIRECT, created_at=NOW, updated_at=NOW, member_count=2)

PLAIN = Message(
    id=123, conversation_id="1", seq=7, sender_id="bob", sender_seq=3, content="Bonjour!", created_at=NOW
)
FULL = Message(
    id=124,
    conversation_id="1",
    seq=8,
    sender_id="5",
    sender_seq=5,
    content="Voici",
    attachments=(
        Attachment(id="0", url="https://example.com/a.pdf", file_name="a.pdf"),
        Attachment(id="v", url="/v.ogg", file_name="v.ogg", file_size=9, mime_type="audio/ogg", duration=1.5),
    ),
    reply_to=123,
    client_message_id="42",
    device="phone",
    created_at=NOW,
    rev=2,
    edited_at=LATER,
    reactions=(Reaction(emoji="👍", user_ids=tuple(str(n) for n in range(60))),),
)
DELETED = Message(
    id=125,
    conversation_id="1",
    seq=9,
    sender_id="5",
    sender_seq=6,
    content="",
    created_at=NOW,
    deleted_at=LATER,
)
SPOKEN = Message(
    id=126,
    conversation_id="1",
    seq=10,
    sender_id="system",
    sender_seq=1,
    author=Author.SYSTEM,
    content="Bob joined",
    created_at=NOW,
)

VIEWS = (
    MessageView(message=PLAIN, sender=BOB),
    MessageView(message=FULL, sender=ALICE, read_at=LATER),
    MessageView(message=DELETED, sender=HOST),
    MessageView(message=SPOKEN, sender=SYSTEM),
)
PAIR_VIEWS = tuple(
    replace(view, message=replace(view.message, conversation_id=PAIR.id))
    for view in VIEWS
    if view.sender is not HOST
)
MINE = Membership(
    conversation=GROUP,
    member=Member(conversation_id="1", user_id="5", role=Role.OWNER, joined_at=NOW, cursor=7, own_read=4),
    last_seq=10,
    own_sent=6,
    active_at=NOW,
)
MEMBERS = (MemberView(profile=ALICE, role=Role.OWNER), MemberView(profile=HOST, role=Role.MEMBER))
VIEW = ConversationView(conversation=GROUP, last_seq=8, last_message=VIEWS[1], members=MEMBERS, mine=MINE)
SHARED_VIEW = ConversationView(conversation=GROUP, last_seq=8, last_message=VIEWS[1], members=MEMBERS)
BARE_VIEW = ConversationView(conversation=PAIR, last_seq=0)

READ = MessagesRead(
    conversation=GROUP,
    reader=ALICE,
    cursor=9,
    own_read=2,
    receipts=(
        Receipt(message_id=123, seq=7, sender_id="bob"),
        Receipt(message_id=126, seq=10, sender_id="system"),
    ),
    pushed=True,
    at=NOW,
)
PAIR_READ = replace(READ, conversation=PAIR)
NOTICES = (
    Notification(id="n1", type="booking", created_at=NOW),
    Notification(
        id="12", type="group_invite", title="Salon", body="Venez", data='{"group_id":"1"}', created_at=NOW
    ),
)
BLOCK = BlockView(block=Block(user_id="5", blocked_id="bob", at=NOW), profile=BOB)
UPLOAD = Upload(id="u" * 22, user_id="alice", file_name="a.png", ready=True, created_at=NOW)
REPORT = Report(
    id=7,
    message_id=123,
    conversation_id="1",
    seq=7,
    sender_id="bob",
    content="spam",
    sent_at=NOW,
    reporter_id="5",
    at=NOW,
)
BROWSER = Subscription(
    user_id="5", endpoint="https://push.example.com/1", p256dh="BA", auth="AA", created_at=NOW
)
SEEN_NOTICE = Notification(id="n3", type="booking", created_at=NOW, position=3, read_at=NOW)


CONNECTION = ConnectionView(
    id="5/ab/1", user_id="5", process="ab", dialect="chat", address="10.0.0.1", connected_at=NOW
)


def changes() -> list[MessageChange]:
    """Every kind of change of a message, in a group and between two."""
    made: list[MessageChange] = []
    for where, views in ((GROUP, VIEWS), (PAIR, PAIR_VIEWS)):
        full = views[1]
        made += [
            *(edited(where, view) for view in views),
            MessageDeleted(
                conversation=where,
                message=replace(DELETED, conversation_id=where.id),
                user_id="5",
                rev=4,
                at=LATER,
            ),
            *(
                ReactionChanged(
                    conversation=where,
                    message=full.message,
                    user=user,
                    emoji="👍",
                    added=added,
                    rev=5,
                    at=LATER,
                )
                for user in (ALICE, BOB)
                for added in (True, False)
            ),
        ]
    return made


def edited(where: Conversation, view: MessageView) -> MessageEdited:
    return MessageEdited(
        conversation=where,
        message=replace(view.message, edited_at=LATER, rev=3),
        sender=view.sender,
        read_at=view.read_at,
        user_id=view.sender.id,
        rev=3,
        at=LATER,
    )


def events() -> list[Event]:
    """Every class of event, in all its forms."""
    unseen = MessagesRead(
        conversation=GROUP, reader=BOB, cursor=9, own_read=0, receipts=(), pushed=False, at=NOW
    )
    presence = [
        PresenceChanged(
            user=user, status=status, crossed=crossed, last_seen=last, conversations=("1",), at=NOW
        )
        for user, status, crossed, last in itertools.product((ALICE, BOB), Status, (True, False), (NOW, None))
    ]
    return [
        *(MessageSent(conversation=GROUP, message=view.message, sender=view.sender) for view in VIEWS),
        TypingChanged(conversation=GROUP, user=ALICE, active=True, at=NOW),
        TypingChanged(conversation=PAIR, user=BOB, active=False, at=NOW),
        *(MessageSent(conversation=PAIR, message=view.message, sender=view.sender) for view in PAIR_VIEWS),
        READ,
        PAIR_READ,
        unseen,
        *presence,
        *changes(),
        MessagesDelivered(
            user_id="5",
            conversation=GROUP,
            deliveries=(Delivery(user_id="bob", message_id=124, seq=8),),
            at=NOW,
        ),
        ConversationChanged(view=SHARED_VIEW, at=NOW),
        ConversationChanged(view=BARE_VIEW, at=NOW),
        MemberAdded(user_id="5", since=0, view=SHARED_VIEW, at=NOW),
        MemberRemoved(user_id="5", conversation=GROUP, at=NOW),
        ConversationDeleted(conversation=GROUP, at=NOW),
        UnreadChanged(user_id="5", total=3, conversation_id="1", unread=2, at=NOW),
        UnreadChanged(user_id="5", total=0, at=NOW),
        RoomEntered(conversation=ROOM, user=ALICE, at=NOW),
        RoomLeft(conversation=ROOM, user=BOB, at=NOW),
        DeviceChanged(user_id="5", device="phone", connected=True, at=NOW),
        DeviceChanged(user_id="5", device="phone", connected=False, at=NOW),
        *(Notified(user_id="5", notification=notice, at=NOW) for notice in NOTICES),
        PlaceChanged(user_id="5", view=VIEW, position=3, at=NOW),
    ]


async def no_pages() -> AsyncIterator[tuple[MessageView, ...]]:
    """The pages of an empty conversation."""
    empty: tuple[tuple[MessageView, ...], ...] = ()
    for page in empty:
        yield page


def replies() -> list[Reply]:
    """Every class of reply, in all its forms."""
    return [
        Done(),
        Joined(conversation=GROUP, messages=VIEWS, has_more=True, missing=True, last_seq=900, online=("5",)),
        Joined(conversation=PAIR),
        Left(conversation_id="1"),
        *(Sent(conversation=GROUP, view=view) for view in VIEWS),
        Sent(conversation=GROUP, view=VIEWS[1], repeated=True),
        HistoryPage(conversation=GROUP, messages=VIEWS, has_more=True, last_seq=10),
        HistoryPage(conversation=PAIR, with_user="bob", messages=PAIR_VIEWS, last_seq=10),
        HistoryPage(conversation=None, with_user="bob"),
        Found(messages=VIEWS, next="123"),
        Found(messages=()),
        UserExport(user_id="5", at=NOW, pages=no_pages()),
        *(ConversationExport(view=SHARED_VIEW, form=form, at=NOW, pages=no_pages()) for form in ExportForm),
        Marked(total_unread=2, again=(READ,)),
        Marked(total_unread=0),
        ConversationList(conversations=(VIEW, BARE_VIEW), total_unread=2, next="x"),
        ConversationList(conversations=(), total_unread=0),
        ConversationReply(view=VIEW, created=True),
        ConversationReply(view=BARE_VIEW),
        OnlineUsers(conversation_id="1", user_ids=("1", "5", "bob")),
        UserReply(profile=ALICE, private=True, created=True),
        UserReply(profile=HOST),
        UserList(profiles=(ALICE, HOST, BOB), next="bob"),
        UserList(profiles=()),
        UserStatus(user_id="5", status=Status.AWAY, last_seen=NOW),
        UserStatus(user_id="bob", status=Status.OFFLINE),
        Authenticated(identity=Identity(profile=ALICE, expires_at=NOW)),
        Authenticated(identity=Identity(profile=ALICE)),
        *(
            ChangedMessage(view=VIEWS[1], event=event, repeated=repeated)
            for event in changes()
            for repeated in (False, True)
        ),
        EditList(message_id=123, edits=(Edit(content="Salut", user_id="5", at=NOW),)),
        EditList(message_id=123, edits=()),
        ReceiptList(
            seq=8,
            receipts=(
                Receipts(user_id="bob", delivered=8, read=7),
                Receipts(user_id="carol", delivered=0, read=0),
            ),
            next="carol",
        ),
        ReceiptList(seq=8, receipts=()),
        Greeted(user_id="5", device="phone"),
        Missed(
            user_id="5",
            messages=tuple((GROUP, view) for view in VIEWS) + tuple((PAIR, view) for view in PAIR_VIEWS),
            notifications=NOTICES,
            more=True,
            changes=tuple(changes()),
            positions=(("1", Position(10)), (PAIR.id, Position(10, 2))),
        ),
        Missed(user_id="5", messages=(), more=False, positions=()),
        ContactList(statuses=(UserStatus(user_id="5", status=Status.AWAY, last_seen=NOW),)),
        ContactList(statuses=()),
        NotificationReply(notification=NOTICES[1]),
        NotificationReply(notification=NOTICES[0], repeated=True),
        NotificationList(notifications=(*NOTICES, SEEN_NOTICE), unread=2, next="3"),
        NotificationList(notifications=(), unread=0),
        NotificationsMarked(unread=2),
        BlockReply(view=BLOCK, created=True),
        BlockReply(view=BLOCK),
        BlockList(blocks=(BLOCK,), next="bob"),
        BlockList(blocks=()),
        ReportReply(report=REPORT, created=True),
        ReportReply(report=replace(REPORT, reason="Spam")),
        ReportList(reports=(ReportView(report=REPORT, sender=BOB, reporter=ALICE),), next="7"),
        ReportList(reports=()),
        PushKey(public_key="BA"),
        PushKey(public_key=None),
        SubscriptionReply(subscription=BROWSER, created=True),
        SubscriptionReply(subscription=BROWSER),
        UploadReply(upload=UPLOAD),
        UploadLink(path=f"{UPLOAD.path}?expires=1&signature=x", expires_at=UPLOAD.created_at),
        Pong(),
        ConnectionList(connections=(CONNECTION, replace(CONNECTION, device="phone")), next="5/ab/1"),
        ConnectionList(connections=()),
        Stats(processes=(ProcessView(id="ab", started_at=NOW, users=1, connections=(("chat", 2),)),)),
    ]
