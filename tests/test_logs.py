"""The log: one line a record, whatever is in it, and never a token."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.logs import JsonFormatter, LinesHandler, TextFormatter, redact, set_up
from messaging.tokens import mint

MINTED = datetime(2026, 11, 20, 12, tzinfo=UTC)  # the names of tests are the same whenever they run
TOKEN = mint("a secret of more than thirty-two bytes", "al", now=MINTED, ttl=timedelta(hours=1))


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    names = ("aiohttp", "aiohttp.access", "asyncio", "engineio", "pymongo", "redis", "socketio")
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    before = [(logger, logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, propagate, handlers in before:
        logger.level, logger.propagate, logger.handlers[:] = level, propagate, handlers
    logging.getLogger().manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001 - levels were set by hand


LIBRARIES = ("socketio.server", "engineio.server", "pymongo.command")


def record(message: str, *arguments: object, exc_info: Any = None) -> logging.LogRecord:
    made = logging.LogRecord("messaging.app", logging.INFO, "file", 1, message, arguments, exc_info)
    made.created = 1_795_201_200.1239
    return made


def test_a_text_line_has_time_level_logger_and_message() -> None:
    line = TextFormatter().format(record("WS_CONNECT: UserID=%s", "alice"))
    assert line == "2026-11-20T19:00:00.123Z INFO messaging.app: WS_CONNECT: UserID=alice"


def test_a_json_line_has_the_same() -> None:
    assert json.loads(JsonFormatter().format(record("hello %s", "é\n"))) == {
        "time": "2026-11-20T19:00:00.123Z",
        "level": "INFO",
        "logger": "messaging.app",
        "message": "hello é\n",
    }


@pytest.mark.parametrize("form", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("bad", ["\n", "\r\n", "\x1b[2J", "\x85", "\u2028", "\u202e", "\ud800", "\x7f"])
def test_control_characters_are_escaped(form: logging.Formatter, bad: str) -> None:
    line = form.format(record("a%sb", bad))
    assert bad not in line
    assert line.encode().decode().isprintable()
    assert "\\" in line


@given(st.text(st.characters(codec=None)))
def test_any_record_is_one_line_of_utf_8(text: str) -> None:
    for form in (TextFormatter(), JsonFormatter()):
        line = form.format(record("%s", text))
        assert len(line.encode().splitlines()) == len(line.splitlines()) == 1


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise RuntimeError(f"no\nway\x1b {TOKEN}")
    except RuntimeError as error:
        failed = record("failed", exc_info=(type(error), error, error.__traceback__))
    for form in (TextFormatter(), JsonFormatter()):
        line = form.format(failed)
        assert "RuntimeError" in line
        assert line.isprintable()
        assert TOKEN not in line


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"GET /ws?token={TOKEN}&after=1",
        "GET /ws?x=1&token=anything-at-all HTTP/1.1",
        "GET /ws?token%3Danything-at-all",
        "cookie: access_token=anything-at-all; theme=dark",
        "Authorization: Bearer anything-at-all",
        "sec-websocket-protocol: bearer, anything-at-all",
        "JWT_SECRET=anything-at-all",
        "cannot reach mongodb+srv://user:anything-at-all@db.example/chat",
        "cannot reach redis://:anything-at-all@cache",
        TOKEN.rpartition(".")[0],
        f"x{TOKEN}x",
    ],
)
def test_what_looks_like_a_token_is_redacted(text: str) -> None:
    hidden = redact(text)
    assert "anything-at-all" not in hidden
    assert not [part for part in TOKEN.split(".") if part in hidden]
    assert re.search(r"\[(token|credentials)\]", hidden)


@pytest.mark.parametrize(
    "text",
    [
        "WS_MESSAGE: Type=message:send, UserID=alice, Room=dm:alice:bob, Dialect=chat",
        "listening on http://127.0.0.1:3000/ws?after=12",
        "The token has expired.",
        "a key.value of everyday.text",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert redact(text) == text


def lines(log_format: str, level: str) -> list[str]:
    stream = io.StringIO()
    set_up(log_format, level, stream=stream)
    for name in ("messaging", *LIBRARIES, "aiohttp.access"):
        for step in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(step, "%s at %d", name, step)
    return stream.getvalue().splitlines()


@pytest.fixture
def fresh_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries' loggers as a new process has them: a stock Socket.IO server sets its own to ERROR."""
    for name in LIBRARIES:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
        logging.getLogger(name).setLevel(logging.NOTSET)  # which forgets what was decided by the old level


@pytest.mark.usefixtures("fresh_libraries")
@pytest.mark.parametrize(
    ("level", "own", "theirs"),
    [("DEBUG", [10, 20, 30, 40], [30, 40]), ("INFO", [20, 30, 40], [30, 40]), ("ERROR", [40], [40])],
)
def test_libraries_speak_only_of_trouble_and_the_access_log_never(
    level: str, own: list[int], theirs: list[int]
) -> None:
    expected = [f"messaging at {step}" for step in own]
    expected += [f"{name} at {step}" for name in LIBRARIES for step in theirs]
    assert [line.split(": ", 1)[1] for line in lines("text", level)] == expected
    assert [json.loads(line)["message"] for line in lines("json", level)] == expected


async def test_lines_of_one_turn_are_written_together_and_a_warning_at_once() -> None:
    stream = io.StringIO()
    handler = LinesHandler(stream)
    handler.handle(_record("one"))
    handler.handle(_record("two"))
    assert stream.getvalue() == ""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stream.getvalue() == "one\ntwo\n"
    handler.handle(_record("three"))
    handler.handle(_record("four", logging.WARNING))
    assert stream.getvalue().endswith("three\nfour\n")


def test_a_line_outside_of_any_loop_is_written_at_once() -> None:
    stream = io.StringIO()
    handler = LinesHandler(stream)
    handler.handle(_record("one"))
    assert stream.getvalue() == "one\n"


def test_lines_that_wait_are_written_at_the_end() -> None:
    stream = io.StringIO()
    handler = LinesHandler(stream)

    async def say() -> None:
        handler.handle(_record("last words"))

    asyncio.run(say())  # the loop is gone before its next turn
    logging.shutdown([weakref.ref(handler)])
    assert stream.getvalue() == "last words\n"


def _record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("messaging", level, "", 0, text, None, None)
