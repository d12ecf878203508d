"""The only place where the parts meet: settings become a store, a backplane, a gateway and its transports."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from aiohttp import web

from messaging import backplanes, stores
from messaging.backplanes import Backplane
from messaging.chores import Chore
from messaging.dialects import NAMESPACES, SOCKETS
from messaging.domain.errors import Unavailable
from messaging.domain.ids import IdSource
from messaging.files import open_files
from messaging.gateway.gateway import Gateway
from messaging.gateway.metrics import Metrics
from messaging.gateway.upkeep import Erasing, Retaining
from messaging.jwks import FETCH_SECONDS, Jwks
from messaging.outgoing.client import Outgoing
from messaging.push.keys import VapidKey, private_key
from messaging.push.pusher import Pusher, PushTargets
from messaging.service import policy
from messaging.service.context import Context, make_context
from messaging.service.hooks import TYPES
from messaging.service.ports import Store, StoreRefused
from messaging.service.ports_uploads import Files
from messaging.service.setting_up import set_up
from messaging.service.uploads import collect
from messaging.settings import IN_MEMORY, Settings
from messaging.stores.gathered import gathered
from messaging.stores.measured import measured
from messaging.tokens import JsonWebTokens, mint
from messaging.transports import doorstep
from messaging.transports.entrance import Entrance
from messaging.transports.figures import shown
from messaging.transports.handshake import Limits
from messaging.transports.neighbours import Neighbours
from messaging.transports.operations import Operations
from messaging.transports.origins import Origins
from messaging.transports.rest import Rest
from messaging.transports.socketio.factory import create_socketio, mount
from messaging.transports.socketio.gateway import GatewayNamespace
from messaging.transports.socketio.wire import SocketIoWire
from messaging.transports.tracing import traced
from messaging.transports.uploads import Uploads
from messaging.transports.websocket import WebSockets
from messaging.webhooks.delivery import Deliveries
from messaging.webhooks.payload import key_of

if TYPE_CHECKING:
    from messaging.telemetry import Telemetry

DEMO_USERS = ("alice", "bob")
DEMO_GROUP = "1"
_DEMO_DAYS = 7
_REOPEN_SECONDS = 1.0
_ASK_SECONDS = 5.0
_COLLECT_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger("messaging.app")


class _Latest:
    """The last time that was told: many ask within one millisecond."""

    __slots__ = ("at", "milliseconds")

    def __init__(self) -> None:
        self.milliseconds = 0
        self.at = _EPOCH


_latest = _Latest()


def now() -> datetime:
    """The time: aware UTC, whole milliseconds."""
    milliseconds = time_ns() // 1_000_000
    if milliseconds != _latest.milliseconds:
        _latest.milliseconds, _latest.at = milliseconds, _EPOCH + timedelta(milliseconds=milliseconds)
    return _latest.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Which of several processes this is: where they meet, its place, and how often that was taken before."""

    folder: Path
    slot: int
    starts: int


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Connects to nothing yet, but makes a database's folder."""
    if settings.mongodb_uri is None:
        try:
            settings.database_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            folder = settings.database_path.parent
            raise StoreRefused(
                f"DATABASE_PATH: the folder {folder} cannot be made: {error.strerror}."
            ) from error
    url = settings.mongodb_uri or str(settings.database_path)
    return stores.open_store(url, ids=IdSource(now).next)


def open_upload_files(settings: Settings) -> Files:
    """What keeps the bytes of uploads. Connects to nothing yet."""
    return open_files(
        url=settings.uploads_url, mongodb_uri=settings.mongodb_uri, folder=_uploads_folder(settings)
    )


def _uploads_folder(settings: Settings) -> Path:
    """Where uploads are kept while the database is SQLite; of one in memory, where nobody looks for them."""
    if settings.database_path == IN_MEMORY:
        return Path(tempfile.gettempdir()) / f"messaging-uploads-{os.getpid()}"
    return settings.database_path.parent / f"{settings.database_path.name}.uploads"


def open_backplane(settings: Settings) -> Backplane:
    """The backplane that the settings name. Connects to nothing yet."""
    rules = {
        policy.MESSAGES: settings.rate_limit_messages,
        "ws-chat": settings.rate_limit_ws_chat,
        policy.SIGNALS: settings.rate_limit_signals,
        policy.QUERIES: settings.rate_limit_queries,
        policy.AUTH_FAILURES: settings.rate_limit_auth_failures,
    }
    return backplanes.open_backplane(
        settings.redis_url, rules=rules, verify_certificates=not settings.redis_tls_insecure
    )


