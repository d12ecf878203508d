"""Settings: what the environment may say, what it may not, and that no secret is ever told."""

from __future__ import annotations

import dataclasses
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from messaging.push.keys import new_key
from messaging.settings import (
    IN_MEMORY,
    SECRET_FILE,
    Settings,
    SettingsError,
    read_settings,
    unknown_names,
)

SECRET = "a-secret-of-more-than-thirty-two-bytes"
MONGODB = "mongodb://user:hunter22@db/chat"
PEM = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def production(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    return read(monkeypatch, **({"JWT_SECRET": SECRET} | environment))


def mistakes(monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        read(monkeypatch, **environment)
    assert str(refused.value) == "\n".join(refused.value.mistakes)
    return refused.value.mistakes


# --- defaults and values -----------------------------------------------------------------------------


def test_a_secret_alone_is_enough_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    assert production(monkeypatch) == Settings(jwt_secret=SECRET)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.trusted_hops) == ("0.0.0.0", 3000, 0)
    assert (settings.max_message_length, settings.max_frame_bytes) == (4000, 65536)
    assert (settings.max_queued_bytes, settings.offline_queue_limit) == (1048576, 500)
    assert (settings.presence_grace_seconds, settings.presence_max_members) == (5, 100)
    assert settings.rate_limit_messages == "60/10 seconds;2000/hour"
    assert settings.default_rooms == ("general",)
    assert settings.jwt_require_exp


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {field.name.upper() for field in dataclasses.fields(Settings)} - {"JWT_SECRET"}
    assert production(monkeypatch, **dict.fromkeys(names, " ")) == Settings(jwt_secret=SECRET)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", " 8080 ", "port", 8080),
        ("HOST", "::", "host", "::"),
        ("MONGODB_URI", MONGODB, "mongodb_uri", MONGODB),
        ("MONGO_URL", MONGODB, "mongodb_uri", MONGODB),
        ("MONGODB_URL", "mongodb+srv://db", "mongodb_uri", "mongodb+srv://db"),
        ("REDIS_URL", "redis://h", "redis_url", "redis://h"),
        ("REDIS_TLS_URL", "rediss://h", "redis_url", "rediss://h"),
        ("REDIS_TLS_INSECURE", "true", "redis_tls_insecure", True),
        ("DATABASE_PATH", "/srv/chat.db", "database_path", Path("/srv/chat.db")),
        ("JWT_SECRET", f" {SECRET} ", "jwt_secret", f" {SECRET} "),
        ("JWT_PUBLIC_KEY", PEM.replace("\n", "\\n"), "jwt_public_key", PEM),
        ("JWT_PUBLIC_KEY", PEM, "jwt_public_key", PEM.strip()),
        ("JWT_AUDIENCE", "chat", "jwt_audience", "chat"),
        ("JWT_REQUIRE_EXP", "false", "jwt_require_exp", False),
        ("SERVICE_ROLES", "service, backend", "service_roles", {"service", "backend"}),
        ("ADMIN_ROLES", "boss", "admin_roles", {"boss"}),
        ("LOG_FORMAT", "JSON", "log_format", "json"),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("PRESENCE", "off", "presence", False),
        ("PRESENCE_GRACE_SECONDS", "0.5", "presence_grace_seconds", 0.5),
        ("DEFAULT_ROOMS", "general, help,general", "default_rooms", ("general", "help")),
        ("RATE_LIMIT_WS_CHAT", "1/second", "rate_limit_ws_chat", "1/second"),
        ("TRUSTED_HOPS", "2", "trusted_hops", 2),
        ("OFFLINE_QUEUE_LIMIT", "0", "offline_queue_limit", 0),
    ],
)
def test_a_value_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str, value: object
) -> None:
    found: object = getattr(production(monkeypatch, **{name: text}), field)
    assert found == value


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        ("null", ("null",)),
        ("https://App.example.com/", ("https://app.example.com",)),
        ("https://a.example:443,http://b.example:80", ("https://a.example", "http://b.example")),
        ("http://localhost:8080  app://local", ("http://localhost:8080", "app://local")),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
    ],
)
def test_origins_are_kept_as_browsers_send_them(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    assert production(monkeypatch, CORS_ORIGINS=text).cors_origins == origins


# --- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("PORT", ["0", "65536", "http", "-1", "1.5"]),
        ("HOST", ["a b"]),
        ("MONGODB_URI", ["postgres://db", "mongodb://a b"]),
        ("REDIS_URL", ["http://redis"]),
        ("REDIS_TLS_INSECURE", ["perhaps"]),
        ("JWT_SECRET", ["short", "x" * 31]),
        ("JWT_PUBLIC_KEY", ["no key", "-----BEGIN PRIVATE KEY-----"]),
        ("JWT_REQUIRE_EXP", ["never"]),
        ("CORS_ORIGINS", ["chat.example", "https://a.example/path", "https://*.example.com", "https://u@h"]),
        ("CORS_ORIGINS", ["https://a.example:99999", "https://a.example:x", "https://é.example", "http://"]),
        ("LOG_FORMAT", ["xml"]),
        ("LOG_LEVEL", ["loud"]),
        ("MAX_MESSAGE_LENGTH", ["0", "-5", "many", "99999999999"]),
        ("PRESENCE_GRACE_SECONDS", ["-1", "nan", "inf", "soon"]),
        ("RATE_LIMIT_MESSAGES", ["0/minute", "10", "10/fortnight", "-1/minute", "10/minute;"]),
        ("MAX_CONNECTIONS_PER_USER", ["0"]),
        ("TRUSTED_HOPS", ["-1"]),
        ("DEFAULT_ROOMS", ["a/b", "x" * 65, "é"]),
        ("METRICS_TOKEN", ["a b"]),
        ("JWT_ISSUER", ["\udc80"]),
    ],
)
def test_a_bad_value_is_one_plain_line_that_does_not_quote_it(
    monkeypatch: pytest.MonkeyPatch, name: str, texts: list[str]
) -> None:
    for text in texts:
        environment = {"JWT_SECRET": SECRET} | {name: text}
        (line,) = mistakes(monkeypatch, **environment)
        assert line.startswith(f"{name}: ")
        assert line.endswith(".")
        assert "\n" not in line
        assert len(text) < 8 or text not in line


