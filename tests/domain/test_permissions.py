"""Permissions: the table of who may do what, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from messaging.domain.errors import ClientError, PermissionDenied, RoomNotFound
from messaging.domain.models import Conversation, Kind, Role
from messaging.domain.permissions import Action, permit

T0 = datetime(2026, 11, 20, tzinfo=UTC)
YES, NO, HIDDEN = None, PermissionDenied, RoomNotFound
MEMBER, ADMIN, OWNER, STRANGER, SERVICE = Role.MEMBER, Role.ADMIN, Role.OWNER, None, "service"

# What a group's member, admin, owner and service may; for others it does not exist.
GROUP = {
    Action.READ: (YES, YES, YES, YES),
    Action.WRITE: (YES, YES, YES, YES),
    Action.LEAVE: (YES, YES, YES, YES),
    Action.INVITE: (YES, YES, YES, YES),
    Action.RENAME: (NO, YES, YES, YES),
    Action.ADD_MEMBER: (NO, YES, YES, YES),
    Action.REMOVE_MEMBER: (NO, YES, YES, YES),
    Action.DELETE_ANY_MESSAGE: (NO, YES, YES, YES),
    Action.GIVE_ROLE: (NO, NO, YES, YES),
    Action.DELETE: (NO, NO, YES, YES),
}
SEEN = {Action.READ, Action.WRITE}


def conversation(kind: Kind) -> Conversation:
    conversation_id = "dm:a:b" if kind is Kind.DIRECT else "c"
    return Conversation(id=conversation_id, kind=kind, created_at=T0, updated_at=T0)


def verdict(action: Action, kind: Kind, who: Role | str | None) -> type[ClientError] | None:
    role = who if isinstance(who, Role) else None
    there = conversation(kind)
    try:
        assert permit(action, there, role, service=who == SERVICE) is there
    except ClientError as error:
        return type(error)
    return None


def test_the_table_has_all_actions() -> None:
    assert set(GROUP) == set(Action)


@pytest.mark.parametrize("action", Action)
def test_in_a_group_the_role_decides(action: Action) -> None:
    row = tuple(verdict(action, Kind.GROUP, who) for who in (MEMBER, ADMIN, OWNER, SERVICE))
    assert row == GROUP[action]


@pytest.mark.parametrize(("action", "kind"), list(product(Action, [Kind.GROUP, Kind.DIRECT])))
def test_for_a_stranger_a_group_and_a_direct_conversation_do_not_exist(action: Action, kind: Kind) -> None:
    assert verdict(action, kind, STRANGER) is HIDDEN


@pytest.mark.parametrize("action", Action)
def test_anybody_reads_and_writes_in_a_public_room_and_only_a_service_changes_it(action: Action) -> None:
    assert verdict(action, Kind.ROOM, STRANGER) is (YES if action in SEEN else NO)
    assert verdict(action, Kind.ROOM, SERVICE) is YES


@pytest.mark.parametrize(("action", "who"), list(product(Action, [MEMBER, OWNER, SERVICE])))
def test_a_direct_conversation_is_read_and_written_and_never_changed_or_deleted(
    action: Action, who: Role | str
) -> None:
    assert verdict(action, Kind.DIRECT, who) is (YES if action in SEEN else NO)


@pytest.mark.parametrize(("action", "service"), list(product(Action, [True, False])))
def test_what_is_not_there_is_not_found_by_anybody(action: Action, service: bool) -> None:
    with pytest.raises(RoomNotFound):
        permit(action, None, Role.OWNER, service=service)