class Service:
    """One process's parts, put together. Nothing is connected before the web app starts."""

    def __init__(
        self, settings: Settings, worker: Worker | None = None, *, push_out: Outgoing | None = None
    ) -> None:
        """`push_out` is another way to push services than the usual one, which leads outside only."""
        self.settings = settings
        self.worker = worker
        self.metrics = Metrics()
        self.telemetry = _telemetry(settings)
        self.store = measured(open_store(settings), self.metrics.stored)
        if self.telemetry is not None:
            self.store = self.telemetry.store(self.store)
        self.store = gathered(self.store)
        self.backplane = open_backplane(settings)
        self.metrics.watch("bus_events_dropped", "Events the bus could not announce.", self.backplane.dropped)
        self.neighbours = Neighbours(worker.folder, self.backplane.mail.name) if worker else None
        self.jwks = _jwks(settings)
        push_out = push_out or Outgoing()
        key = _vapid_key(settings)
        targets = PushTargets(key.public_key, allow_private=push_out.allow_private) if key else None
        self.ctx = _context(settings, self.store, self.backplane, self.jwks, targets)
        self.webhooks = _webhooks(settings, self.ctx, self.metrics)
        if self.webhooks is not None:
            self.metrics.watch(
                "webhook_behind_seconds", "How long the oldest has waited.", self.webhooks.behind_seconds
            )
        self.gateway = Gateway(
            self.ctx,
            self.backplane.bus,
            grace_seconds=settings.presence_grace_seconds,
            max_connections_per_user=settings.max_connections_per_user,
            capacity=self.backplane.capacity,
            metrics=self.metrics,
        )
        if self.telemetry is not None:
            self.gateway.around = self.telemetry.command
        self.files = open_upload_files(settings)
        self.chores = self._chores()
        self.pusher = _pusher(settings, self.ctx, self.metrics, push_out, key) if key else None
        if self.pusher is not None:
            self.gateway.observers.append(self.pusher.offer)

    def web_app(self) -> web.Application:
        """All transports on one application; what they stand on lives as long as it does."""
        origins = Origins(self.settings.cors_origins, self.settings.development)
        entrance = Entrance(
            self.gateway,
            max_connections_per_address=self.settings.max_connections_per_address,
            capacity=self.backplane.capacity,
        )
        rest = Rest(self.gateway, entrance, origins, trusted_hops=self.settings.trusted_hops)
        middlewares = [traced, rest.middleware()]
        app = web.Application(client_max_size=self.settings.max_frame_bytes, middlewares=middlewares)
        app.cleanup_ctx.append(self._living)
        self._mount_sockets(app, entrance, origins)
        operations = Operations(
            self.gateway,
            self.store,
            self.backplane.bus,
            metrics_token=self.settings.metrics_token,
            open_metrics=self.settings.development,
            neighbours=self.neighbours,
        )
        uploads = Uploads(self.gateway, rest, self.files, max_bytes=self.settings.max_upload_bytes)
        app.on_cleanup.append(uploads.close)
        app.add_routes([*operations.routes(), *rest.routes(), *uploads.routes()])
        return app

    def _chores(self) -> tuple[Chore, ...]:
        """What is done now and then, by one process for all."""
        erasing = Erasing(self.ctx, self.files, self.gateway.publish)
        retaining = Retaining(self.ctx, self.gateway.publish)
        return (
            Chore(self.store, "erase users", erasing.work, ask_seconds=_ASK_SECONDS),
            Chore(self.store, "remove old messages", retaining.work, ask_seconds=_ASK_SECONDS),
            Chore(self.store, "collect uploads", self._collect, ask_seconds=_COLLECT_SECONDS),
        )

    async def _collect(self) -> float:
        return 0.0 if await collect(self.ctx, self.files) else _COLLECT_SECONDS

    async def meet(self, runner: web.AppRunner) -> None:
        """Let the neighbours, if there are any, see this process's figures and hand connections over."""
        if self.neighbours is None or self.worker is None:
            return
        slot, starts = self.worker.slot, self.worker.starts
        self.metrics.watch("worker_starts", "How often this worker was started.", lambda: starts)
        await self.neighbours.start(
            partial(shown, self.metrics.registry, str(slot)), partial(doorstep.adopted, runner)
        )

    async def part(self) -> None:
        """Take nothing more from neighbours."""
        if self.neighbours is not None:
            await self.neighbours.close()

    def _mount_sockets(self, app: web.Application, entrance: Entrance, origins: Origins) -> None:
        settings = self.settings
        namespaces = {
            path: GatewayNamespace(
                self.gateway, entrance, SocketIoWire(dialect, path), recovery=settings.recovery
            )
            for path, dialect in NAMESPACES.items()
        }
        limits = Limits(
            keeps_polls=True,
            max_frame_bytes=settings.max_frame_bytes,
            max_queued_bytes=settings.max_queued_bytes,
        )
        server = create_socketio(
            namespaces,
            limits=limits,
            origins=origins,
            entrance=entrance,
            redis_url=settings.redis_url,
            verify_certificates=not settings.redis_tls_insecure,
            trusted_hops=settings.trusted_hops,
            mail=self.backplane.mail,
            neighbours=self.neighbours,
        )
        mount(app, server)
        sockets = WebSockets(
            self.gateway, entrance, origins, limits=limits, trusted_hops=settings.trusted_hops
        )
        app.add_routes(sockets.routes(SOCKETS))
        app.on_shutdown.append(sockets.drain)

    async def _living(self, _app: web.Application) -> AsyncIterator[None]:
        """The store first, then who uses it; and the other way round at the end."""
        self.gateway.starting = True
        opening = asyncio.create_task(self._open_store())
        await asyncio.wait([opening], timeout=_REOPEN_SECONDS)
        if opening.done():
            opening.result()
        else:
            opening.add_done_callback(_tell_failure)
        if self.jwks is not None:
            self.jwks.start()
        await self.gateway.start()
        if self.webhooks is not None:
            self.webhooks.start()
        if self.pusher is not None:
            self.pusher.start()
        for chore in self.chores:
            chore.start()
        yield
        await asyncio.gather(*(chore.close() for chore in self.chores))
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await self.gateway.close()
        if self.webhooks is not None:
            await self.webhooks.close()
        if self.jwks is not None:
            await self.jwks.close()
        if self.telemetry is not None:
            await self.telemetry.close()
        if self.pusher is not None:
            await self.pusher.close()
        await self.backplane.close()
        await self.files.close()
        await self.store.close()

    async def _open_store(self) -> None:
        """Open the store, however long it takes; `/readyz` says no until then."""
        rooms = self.settings.default_rooms
        demo = (DEMO_GROUP, DEMO_USERS) if self.settings.development else None
        while True:
            try:
                await self.store.open()
                await self.files.open()
                await set_up(self.ctx, rooms=rooms, group=demo)
                await self.gateway.sending_away.compare()
            except Unavailable as error:
                logger.warning("the storage does not answer yet: %s", error.message)
                await asyncio.sleep(_REOPEN_SECONDS)
            else:
                self.gateway.starting = False
                return


