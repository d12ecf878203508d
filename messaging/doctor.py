"""The doctor: looks at all that a service stands on, and says what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from messaging import __version__, logs, supervisor
from messaging.backplanes import Backplane
from messaging.backplanes.redis_line import Address, Line
from messaging.domain.errors import Unavailable
from messaging.domain.events import Announcement
from messaging.jwks import FETCH_SECONDS, Jwks
from messaging.outgoing.client import MAX_ANSWER_BYTES, Outgoing
from messaging.service.ports import Store
from messaging.service.ports_uploads import Files
from messaging.settings import Settings, SettingsError, read_settings, unknown_names

CHECK_SECONDS = 15.0
OLDEST_REDIS = (6, 2, 0)
DISTRIBUTION = "messaging-server"

Check = Callable[[], Coroutine[None, None, str]]
"""Tells what was found; raises what is wrong."""


def examine() -> Iterator[str]:
    """Lines that begin with `ok: `, `note: ` or `wrong: `; these end with how to mend it."""
    yield f"ok: messaging {__version__}, Python {platform.python_version()}, {platform.system()}"
    yield from _libraries()
    try:
        settings = read_settings()
    except SettingsError as wrong:
        yield from (f"wrong: settings: {mistake}" for mistake in wrong.mistakes)
        yield "note: storage, Redis, keys and webhook were not tried; mend the settings first"
        return
    yield from _about(settings)
    logs.set_up("text", "CRITICAL")  # what a check finds is told here, once
    yield from _storage(settings)
    yield from _uploads(settings)
    yield from _redis(settings)
    yield from _keys(settings)
    yield from _webhook(settings)


def _libraries() -> Iterator[str]:
    try:
        needed = [text for text in requires(DISTRIBUTION) or () if "extra ==" not in text]
    except PackageNotFoundError:
        yield "note: libraries: not checked, since this was not installed as a package"
        return
    bad = [problem for text in needed if (problem := library_problem(text))]
    yield from (f"wrong: libraries: {problem}; run pip install . again" for problem in bad)
    if not bad:
        yield f"ok: libraries: {len(needed)} as needed"


def library_problem(requirement: str) -> str | None:
    """What is wrong with the installed version, for a requirement such as `redis[hiredis]>=8.0.1,<9`."""
    name, bounds = re.fullmatch(r"([\w.-]+)(?:\[.*?\])?([^;]*).*", requirement, re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    for comparison, bound in re.findall(r"(>=|<)\s*([\d.]+)", bounds):
        if (_numbers(found) >= _numbers(bound)) != (comparison == ">="):
            return f"{name} is {found}, but must be {comparison}{bound}"
    return None


def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", text)][:3]
    return (*numbers, *(0,) * (3 - len(numbers)))


def _about(settings: Settings) -> Iterator[str]:
    mode = "development" if settings.development else "production"
    yield f"ok: settings: {mode} mode, on {settings.host} port {settings.port}"
    for name in unknown_names():
        yield f"note: {name}: is set, and is not a setting; README.md has all of them"
    if "*" in settings.cors_origins:
        yield "note: CORS_ORIGINS: * lets any web page talk to this server, though without cookies"
    if not settings.jwt_require_exp:
        yield "note: JWT_REQUIRE_EXP: tokens without an end are accepted"
    if settings.mongodb_uri is None:
        yield "note: storage: SQLite serves one process; set MONGODB_URI to serve with several"
    elif settings.redis_url is None:
        yield "note: Redis: without REDIS_URL, run one process only"
    elif mistakes := list(supervisor.several_mistakes(settings)):
        yield from (f"note: {mistake}" for mistake in mistakes)
    else:
        yield f"ok: workers: serve --workers {os.cpu_count() or 1} uses all processors of this machine"
    if settings.vapid_private_key is not None:
        said = "words and names included" if settings.push_content else "ids only"
        yield f"ok: Web Push: {said}, in the name of {settings.vapid_subject}"


def _storage(settings: Settings) -> Iterator[str]:
    mend = (
        f"check that {settings.database_path} can be written and that no server is using it (DATABASE_PATH)"
    )
    if settings.mongodb_uri is not None:
        mend = "check MONGODB_URI, that it can be reached from here, and that it is a replica set"

    async def check() -> str:
        from messaging import app

        return await check_store(app.open_store(settings))

    yield _outcome("storage", check, mend)


def _uploads(settings: Settings) -> Iterator[str]:
    mend = "check that the folder of DATABASE_PATH can be written"
    if settings.uploads_url is not None:
        mend = "check UPLOADS_URL, that its bucket is there, and its keys and endpoint (AWS_…)"
    elif settings.mongodb_uri is not None:
        mend = "check MONGODB_URI, where uploads are kept, too"

    async def check() -> str:
        from messaging import app

        return await check_files(app.open_upload_files(settings))

    yield _outcome("uploads", check, mend)


def _redis(settings: Settings) -> Iterator[str]:
    url = settings.redis_url
    if url is None:
        return

    async def check() -> str:
        from messaging import app

        await check_backplane(app.open_backplane(settings))
        return await redis_version(Address(url, verify_certificates=not settings.redis_tls_insecure))

    yield _outcome(
        "Redis", check, "check REDIS_URL (REDIS_TLS_INSECURE=true on Heroku), and that it can be reached"
    )


def _keys(settings: Settings) -> Iterator[str]:
    url = settings.jwt_jwks_url
    if url is None:
        return

    async def check() -> str:
        jwks = Jwks(url, Outgoing(allow_private=True, timeout_seconds=FETCH_SECONDS))
        try:
            found = await jwks.fetch()
        finally:
            await jwks.close()
        keys = found.find(None)
        return f"{len(keys)} keys, for {', '.join(sorted({key.algorithm for key in keys}))}"

    yield _outcome("keys", check, "check that JWT_JWKS_URL is a JWKS document and can be reached from here")


def _webhook(settings: Settings) -> Iterator[str]:
    url = settings.webhook_url
    if url is None:
        return

    async def check() -> str:
        out = Outgoing(allow_private=settings.webhook_allow_private)
        try:
            answer = await out.get(url, max_bytes=MAX_ANSWER_BYTES)
        finally:
            await out.close()
        return f"reached (it answers {answer.status} to a GET)"

    yield _outcome("webhook", check, "check WEBHOOK_URL, and that it can be reached from here")


async def redis_version(address: Address) -> str:
    """Which Redis it is; ValueError for one that is too old."""
    line = Line(address, patience=CHECK_SECONDS)
    try:
        told = await line.ask("INFO", "server")
    finally:
        await line.close()
    text = told.decode() if isinstance(told, bytes) else str(told)
    found = re.search(r"redis_version:([\d.]+)", text)
    version_ = found[1] if found else "of an unknown version"
    if found and _numbers(version_) < OLDEST_REDIS:
        raise ValueError(f"Redis {version_} is too old; 6.2 or newer is needed")
    return f"Redis {version_}"


async def check_store(store: Store) -> str:
    """What the store is, if it opens, answers and takes writes."""
    try:
        await store.open()
        await store.ping()
        return await store.about()
    finally:
        await store.close()


async def check_files(files: Files) -> str:
    """What keeps uploads, if it takes a file and gives it up again."""

    async def checked() -> AsyncIterator[bytes]:
        yield b"checked"

    name = f"doctor-{secrets.token_hex(8)}"
    try:
        await files.open()
        await files.write(name, checked())
        await files.delete(name)
    finally:
        await files.close()
    return f"{files.kind}, takes files"


async def check_backplane(backplane: Backplane) -> None:
    """Return if what is said on the bus comes back."""

    def ignore(event: Announcement) -> None:
        del event

    try:
        await backplane.bus.start(ignore)
        await backplane.bus.check()
    finally:
        await backplane.close()


def _outcome(name: str, check: Check, mend: str) -> str:
    async def within_limit() -> str:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()

    try:
        found = asyncio.run(within_limit())
    except Exception as wrong:  # noqa: BLE001 - whatever it is, it is what the doctor was asked for
        return f"wrong: {name}: {_reason(wrong)}; {mend}"
    return f"ok: {name}: {found}"


def _reason(wrong: BaseException) -> str:
    """The driver's own words where there are some, shortened, on one line, without passwords."""
    while wrong.__cause__ is not None:
        wrong = wrong.__cause__
    if isinstance(wrong, Unavailable):
        return "does not answer"
    # A library that is written in Rust says all that it knows on the lines that follow.
    text = logs.escape(logs.redact(str(wrong).strip().partition("\n")[0]))
    return f"{type(wrong).__name__} ({text[:200].rstrip('.')})" if text else type(wrong).__name__
