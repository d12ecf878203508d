"""The doctor: looks at versions, settings, storage and Redis, and says what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from messaging import __version__, logs
from messaging.backplanes import Backplane
from messaging.domain.errors import Unavailable
from messaging.domain.events import Announcement
from messaging.service.ports import Store
from messaging.settings import Settings, SettingsError, read_settings

CHECK_SECONDS = 15.0
DISTRIBUTION = "messaging-server"

Check = Callable[[], Coroutine[None, None, None]]


def examine() -> Iterator[str]:
    """Lines that begin with `ok: `, `note: ` or `wrong: `; these end with how to mend it."""
    yield f"ok: messaging {__version__}, Python {platform.python_version()}, {platform.system()}"
    yield from _libraries()
    try:
        settings = read_settings()
    except SettingsError as wrong:
        yield from (f"wrong: settings: {mistake}" for mistake in wrong.mistakes)
        yield "note: storage and Redis were not tried; mend the settings first"
        return
    yield from _about(settings)
    logs.set_up("text", "CRITICAL")  # what a check finds is told here, once
    yield from _storage(settings)
    yield from _redis(settings)


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
    if "*" in settings.cors_origins:
        yield "note: CORS_ORIGINS: * lets any web page talk to this server, though without cookies"
    if not settings.jwt_require_exp:
        yield "note: JWT_REQUIRE_EXP: tokens without an end are accepted"
    if settings.mongodb_uri is None:
        yield "note: storage: SQLite serves one process; set MONGODB_URI to serve with several"
    elif settings.redis_url is None:
        yield "note: Redis: without REDIS_URL, run one process only"


def _storage(settings: Settings) -> Iterator[str]:
    mend = (
        f"check that {settings.database_path} can be written and that no server is using it (DATABASE_PATH)"
    )
    if settings.mongodb_uri is not None:
        mend = "check MONGODB_URI, that it can be reached from here, and that it is a replica set"

    async def check() -> None:
        from messaging import app

        await check_store(app.open_store(settings))

    yield _outcome("storage", check, mend)


def _redis(settings: Settings) -> Iterator[str]:
    if settings.redis_url is None:
        return

    async def check() -> None:
        from messaging import app

        await check_backplane(app.open_backplane(settings))

    yield _outcome(
        "Redis", check, "check REDIS_URL (REDIS_TLS_INSECURE=true on Heroku), and that it can be reached"
    )


async def check_store(store: Store) -> None:
    """Return if the store opens, answers and takes writes."""
    try:
        await store.open()
        await store.ping()
    finally:
        await store.close()


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
    async def within_limit() -> None:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()

    try:
        asyncio.run(within_limit())
    except Exception as wrong:  # noqa: BLE001 - whatever it is, it is what the doctor was asked for
        return f"wrong: {name}: {_reason(wrong)}; {mend}"
    return f"ok: {name}"


def _reason(wrong: BaseException) -> str:
    """The driver's own words where there are some, shortened, on one line, without passwords."""
    while wrong.__cause__ is not None:
        wrong = wrong.__cause__
    if isinstance(wrong, Unavailable):
        return "does not answer"
    text = logs.escape(logs.redact(str(wrong)))
    return f"{type(wrong).__name__} ({text[:200].rstrip('.')})" if text else type(wrong).__name__
