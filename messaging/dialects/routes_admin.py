"""The routes of administrators: who is connected, and sending somebody away."""

from __future__ import annotations

from collections import Counter
from typing import Any

from messaging.dialects import bodies, envelopes, shapes
from messaging.dialects.answers import CURSOR, NUMBER, SUCCESS, items, shape
from messaging.dialects.rest import Route, Who
from messaging.dialects.shapes import Payload
from messaging.domain.commands import DisconnectUser, GetStats, ListConnections
from messaging.domain.models import ConnectionView, ProcessView
from messaging.domain.replies import ConnectionList, Done, Stats


def _connection(view: ConnectionView) -> Payload:
    shown: Payload = {
        "id": view.id,
        "userId": view.user_id,
        "process": view.process,
        "dialect": view.dialect,
        "address": view.address,
        "connectedAt": shapes.time(view.connected_at),
    }
    return shown if view.device is None else {**shown, "device": view.device}


def _connections(reply: ConnectionList) -> Payload:
    return {"connections": [_connection(view) for view in reply.connections], "next": reply.next}


def _process(view: ProcessView) -> Payload:
    return {
        "id": view.id,
        "startedAt": shapes.time(view.started_at),
        "users": view.users,
        "connections": dict(view.connections),
    }


def _stats(reply: Stats) -> Payload:
    by_dialect: Counter[str] = Counter()
    for process in reply.processes:
        by_dialect.update(dict(process.connections))
    return {
        "connections": dict(sorted(by_dialect.items())),
        "processes": [_process(view) for view in reply.processes],
    }


ADMIN_ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="listConnections",
        method="GET",
        path="/api/admin/connections",
        who=Who.ADMIN,
        summary="Who is connected, over all processes, by user",
        command=ListConnections,
        reply=ConnectionList,
        shape=_connections,
        answer=shape(connections=items("Connection"), next=CURSOR),
        query=bodies.Connections(),
    ),
    Route(
        name="getStats",
        method="GET",
        path="/api/admin/stats",
        who=Who.ADMIN,
        summary="How many connections there are, in all and in each process",
        command=GetStats,
        reply=Stats,
        shape=_stats,
        answer=shape(
            connections={"type": "object", "additionalProperties": NUMBER, "description": "By dialect."},
            processes=items("Process"),
        ),
    ),
    Route(
        name="disconnectUser",
        method="POST",
        path="/api/admin/users/{id}/disconnect",
        who=Who.ADMIN,
        summary="End all of a user's connections, and refuse the tokens that they were issued up to now",
        command=DisconnectUser,
        reply=Done,
        shape=envelopes.done,
        answer=shape(success=SUCCESS),
        place=bodies.ThisUser(),
        body=bodies.Disconnection(),
        example={"revoke": True},
    ),
)