def test_all_mistakes_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    told = mistakes(monkeypatch, PORT="x", LOG_LEVEL="x", DYNO="web.1", JWT_JWKS_URL="http://idp/keys")
    assert [line.partition(":")[0] for line in told] == ["PORT", "JWT_JWKS_URL", "LOG_LEVEL", "MONGODB_URI"]


def test_a_url_of_keys_alone_is_enough_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, JWT_JWKS_URL="https://idp.example.com/keys")
    assert not settings.development
    assert settings.jwt_jwks_url == "https://idp.example.com/keys"


def test_names_that_look_like_settings_and_are_none_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    production(monkeypatch, JWT_ISUER="x", RATE_LIMIT_MESSAGE="1/minute", PATH="/bin", JWT_ISSUER="y")
    assert unknown_names() == ("JWT_ISUER", "RATE_LIMIT_MESSAGE")


# --- production --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MONGODB_URI", "MONGO_URL", "MONGODB_URL"])
def test_production_without_a_key_does_not_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (line,) = mistakes(monkeypatch, **{name: MONGODB})
    assert line.startswith("JWT_SECRET: must be set")


def test_a_short_secret_does_not_fall_back_to_development(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = mistakes(monkeypatch, JWT_SECRET="hunter22")
    assert line == "JWT_SECRET: must have at least 32 bytes."


def test_sqlite_is_refused_where_the_disk_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ({}, {"DATABASE_PATH": "/srv/chat.db"}):
        (line,) = mistakes(monkeypatch, DYNO="web.1", JWT_SECRET=SECRET, **path)
        assert line.startswith("MONGODB_URI: ")


@pytest.mark.parametrize(("given", "hops"), [({}, 1), ({"TRUSTED_HOPS": "0"}, 0)])
def test_behind_the_platforms_router_one_hop_is_trusted(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], hops: int
) -> None:
    assert production(monkeypatch, DYNO="web.1", MONGODB_URI=MONGODB, **given).trusted_hops == hops


def test_a_secret_and_a_public_key_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = production(monkeypatch, JWT_PUBLIC_KEY=PEM)
    assert settings.jwt_secret
    assert settings.jwt_public_key


def test_a_repr_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: dict[str, Any] = {
        "JWT_SECRET": SECRET,
        "MONGODB_URI": MONGODB,
        "REDIS_URL": "redis://:hunter23@h",
        "METRICS_TOKEN": "hunter24",
    }
    text = repr(production(monkeypatch, **hidden))
    assert "port=3000" in text
    assert not [value for value in (*hidden.values(), "hunter") if value in text]


# --- development -------------------------------------------------------------------------------------


