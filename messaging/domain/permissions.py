"""Who may do what: one table.

Somebody who may not see a conversation is told that it does not exist, so that nobody can find out by
trying which ids there are.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from messaging.domain.errors import PermissionDenied, RoomNotFound
from messaging.domain.models import Conversation, Kind, Role


class Action(StrEnum):
    """What can be done in a conversation."""

    READ = "read"
    WRITE = "write"
    LEAVE = "leave"
    INVITE = "invite"
    RENAME = "rename"
    ADD_MEMBER = "add a member"
    REMOVE_MEMBER = "remove a member"
    DELETE_ANY_MESSAGE = "delete anybody's message"
    GIVE_ROLE = "give a role"
    DELETE = "delete the conversation"


_MEMBER = frozenset({Action.READ, Action.WRITE, Action.LEAVE, Action.INVITE})
_ADMIN = _MEMBER | {Action.RENAME, Action.ADD_MEMBER, Action.REMOVE_MEMBER, Action.DELETE_ANY_MESSAGE}
_OWNER = _ADMIN | {Action.GIVE_ROLE, Action.DELETE}

GROUP_ACTIONS = {Role.MEMBER: _MEMBER, Role.ADMIN: _ADMIN, Role.OWNER: _OWNER}
DIRECT_ACTIONS = frozenset({Action.READ, Action.WRITE})
ROOM_ACTIONS = frozenset({Action.READ, Action.WRITE})


def permit(
    action: Action, conversation: Conversation | None, role: Role | None, *, service: bool
) -> Conversation:
    """The conversation, if somebody with `role` there (None: not a member) may do `action` in it.

    Raises RoomNotFound where the asker may not even see the conversation, PermissionDenied where they may
    see it but not do this. A service may do everything, except what nobody may: leave, add to, remove from
    or delete a direct conversation, whose two members are fixed.
    """
    if conversation is None:
        raise RoomNotFound
    if action in _allowed(conversation.kind, role, service):
        return conversation
    if role is None and not service and conversation.kind is not Kind.ROOM:
        raise RoomNotFound
    raise PermissionDenied


@cache  # few kinds and roles, and every command asks
def _allowed(kind: Kind, role: Role | None, service: bool) -> frozenset[Action]:
    match kind:
        case Kind.DIRECT:
            return DIRECT_ACTIONS if role or service else frozenset()
        case Kind.ROOM:
            return _OWNER if service else ROOM_ACTIONS
        case Kind.GROUP:
            if service:
                return _OWNER
            return GROUP_ACTIONS[role] if role else frozenset()
