"""Which function carries out which command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from messaging.domain import commands
from messaging.domain.commands import Actor, Command
from messaging.service import (
    administration,
    blocking,
    conversations,
    delivering,
    devices,
    exporting,
    invitations,
    members,
    messages,
    notifications,
    places,
    presence,
    pushing,
    reading,
    reports,
    searching,
    sending,
    uploads,
    users,
)
from messaging.service.context import Context, Result

Handler = Callable[[Context, Actor, Any], Awaitable[Result]]
"""Carries out one kind of command; raises a ClientError to refuse it."""

HANDLERS: dict[type[Command], Handler] = {
    commands.JoinConversation: reading.join_conversation,
    commands.LeaveConversation: reading.leave_conversation,
    commands.SendMessage: sending.send_message,
    commands.SetTyping: sending.set_typing,
    commands.MarkRead: reading.mark_read,
    commands.MarkConversationRead: reading.mark_conversation_read,
    commands.SetStatus: presence.set_status,
    commands.Authenticate: users.authenticate,
    commands.Greet: devices.greet,
    commands.CatchUp: devices.catch_up,
    commands.Ping: devices.ping,
    commands.EditMessage: messages.edit_message,
    commands.DeleteMessage: messages.delete_message,
    commands.SetReaction: messages.set_reaction,
    commands.ListEdits: messages.list_edits,
    commands.ListReceipts: delivering.list_receipts,
    commands.LoadHistory: reading.load_history,
    commands.SearchMessages: searching.search_messages,
    commands.ExportConversation: exporting.export_conversation,
    commands.ListConversations: conversations.list_conversations,
    commands.GetConversation: conversations.get_conversation,
    commands.ListOnlineUsers: presence.list_online_users,
    commands.GetUser: users.get_user,
    commands.FindUsers: users.find_users,
    commands.GetStatus: presence.get_status,
    commands.ListContacts: presence.list_contacts,
    commands.CreateConversation: conversations.create_conversation,
    commands.PutConversation: conversations.put_conversation,
    commands.ChangeConversation: conversations.change_conversation,
    commands.DeleteConversation: conversations.delete_conversation,
    commands.PutMember: members.put_member,
    commands.RemoveMember: members.remove_member,
    commands.InviteMember: invitations.invite_member,
    commands.AcceptInvitation: invitations.accept_invitation,
    commands.PutUser: users.put_user,
    commands.ListConnections: administration.list_connections,
    commands.GetStats: administration.get_stats,
    commands.DisconnectUser: administration.disconnect_user,
    commands.SetArchived: places.set_archived,
    commands.SetMuted: places.set_muted,
    commands.MarkUnread: places.mark_unread,
    commands.Notify: notifications.notify,
    commands.ListNotifications: notifications.list_notifications,
    commands.MarkNotificationsRead: notifications.mark_notifications_read,
    commands.BlockUser: blocking.block_user,
    commands.UnblockUser: blocking.unblock_user,
    commands.ListBlocks: blocking.list_blocks,
    commands.ReportMessage: reports.report_message,
    commands.ListReports: reports.list_reports,
    commands.GetPushKey: pushing.get_push_key,
    commands.SubscribePush: pushing.subscribe_push,
    commands.UnsubscribePush: pushing.unsubscribe_push,
    commands.BeginUpload: uploads.begin_upload,
    commands.FinishUpload: uploads.finish_upload,
    commands.AbandonUpload: uploads.abandon_upload,
    commands.GetUpload: uploads.get_upload,
    commands.GetUploadLink: uploads.get_upload_link,
}
