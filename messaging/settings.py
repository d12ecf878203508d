"""Settings: everything that the environment may say, read once, with all mistakes told together.

    from messaging.settings import read_settings
    settings = read_settings()          # SettingsError.mistakes: one plain line each

The only module that reads the environment. Each setting is declared once, as a field of `Settings` with
its default and the check that reads it; its variable is its name in capitals. An empty variable counts as
not set. No value is ever quoted in a mistake, since any of them may be a secret in the wrong place.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from environs import Env, EnvValidationError
from marshmallow import ValidationError, fields

from messaging import allowed
from messaging.outgoing.client import OutgoingRefused, check_target
from messaging.tokens import MIN_SECRET_BYTES

T = TypeVar("T")

DEVELOPMENT_HOST = "127.0.0.1"
DEFAULT_DATABASE = Path("data/messaging.db")
IN_MEMORY = Path(":memory:")
"""The database path of a SQLite database that ends with the process."""
SECRET_FILE = "development-secret"  # noqa: S105 - the name of a file
"""Where development mode keeps its secret: a file of this name beside the database."""

_KEYS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")
_MONGODB = ("MONGODB_URI", "MONGO_URL", "MONGODB_URL")
_FAMILIES = ("JWT_", "WEBHOOK_", "RATE_LIMIT_", "PRESENCE_", "MAX_CONNECTIONS_", "METRICS_", "VAPID_")
"""How names begin of which only settings are expected."""


class SettingsError(Exception):
    """The settings cannot be used; `mistakes` has one plain line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


# --- the settings ------------------------------------------------------------------------------------


