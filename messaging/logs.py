"""What the log looks like: one line per record, as text or as JSON, without tokens.

Nothing in the program logs a token or the content of a message. What is redacted here is the last line of
defence, against the URL in a library's complaint or in an exception's text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

from messaging.service import tracing

# Control characters, line and paragraph separators, lone surrogates, and what turns the direction of text:
# none may forge a line, hide a part of one, or speak to a terminal.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_SECRETS = (
    # a JSON Web Token, or the beginning of one: base64url of '{"', '{ ' or '{\n', then a dot
    (re.compile(r"e(?:yJ|yA|wo|w0)[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]*"), "[token]"),
    (re.compile(r"\b(bearer)(\s*,\s*|\s+|%20|\+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1\2[token]"),
    (re.compile(r"(token|secret|password)(=|%3D)[^\s&;,\"'<>]+", re.IGNORECASE), r"\1\2[token]"),
    (re.compile(r"://[^\s/@\"']*:[^\s/\"']*@"), "://[credentials]@"),
)

_SUSPICIOUS = ("eyj", "eya", "ewo", "ew0", "bearer", "token", "secret", "password", "://")
"""Without one of these in small letters there is nothing to redact."""

_LIBRARIES = (
    *("aiohttp", "asyncio", "engineio", "pymongo", "redis", "socketio"),
    "messaging.transports.socketio.host",  # what the Socket.IO libraries say through our subclasses
)


def set_up(log_format: str, level: str, *, stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error unless given) as `text` or `json`, from `level` on.

    Libraries speak from WARNING on, whatever the level; aiohttp's access log, which prints query strings,
    not at all.
    """
    handler = LinesHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    # No line says where in the program it comes from, and to find out takes as long as all the rest.
    logging._srcfile = None  # noqa: SLF001  as Python's logging HOWTO has it (Optimization)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    access = logging.getLogger("aiohttp.access")
    access.propagate = False
    access.handlers[:] = [logging.NullHandler()]


def redact(text: str) -> str:
    """`text` without what looks like a token or like a password in a URL."""
    lower = text.lower()
    if not any(map(lower.__contains__, _SUSPICIOUS)):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def escape(text: str) -> str:
    """`text` on one line: control characters as Python would write them."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


class _SafeFormatter(logging.Formatter):
    """Everything that a record says, its traceback included, redacted."""

    def parts(self, record: logging.LogRecord) -> dict[str, str]:
        """The record's time, level, logger, message and, where there are some, trace_id and traceback."""
        parts = {
            "time": _time_of(int(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        trace = [self.formatException(record.exc_info)] if record.exc_info else []
        trace += [self.formatStack(record.stack_info)] if record.stack_info else []
        if trace_id := tracing.trace_id():
            parts["trace_id"] = trace_id
        return parts | ({"traceback": redact("\n".join(trace))} if trace else {})


class TextFormatter(_SafeFormatter):
    """`2026-11-20T19:00:00.000Z INFO messaging.app: message`, with a traceback behind ` | `."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line; control characters are escaped."""
        parts = self.parts(record)
        line = f"{parts['time']} {parts['level']} {parts['logger']}: {parts['message']}"
        line += f", TraceID={parts['trace_id']}" if "trace_id" in parts else ""
        return escape(f"{line} | {parts['traceback']}" if "traceback" in parts else line)


class JsonFormatter(_SafeFormatter):
    """One JSON object a line: `time`, `level`, `logger`, `message` and, where there are some, `trace_id` and
    `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as ASCII, so that no character of it can do anything."""
        return json.dumps(self.parts(record), separators=(",", ":"))


_LINES_AT_ONCE = 256


class LinesHandler(logging.StreamHandler[TextIO]):
    """Writes lines in their order: all of one turn of the loop together, and a warning or worse at once, with
    what came before it. What waits is written at the end of the program, too."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that will write what waits

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging.Handler.emit`."""
        try:
            self._lines.append(self.format(record))
            if record.levelno >= logging.WARNING or len(self._lines) >= _LINES_AT_ONCE or not self._is_due():
                self.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001  a line that cannot be written must not stop the program
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            self._loop = None
            if self._lines:
                lines, self._lines = self._lines, []
                self.stream.write("".join([f"{line}\n" for line in lines]))
            super().flush()

    def _is_due(self) -> bool:
        """Whether what waits will be written when this turn of the loop is over, if there is a loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)
        return True


@lru_cache(maxsize=16)
def _time_of(milliseconds: int) -> str:
    return _timestamp(milliseconds / 1000)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
