"""The command line, as a program: what it prints, where, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from asyncio import to_thread
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from messaging import cli
from messaging.backplanes import open_backplane
from messaging.doctor import check_backplane, library_problem
from messaging.domain.models import Profile
from messaging.push import keys
from messaging.settings import SECRET_FILE
from messaging.tokens import JsonWebTokens
from tests.certificates import authority
from tests.issuer import issuing, private_key, public_jwk
from tests.receiver import receiving
from tests.servers import INHERITED, ROOT
from tests.test_settings import MONGODB, SECRET


def messaging(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "messaging", *arguments],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=50,
    )


def within(folder: Path, *arguments: str, **environment: str) -> Result:
    """The same in this process: where it is only about words, a program of its own says no more."""
    foreign: dict[str, str | None] = {name: None for name in os.environ if name not in INHERITED}
    with contextlib.chdir(folder):
        return CliRunner(env={**foreign, **environment}).invoke(cli.main, arguments, prog_name="messaging")


# --- vapid-keys --------------------------------------------------------------------------------------


def test_a_key_for_web_push_is_printed_as_a_setting(tmp_path: Path) -> None:
    made = messaging(tmp_path, "vapid-keys")
    assert made.returncode == 0
    setting, comment = made.stdout.splitlines()
    key = keys.private_key(setting.removeprefix("VAPID_PRIVATE_KEY="))
    assert comment.endswith(keys.VapidKey(key, "mailto:a@b.example").public_key)
    assert messaging(tmp_path, "vapid-keys").stdout != made.stdout


# --- token -------------------------------------------------------------------------------------------


async def test_a_token_is_for_the_user_and_lasts_as_long_as_it_was_told(tmp_path: Path) -> None:
    made = messaging(
        *(tmp_path, "token", "alice", "--role", "service", "--name", "Alice", "--ttl", "15m"),
        JWT_SECRET=SECRET,
        JWT_AUDIENCE="chat",
        JWT_ISSUER="host",
    )
    assert (made.returncode, made.stderr) == (0, "")
    verifier = JsonWebTokens(secret=SECRET, audience="chat", issuer="host", clock=lambda: datetime.now(UTC))
    identity = await verifier.verify(made.stdout.strip())
    assert identity.profile == Profile(id="alice", name="Alice")
    assert identity.service
    assert identity.issued_at
    assert identity.expires_at == identity.issued_at + timedelta(minutes=15, seconds=10)


async def test_in_development_tokens_are_signed_with_the_kept_secret(tmp_path: Path) -> None:
    made = messaging(tmp_path, "token", "bob")
    assert f"No server has run with {tmp_path / 'data' / 'messaging.db'} yet" in made.stderr
    secret = (tmp_path / "data" / SECRET_FILE).read_text()
    verifier = JsonWebTokens(secret=secret, clock=lambda: datetime.now(UTC))
    assert (await verifier.verify(made.stdout.strip())).profile.id == "bob"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("a/b",), "control characters or '/'"),
        (("",), "1 to 128 characters"),
        (("system",), "is reserved"),
        (("alice", "--ttl", "0s"), "such as 30s"),
        (("alice", "--ttl", "soon"), "such as 30s"),
        (("alice", "--ttl", "99999d"), "ten years"),
        (("alice", "--ttl", "999999999d"), "ten years"),
        ((), "USER"),
    ],
)
def test_bad_arguments_are_told(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    made = within(tmp_path, "token", *arguments, JWT_SECRET=SECRET)
    assert (made.exit_code, made.stdout) == (2, "")
    assert reason in " ".join(made.stderr.split())


def test_bad_arguments_are_told_without_a_traceback(tmp_path: Path) -> None:
    made = messaging(tmp_path, "token", "a/b", JWT_SECRET=SECRET)
    assert (made.returncode, made.stdout) == (2, "")
    assert "control characters or '/'" in " ".join(made.stderr.split())
    assert "Traceback" not in made.stderr


def test_the_help_says_how_a_time_is_written(tmp_path: Path) -> None:
    told = within(tmp_path, "token", "--help")
    assert "such as 30s, 15m, 12h or 7d" in " ".join(told.stdout.split())


def test_no_token_is_made_with_a_secret_that_only_the_server_knows(tmp_path: Path) -> None:
    made = within(tmp_path, "token", "alice", DATABASE_PATH=":memory:")
    assert (made.exit_code, made.stdout) == (2, "")
    assert made.stderr.startswith("DATABASE_PATH: ")


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("serve",), ("token", "alice")])
def test_all_mistakes_are_plain_lines_and_stop_the_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = messaging(tmp_path, *command, PORT="x", MONGODB_URI=MONGODB, JWT_SECRET="hunter22")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "PORT: must be a whole number.",
        "JWT_SECRET: must have at least 32 bytes.",
    ]


def test_help_and_version_need_no_settings(tmp_path: Path) -> None:
    for option in ("--help", "--version"):
        assert messaging(tmp_path, option, PORT="x").returncode == 0


# --- several workers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, ["MONGODB_URI: must be set", "REDIS_URL: must be set"]),
        ({"REDIS_URL": "redis://127.0.0.1"}, ["SQLite serves one process"]),
        ({"MONGODB_URI": "mongodb://127.0.0.1"}, ["REDIS_URL: must be set"]),
    ],
)
def test_several_workers_without_what_they_need_are_refused(
    tmp_path: Path, environment: dict[str, str], told: list[str]
) -> None:
    found = messaging(tmp_path, "serve", "--workers", "2", JWT_SECRET=SECRET, **environment)
    assert found.returncode == 2
    assert all(words in found.stderr for words in told)
    assert "Traceback" not in found.stderr


# --- doctor ------------------------------------------------------------------------------------------


def test_the_doctor_finds_a_fresh_clone_well(tmp_path: Path) -> None:
    found = messaging(tmp_path, "doctor")
    assert re.search(
        r"^ok: storage: SQLite [\d.]+, journal wal, every write on disk$", found.stdout, re.MULTILINE
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_the_doctor_tells_what_is_wrong_with_the_settings(tmp_path: Path) -> None:
    found = messaging(tmp_path, "doctor", PORT="x", JWT_SECRET="hunter22")
    assert found.returncode == 1
    assert "wrong: settings: PORT: must be a whole number." in found.stdout.splitlines()
    assert "hunter22" not in found.stdout + found.stderr


def test_the_doctor_tells_what_cannot_be_reached_and_how_to_mend_it(tmp_path: Path) -> None:
    found = messaging(
        *(tmp_path, "doctor"),
        JWT_SECRET=SECRET,
        MONGODB_URI="mongodb://user:hunter22@127.0.0.1:1/chat?serverSelectionTimeoutMS=500",
        REDIS_URL="redis://:hunter23@127.0.0.1:1",
    )
    assert found.returncode == 1
    storage, uploads, cache = [line for line in found.stdout.splitlines() if line.startswith("wrong: ")]
    assert storage.startswith("wrong: storage: ")
    assert "MONGODB_URI" in storage
    assert uploads.startswith("wrong: uploads: ")
    assert cache.startswith("wrong: Redis: ")
    assert "REDIS_URL" in cache
    assert "hunter" not in found.stdout + found.stderr
    assert "Traceback" not in found.stdout + found.stderr


def test_the_doctor_says_in_one_line_what_to_check_of_object_storage(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    found = messaging(
        *(tmp_path, "doctor"),
        JWT_SECRET=SECRET,
        UPLOADS_URL="s3://bucket/uploads",
        AWS_ENDPOINT_URL="http://127.0.0.1:1",
        AWS_ALLOW_HTTP="true",
        AWS_ACCESS_KEY_ID="someone",
        AWS_SECRET_ACCESS_KEY="hunter22",
        AWS_REGION="somewhere",
    )
    assert found.returncode == 1
    (uploads,) = [line for line in found.stdout.splitlines() if line.startswith("wrong: ")]
    assert uploads.startswith("wrong: uploads: ")
    assert "check UPLOADS_URL, that its bucket is there" in uploads
    assert "Debug" not in found.stdout
    assert "hunter" not in found.stdout + found.stderr


def test_the_doctor_finds_a_real_mongodb_and_redis_well(
    tmp_path: Path, mongodb_uri: str, redis_url: str
) -> None:
    found = messaging(tmp_path, "doctor", JWT_SECRET=SECRET, MONGODB_URI=mongodb_uri, REDIS_URL=redis_url)
    assert re.search(
        r"^ok: storage: MongoDB [\d.]+, replica set rs0 of 1, writes by majority, journalled$",
        found.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^ok: Redis: Redis [\d.]+$", found.stdout, re.MULTILINE)
    assert found.returncode == 0
    assert f"ok: workers: serve --workers {os.cpu_count()} uses" in found.stdout


async def test_the_doctor_asks_for_the_keys_and_the_webhook(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    async with issuing(trusted) as issuer, receiving() as receiver:
        issuer.keys = [public_jwk("ES256", private_key("ES256"), kid="a")]
        set_up = {
            "JWT_JWKS_URL": issuer.url,
            "SSL_CERT_FILE": str(trusted.certificate),
            "WEBHOOK_URL": receiver.url,
            "WEBHOOK_SECRET": "hunter22-hunter22-hunter22",
            "WEBHOOK_ALLOW_PRIVATE": "true",
            "WEBHOOK_EVENT": "message.created",
        }
        well = await to_thread(messaging, tmp_path, "doctor", **set_up)
        issuer.keys = []
        set_up["WEBHOOK_URL"] = "http://127.0.0.1:1/hook"
        sick = await to_thread(messaging, tmp_path, "doctor", **set_up)
    assert "ok: keys: 1 keys, for ES256" in well.stdout.splitlines()
    assert "ok: webhook: reached (it answers 405 to a GET)" in well.stdout.splitlines()
    assert "note: WEBHOOK_EVENT: is set, and is not a setting; README.md has all of them" in well.stdout
    assert well.returncode == 0
    assert re.search(r"^wrong: keys: .*JWT_JWKS_URL", sick.stdout, re.MULTILINE)
    assert re.search(r"^wrong: webhook: .*WEBHOOK_URL", sick.stdout, re.MULTILINE)
    assert "hunter22" not in sick.stdout + sick.stderr


async def test_a_backplane_of_one_process_is_well() -> None:
    await check_backplane(open_backplane(None, rules={}))


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("pytest", None),
        ("pytest>=1", None),
        ("redis[hiredis]>=8.0.1", None),
        ("pytest<1,>=0.5", "pytest is .*, but must be <1"),
        ("pytest>=1000.1", "but must be >=1000.1"),
        ("no-such-library>=1", "no-such-library is missing"),
    ],
)
def test_the_doctor_knows_a_library_that_is_missing_or_of_a_wrong_version(
    requirement: str, problem: str | None
) -> None:
    found = library_problem(requirement)
    assert found is None if problem is None else re.search(problem, found or "")