def test_without_any_key_database_or_dyno_it_is_development_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, REDIS_URL="redis://h", HOST="127.0.0.1")
    assert settings.development
    assert settings.host == "127.0.0.1"
    assert settings.jwt_secret
    assert len(settings.jwt_secret) >= 32


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "10.0.0.1"])
def test_development_mode_serves_no_other_host(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    (line,) = mistakes(monkeypatch, HOST=host)
    assert line.startswith("HOST: development mode")


def test_development_keeps_its_secret_beside_the_database_for_the_owner_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "some" / "where" / "chat.db"
    first = read(monkeypatch, DATABASE_PATH=str(database)).jwt_secret
    kept = database.parent / SECRET_FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text() == first
    assert read_settings().jwt_secret == first
    assert list(database.parent.iterdir()) == [kept]


def test_processes_that_start_together_agree_on_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for round_ in range(20):
        monkeypatch.setenv("DATABASE_PATH", f"{round_}/chat.db")
        with ThreadPoolExecutor(8) as starts:
            settings = [start.result() for start in [starts.submit(read_settings) for _ in range(8)]]
        assert len({each.jwt_secret for each in settings}) == 1
        assert [path.name for path in Path(str(round_)).iterdir()] == [SECRET_FILE]


def test_a_secret_file_that_is_none_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Path("data") / SECRET_FILE
    kept.parent.mkdir()
    for content, reason in [(b"short", "too short"), (b"\xff" * 40, "not text")]:
        kept.write_bytes(content)
        (line,) = mistakes(monkeypatch)
        assert reason in line


def test_a_folder_that_cannot_be_written_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data").write_text("a file")
    (line,) = mistakes(monkeypatch)
    assert "cannot keep a secret" in line


def test_a_database_in_memory_leaves_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read(monkeypatch, DATABASE_PATH=":memory:")
    assert settings.database_path == IN_MEMORY
    assert settings.jwt_secret
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_while_there_are_mistakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mistakes(monkeypatch, PORT="x")
    assert not list(tmp_path.iterdir())


# --- the webhook -------------------------------------------------------------------------------------

HOOK = {"WEBHOOK_URL": "https://app.example.com/hook", "WEBHOOK_SECRET": "twenty-four-bytes-of-secret"}


def test_a_webhook_needs_a_public_https_url_and_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = production(monkeypatch, **HOOK, WEBHOOK_EVENTS="message.created, message.reported")
    assert settings.webhook_url == HOOK["WEBHOOK_URL"]
    assert settings.webhook_events == {"message.created", "message.reported"}
    assert HOOK["WEBHOOK_SECRET"] not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"WEBHOOK_URL": "http://app.example.com/hook"}, "WEBHOOK_URL"),
        ({"WEBHOOK_URL": "https://10.0.0.1/hook"}, "WEBHOOK_URL"),
        ({"WEBHOOK_URL": "https://[::1]/hook"}, "WEBHOOK_URL"),
        ({"WEBHOOK_URL": "app.example.com"}, "WEBHOOK_URL"),
        ({"WEBHOOK_SECRET": ""}, "WEBHOOK_SECRET"),
        ({"WEBHOOK_SECRET": "short"}, "WEBHOOK_SECRET"),
        ({"WEBHOOK_SECRET": "whsec_c2hvcnQ="}, "WEBHOOK_SECRET"),
        ({"WEBHOOK_SECRET": "whsec_???"}, "WEBHOOK_SECRET"),
        ({"WEBHOOK_EVENTS": "message.created, message.sung"}, "WEBHOOK_EVENTS"),
    ],
)
def test_a_webhook_that_cannot_be_used_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], name: str
) -> None:
    (mistake,) = mistakes(monkeypatch, **({"JWT_SECRET": SECRET} | HOOK | changes))
    assert mistake.startswith(f"{name}: ")


def test_a_webhook_inside_a_private_network_has_to_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = HOOK | {"WEBHOOK_URL": "http://10.0.0.1/hook"}
    assert production(monkeypatch, **inside, WEBHOOK_ALLOW_PRIVATE="true").webhook_allow_private


def test_in_development_a_webhook_may_be_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = HOOK | {"WEBHOOK_URL": "http://127.0.0.1:8000/hook"}
    assert read(monkeypatch, **inside).webhook_allow_private


# --- Web Push ----------------------------------------------------------------------------------------

PUSH = {"VAPID_PRIVATE_KEY": new_key()[0], "VAPID_SUBJECT": "mailto:operator@example.com"}


def test_web_push_needs_a_key_and_somebody_to_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = production(monkeypatch, **PUSH)
    assert settings.vapid_private_key == PUSH["VAPID_PRIVATE_KEY"]
    assert settings.push_content
    assert PUSH["VAPID_PRIVATE_KEY"] not in repr(settings)
    assert not production(monkeypatch, **PUSH, PUSH_CONTENT="false").push_content


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"VAPID_PRIVATE_KEY": "short"}, "VAPID_PRIVATE_KEY"),
        ({"VAPID_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----"}, "VAPID_PRIVATE_KEY"),
        ({"VAPID_SUBJECT": ""}, "VAPID_SUBJECT"),
        ({"VAPID_SUBJECT": "operator@example.com"}, "VAPID_SUBJECT"),
        ({"VAPID_SUBJECT": "http://example.com"}, "VAPID_SUBJECT"),
        ({"PUSH_CONTENT": "perhaps"}, "PUSH_CONTENT"),
    ],
)
def test_web_push_that_cannot_work_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], name: str
) -> None:
    (mistake,) = mistakes(monkeypatch, **({"JWT_SECRET": SECRET} | PUSH | changes))
    assert mistake.startswith(f"{name}: ")