def _setting(default: T, field: fields.Field[Any], *names: str, secret: bool = False) -> T:
    """A field that is read from the first of `names` that is set; without names, from its own in capitals."""
    return dataclasses.field(default=default, repr=not secret, metadata={"field": field, "names": names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process shall serve. Secrets are in no repr."""

    development: bool = False
    """Nothing was set that a real service needs: this is somebody trying it out on their own machine."""

    host: str = _setting("0.0.0.0", allowed.Parsed(allowed.no_space))  # noqa: S104 - production serves the outside
    port: int = _setting(3000, allowed.whole(1, 65_535))
    trusted_hops: int = _setting(0, allowed.whole(0, 100))
    cors_origins: tuple[str, ...] = _setting((), allowed.Parsed(allowed.origins))
    """Exactly as browsers send them. `*` stands for all others, and is never answered with credentials."""

    mongodb_uri: str | None = _setting(
        None, allowed.url("mongodb://", "mongodb+srv://"), *_MONGODB, secret=True
    )
    database_path: Path = _setting(DEFAULT_DATABASE, allowed.Parsed(Path))  # noqa: RUF009 - makes a field
    """The SQLite database, used while there is no `mongodb_uri`."""
    redis_url: str | None = _setting(
        *(None, allowed.url("redis://", "rediss://", "unix://"), "REDIS_URL", "REDIS_TLS_URL"), secret=True
    )
    redis_tls_insecure: bool = _setting(False, allowed.switch())

    jwt_secret: str | None = _setting(None, allowed.Parsed(allowed.secret, verbatim=True), secret=True)
    jwt_public_key: str | None = _setting(None, allowed.Parsed(allowed.pem), secret=True)
    """With a secret beside it, tokens may be signed with either."""
    jwt_jwks_url: str | None = _setting(None, allowed.url("https://"), secret=True)
    """Keys of the same kinds, fetched from there."""
    jwt_audience: str | None = _setting(None, allowed.Parsed(str))
    jwt_issuer: str | None = _setting(None, allowed.Parsed(str))
    jwt_require_exp: bool = _setting(True, allowed.switch())
    service_roles: frozenset[str] = _setting(frozenset({"service"}), allowed.Parsed(allowed.names))
    admin_roles: frozenset[str] = _setting(frozenset(), allowed.Parsed(allowed.names))
    metrics_token: str | None = _setting(None, allowed.Parsed(allowed.no_space), secret=True)

    webhook_url: str | None = _setting(None, allowed.url("https://", "http://"), secret=True)
    webhook_secret: str | None = _setting(
        None, allowed.Parsed(allowed.webhook_secret, verbatim=True), secret=True
    )
    webhook_events: frozenset[str] = _setting(frozenset(), allowed.Parsed(allowed.webhook_events))
    """Of hooks.TYPES; all of them unless set."""
    webhook_allow_private: bool = _setting(False, allowed.switch())
    """Whether the webhook may be inside a private network, and plain http; in development it always may."""

    otel_exporter_otlp_endpoint: str | None = _setting(None, allowed.Parsed(allowed.collector))
    """Where traces go, over OTLP/HTTP; needs the extra `otel`."""
    otel_service_name: str = _setting("messaging", allowed.Parsed(str))

    vapid_private_key: str | None = _setting(None, allowed.Parsed(allowed.vapid), secret=True)
    vapid_subject: str | None = _setting(None, allowed.Parsed(allowed.vapid_subject))
    push_content: bool = _setting(True, allowed.switch())

    log_format: str = _setting("text", allowed.one_of("text", "json", form=str.lower))
    log_level: str = _setting(
        "INFO", allowed.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", form=str.upper)
    )

    max_message_length: int = _setting(4_000, allowed.whole(1))
    """In code points."""
    max_frame_bytes: int = _setting(64 * 1024, allowed.whole(1))
    max_queued_bytes: int = _setting(1024 * 1024, allowed.whole(1))
    offline_queue_limit: int = _setting(500, allowed.whole(0))
    recovery: bool = _setting(True, allowed.switch())
    """Whether a Socket.IO client that lost its connection goes on where it stopped."""
    retention_days: int = _setting(0, allowed.whole(0, 36_500))
    """Messages that are older are removed; 0 keeps them. A conversation may say otherwise."""
    receipts_max_members: int = _setting(100, allowed.whole(0))
    presence: bool = _setting(True, allowed.switch())
    presence_grace_seconds: float = _setting(5.0, allowed.seconds(3_600))
    presence_max_members: int = _setting(100, allowed.whole(0))
    default_rooms: tuple[str, ...] = _setting(("general",), allowed.Parsed(allowed.room_names))

    uploads_url: str | None = _setting(None, allowed.Parsed(allowed.object_storage), secret=True)
    """Object storage for uploads; needs the extra `s3`. Else they are kept with everything else."""
    max_upload_bytes: int = _setting(10 * 1024 * 1024, allowed.whole(1))
    upload_quota_bytes: int = _setting(1024 * 1024 * 1024, allowed.whole(0))
    """What the uploads of one user may take together."""

    rate_limit_ws_chat: str = _setting("10/minute;100/hour", allowed.Parsed(allowed.rules))
    rate_limit_messages: str = _setting("60/10 seconds;2000/hour", allowed.Parsed(allowed.rules))
    rate_limit_signals: str = _setting("300/minute", allowed.Parsed(allowed.rules))
    rate_limit_queries: str = _setting("240/minute", allowed.Parsed(allowed.rules))
    rate_limit_auth_failures: str = _setting("20/minute", allowed.Parsed(allowed.rules))
    max_connections_per_user: int = _setting(50, allowed.whole(1))
    max_connections_per_address: int = _setting(1_000, allowed.whole(1))


# --- reading them ------------------------------------------------------------------------------------


def read_settings() -> Settings:
    """The settings of this process; SettingsError with everything that is wrong with them.

    In development mode this makes, at the first time, the secret that is kept beside the database.
    """
    given = frozenset(name for name, value in os.environ.items() if value.strip())
    development = given.isdisjoint({*_KEYS, *_MONGODB, "DYNO"})
    values, mistakes = _read_values()
    if development:
        mistakes += _development_mistakes(values)
        values["host"] = DEVELOPMENT_HOST
    else:
        mistakes += _production_mistakes(given)
    mistakes += _webhook_mistakes(values, given, development)
    mistakes += _push_mistakes(values, given)
    if mistakes:
        raise SettingsError(*mistakes)
    if "DYNO" in given:
        values.setdefault("trusted_hops", 1)  # the platform's router
    settings = Settings(development=development, **values)
    if development:
        return dataclasses.replace(settings, jwt_secret=_development_secret(settings.database_path))
    return settings


def unknown_names() -> tuple[str, ...]:
    """Variables of the environment that begin like settings and are none: a slip of the pen, mostly."""
    fields_ = [field for field in dataclasses.fields(Settings) if field.metadata]
    known = {name for field in fields_ for name in field.metadata["names"] or (field.name.upper(),)}
    return tuple(sorted(name for name in os.environ if name.startswith(_FAMILIES) and name not in known))


def _read_values() -> tuple[dict[str, Any], list[str]]:
    """What is set and good, by field; and what is wrong with the rest."""
    env = Env(eager=False)
    env.add_parser("setting", _parse)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        if not field.metadata:
            continue
        for name in field.metadata["names"] or (field.name.upper(),):
            value = env.setting(name, "", field=field.metadata["field"])
            if value is not None:
                values.setdefault(field.name, value)
    try:
        env.seal()
    except EnvValidationError as wrong:
        told = cast(Mapping[str, list[str]], wrong.error_messages)
        return values, [f"{name}: {text}." for name, texts in told.items() for text in texts]
    return values, []


def _parse(text: str, *, field: fields.Field[Any]) -> object:
    if not text.strip():
        return None
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationError("must be UTF-8")
    return field.deserialize(text if getattr(field, "verbatim", False) else text.strip())


def _development_mistakes(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("host", DEVELOPMENT_HOST) != DEVELOPMENT_HOST:
        yield (
            f"HOST: development mode serves this machine only ({DEVELOPMENT_HOST}); "
            "set JWT_SECRET or JWT_PUBLIC_KEY to serve others."
        )


def _production_mistakes(given: frozenset[str]) -> Iterator[str]:
    if given.isdisjoint(_KEYS):
        yield (
            f"JWT_SECRET: must be set, to at least {MIN_SECRET_BYTES} random bytes "
            "(or JWT_PUBLIC_KEY or JWT_JWKS_URL, where tokens are signed with a private key)."
        )
    if "DYNO" in given and given.isdisjoint(_MONGODB):
        yield "MONGODB_URI: must be set on this host (DYNO): its disk forgets, and a SQLite database with it."


def _webhook_mistakes(values: dict[str, Any], given: frozenset[str], development: bool) -> Iterator[str]:
    if development:
        values["webhook_allow_private"] = True
    url = values.get("webhook_url")
    if url is None:
        return
    if "WEBHOOK_SECRET" not in given:
        yield "WEBHOOK_SECRET: must be set, so that the receiver can tell who speaks."
    try:
        check_target(url, allow_private=values.get("webhook_allow_private", False))
    except OutgoingRefused as wrong:
        yield f"WEBHOOK_URL: {wrong}; set WEBHOOK_ALLOW_PRIVATE=true if that is meant."


def _push_mistakes(values: Mapping[str, Any], given: frozenset[str]) -> Iterator[str]:
    if "vapid_private_key" not in values:
        return
    if "VAPID_SUBJECT" not in given:
        yield "VAPID_SUBJECT: must be set, so that push services can tell whom to write to."
    if importlib.util.find_spec("pywebpush") is None:
        yield "VAPID_PRIVATE_KEY: Web Push needs pywebpush; install it with: pip install '.[push]'."


# --- the secret of development mode ------------------------------------------------------------------


def _development_secret(database: Path) -> str:
    if database == IN_MEMORY:
        return secrets.token_urlsafe(MIN_SECRET_BYTES)
    path = database.parent / SECRET_FILE
    try:
        secret = _kept(path)
    except (OSError, UnicodeDecodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text"
        raise SettingsError(f"{path}: cannot keep a secret for development there: {reason}.") from None
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"{path}: is too short for a secret; delete it, and a new one is made.")
    return secret


def _kept(path: Path) -> str:
    """What the file says; when there is none, it is made. Whoever reads it gets all of one secret.

    Two processes that start together agree: the file appears whole, under its name, once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - Path.open takes no mode
                file.write(secrets.token_urlsafe(MIN_SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass  # another process was first
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
