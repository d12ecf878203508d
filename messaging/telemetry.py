"""OpenTelemetry: spans of commands and store calls, for those who installed the extra and named a collector.

Nothing of it is imported, and no call is wrapped, unless it is configured. A span says what was done, how
long it took and how it ended; never what anybody wrote, and no token.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import Future
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import Context as Around
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging import __version__
from messaging.domain.errors import ClientError
from messaging.service import tracing
from messaging.service.context import Outcome, Result
from messaging.service.ports import Store

CLOSE_SECONDS = 3.0
"""How long what is left may take to be exported at the end."""

_PROPAGATOR = TraceContextTextMapPropagator()


class Telemetry:
    """Makes spans and exports them, by default over OTLP/HTTP to where the settings say."""

    def __init__(
        self, *, endpoint: str = "", service_name: str = "messaging", exporter: SpanExporter | None = None
    ) -> None:
        made = exporter or OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service_name, "service.version": __version__})
        )
        self._provider.add_span_processor(BatchSpanProcessor(made))
        self._tracer = self._provider.get_tracer("messaging", __version__)

    async def command(self, name: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Carry a command out within a span, which ends when its outcome is there."""
        span = self._tracer.start_span(
            f"command {name}", context=_around(), kind=SpanKind.SERVER, attributes={"messaging.command": name}
        )
        try:
            with _within(span), tracing.tracing(_traceparent(span)):
                result = await work()
        except BaseException as error:
            _end(span, error)
            raise
        if isinstance(result, Outcome):
            _end(span, None)
        else:
            result.add_done_callback(lambda done: _end(span, _error_of(done)))
        return result

    def store(self, store: Store) -> Store:
        """The same store, with a span for each call."""
        return cast(Store, _Traced(store, self._tracer))

    async def close(self) -> None:
        """Export what is left, for a few seconds at the most."""
        # A thread that nobody waits for: a collector that is away must not hold up the end.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        limit = time.monotonic() + CLOSE_SECONDS
        while closing.is_alive() and time.monotonic() < limit:  # noqa: ASYNC110  a thread has no event for it
            await asyncio.sleep(0.02)


class _Traced:
    def __init__(self, store: Store, tracer: trace.Tracer) -> None:
        self._store = store
        self._tracer = tracer

    @property
    def appends_together(self) -> int:
        """As Store.appends_together."""
        return self._store.appends_together

    def __getattr__(self, operation: str) -> Any:
        method, tracer = getattr(self._store, operation), self._tracer

        async def traced(*args: Any, **kwargs: Any) -> Any:
            span = tracer.start_span(
                f"store {operation}", kind=SpanKind.CLIENT, attributes={"db.operation.name": operation}
            )
            try:
                result = await method(*args, **kwargs)
            except BaseException as error:
                _end(span, error)
                raise
            _end(span, None)
            return result

        setattr(self, operation, traced)  # found directly from now on
        return traced


def _within(span: Span) -> AbstractContextManager[Span]:
    """What is done within knows its span. An exception's text, which may be anything, stays out of it."""
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)


def _around() -> Around | None:
    """The trace that the request named; None: the one that is there, or a new one."""
    traceparent = tracing.current()
    return _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def _error_of(done: Future[Outcome]) -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()


def _end(span: Span, error: BaseException | None) -> None:
    """A refusal is no error of ours: its code says what it was. Of what is one, only the kind is told."""
    if isinstance(error, ClientError):
        span.set_attribute("messaging.refusal", error.code.value)
    elif error is not None:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