def _tell_failure(opening: asyncio.Task[None]) -> None:
    """The storage answered late, and cannot be used; `/readyz` goes on to say no."""
    if not opening.cancelled() and (reason := opening.exception()) is not None:
        logger.critical("the storage cannot be used: %s", reason)


def banner(settings: Settings) -> str:
    """What is printed at the start; in development mode with a ready token for each demo user."""
    lines = [f"Messaging serves http://{settings.host}:{settings.port}"]
    if settings.development and settings.jwt_secret is not None:
        lines.append("Development mode: this machine only, SQLite, two users and their group 1.")
        for user in DEMO_USERS:
            name = user.capitalize()
            token = mint(
                settings.jwt_secret, user, now=now(), ttl=timedelta(days=_DEMO_DAYS), username=user, name=name
            )
            lines.append(f"{name}'s token: {token}")
    return "\n".join(lines) + "\n"


def _context(
    settings: Settings,
    store: Store,
    backplane: Backplane,
    jwks: Jwks | None,
    pushing: PushTargets | None,
) -> Context:
    return make_context(
        pushing=pushing,
        store=store,
        presence=backplane.presence,
        limits=backplane.limits,
        tokens=JsonWebTokens(
            secret=settings.jwt_secret,
            public_key_pem=settings.jwt_public_key,
            keys=jwks,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            require_exp=settings.jwt_require_exp,
            service_roles=settings.service_roles,
            admin_roles=settings.admin_roles,
            clock=now,
        ),
        clock=now,
        webhooks=(settings.webhook_events or frozenset(TYPES)) if settings.webhook_url else frozenset(),
        policy=policy.Policy(
            max_message_length=settings.max_message_length,
            receipts_max_members=settings.receipts_max_members,
            retention_days=settings.retention_days,
            presence=settings.presence,
            presence_max_members=settings.presence_max_members,
            offline_queue_limit=settings.offline_queue_limit,
            upload_quota_bytes=settings.upload_quota_bytes,
        ),
    )


def _telemetry(settings: Settings) -> Telemetry | None:
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    from messaging.telemetry import Telemetry

    return Telemetry(endpoint=settings.otel_exporter_otlp_endpoint, service_name=settings.otel_service_name)


def _jwks(settings: Settings) -> Jwks | None:
    if settings.jwt_jwks_url is None:
        return None
    return Jwks(settings.jwt_jwks_url, Outgoing(allow_private=True, timeout_seconds=FETCH_SECONDS))


def _vapid_key(settings: Settings) -> VapidKey | None:
    if settings.vapid_private_key is None or settings.vapid_subject is None:
        return None
    return VapidKey(private_key(settings.vapid_private_key), settings.vapid_subject)


def _pusher(settings: Settings, ctx: Context, metrics: Metrics, out: Outgoing, key: VapidKey) -> Pusher:
    return Pusher(
        ctx,
        out,
        key,
        content=settings.push_content,
        grace_seconds=settings.presence_grace_seconds,
        observe=metrics.pushed,
    )


def _webhooks(settings: Settings, ctx: Context, metrics: Metrics) -> Deliveries | None:
    if settings.webhook_url is None or settings.webhook_secret is None:
        return None
    out = Outgoing(allow_private=settings.webhook_allow_private)
    key = key_of(settings.webhook_secret)
    return Deliveries(ctx, out, url=settings.webhook_url, key=key, observe=metrics.webhook)
