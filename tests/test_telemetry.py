"""Spans of commands and store calls: what they say, what they never say, and whose they are."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from messaging import telemetry
from messaging.backplanes import Exchange, in_memory
from messaging.domain.commands import Actor, GetConversation, SendMessage
from messaging.domain.errors import RoomNotFound
from messaging.domain.models import Identity, Profile
from messaging.domain.replies import Done
from messaging.gateway.gateway import Gateway
from messaging.service import tracing
from messaging.service.context import Outcome
from messaging.service.ports import Store
from messaging.stores.sqlite import SqliteStore
from messaging.telemetry import Telemetry
from tests.servers import wait_until
from tests.stage import NO_RULES, Stage, staged

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET_TEXT = "what nobody else is to read"


class Scene:
    """A gateway that is traced, and what was exported when it is closed."""

    def __init__(self, stage: Stage, traces: Telemetry, exporter: InMemorySpanExporter) -> None:
        self.stage = stage
        self.traces = traces
        self.exporter = exporter
        self.gateway = Gateway(stage.ctx, in_memory(Exchange(NO_RULES)).bus)
        self.gateway.around = traces.command

    async def spans(self) -> list[ReadableSpan]:
        """All spans so far; there are none after it."""
        await self.traces.close()
        return list(self.exporter.get_finished_spans())


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    exporter = InMemorySpanExporter()
    traces = Telemetry(exporter=exporter)
    store: Store = traces.store(SqliteStore(":memory:"))
    async with staged(store=store) as stage:
        yield Scene(stage, traces, exporter)


def context_of(span: ReadableSpan) -> SpanContext:
    """Whose a span is."""
    context = span.get_span_context()
    assert context is not None
    return context


async def test_a_command_has_a_span_and_its_store_calls_are_within_it(scene: Scene) -> None:
    alice = await scene.stage.user("alice")
    await scene.stage.group("1", "alice")
    with tracing.tracing(TRACE):
        await scene.gateway.perform(alice, GetConversation(conversation_id="1"))
        await scene.gateway.perform(alice, SendMessage(conversation_id="1", content=SECRET_TEXT))
    spans = await scene.spans()
    commands = {span.name: span for span in spans if span.name.startswith("command ")}
    assert commands.keys() == {"command GetConversation", "command SendMessage"}
    for span in commands.values():
        assert f"{context_of(span).trace_id:032x}" == TRACE[3:35]
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == TRACE[36:52]
    got = context_of(commands["command GetConversation"])
    within = [s for s in spans if s.parent is not None and s.parent.span_id == got.span_id]
    assert {span.name for span in within} >= {"store conversation", "store roles"}
    assert any(span.name == "store append" for span in spans)


async def test_no_span_says_what_anybody_wrote(scene: Scene) -> None:
    alice = await scene.stage.user("alice", name="Alice")
    await scene.stage.group("1", "alice")
    await scene.gateway.perform(alice, SendMessage(conversation_id="1", content=SECRET_TEXT))
    nobody = Actor(identity=Identity(profile=Profile(id="nobody")))
    with pytest.raises(RoomNotFound):
        await scene.gateway.perform(nobody, SendMessage(conversation_id="1", content=SECRET_TEXT))
    spans = await scene.spans()
    told = json.dumps([json.loads(span.to_json()) for span in spans])
    assert SECRET_TEXT not in told
    assert "Alice" not in told
    codes = [(span.attributes or {}).get("messaging.refusal") for span in spans]
    assert [code for code in codes if code] == ["ROOM_NOT_FOUND"]


async def test_what_is_done_in_a_span_is_told_under_its_trace(scene: Scene) -> None:
    seen: list[str] = []

    async def work() -> Outcome:
        seen.append(tracing.trace_id())
        return Outcome(reply=Done())

    await scene.traces.command("Test", work)
    [span] = [span for span in await scene.spans() if span.name == "command Test"]
    assert seen == [f"{context_of(span).trace_id:032x}"]


async def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "CLOSE_SECONDS", 0.3)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    threads = set(threading.enumerate())
    away = Telemetry(endpoint="http://127.0.0.1:1")
    await away.command("Test", _done)
    began = time.monotonic()
    await away.close()
    assert time.monotonic() - began < 5
    # Its attempts draw from `random`; going on beside another test they look to Hypothesis like its own.
    assert wait_until(lambda: threads.issuperset(threading.enumerate()), 30)


async def _done() -> Outcome:
    return Outcome(reply=Done())
