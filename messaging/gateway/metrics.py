"""What is counted, for `/metrics` (Prometheus text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge

from messaging.gateway.tallies import Tally, Timing

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The buckets of all latencies."""
UNSAID = "-"
"""The dialect of who has not said yet which one it speaks."""


class Metrics:
    """One process's counters. Labels have few values: dialects, commands, reasons, operations."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._connections = Gauge(
            "messaging_connections", "Open connections.", ["dialect"], registry=self.registry
        )
        self._opened = self._counter("connections_opened", "Connections signed in.", "dialect")
        self._closed = self._counter("connections_closed", "Connections ended.", "dialect", "reason")
        self._refused = self._counter("connections_refused", "Sign-ins refused.", "dialect", "code")
        self._returned = self._counter("reconnections", "Users back within the grace period.", "dialect")
        self._recoveries = self._counter(
            "recoveries", "Clients back with a connection's pid: recovered, or anew.", "dialect", "outcome"
        )
        self._received = self._counter("commands_received", "Commands taken.", "dialect", "command")
        self._sent = self._counter("messages_received", "Messages that were stored for a sender.", "dialect")
        self._heard = self._counter("messages_delivered", "New messages written to clients.", "dialect")
        self._failed = self._counter("commands_failed", "Commands refused.", "dialect", "code")
        self._delivered = self._counter("frames_delivered", "Event frames written.", "dialect")
        self._latency = self._histogram(
            "command_seconds", "From receipt of a command to the writing of its events.", "dialect"
        )
        self._stored = self._histogram("store_seconds", "What the store took.", "operation")
        self._unstored = self._counter("store_failures", "What the store did not do.", "operation")
        self._bus = self._histogram("bus_seconds", "From saying something on the bus to hearing it.")
        self._unheard = self._counter("bus_failures", "What was said on the bus and not heard in time.")
        self._lag = self._histogram("loop_lag_seconds", "How late the process was with what was due.")
        self._doubles = self._counter("doubles_suppressed", "Messages that came again.", "source")
        self._left_out = self._counter("signals_left_out", "Not told to clients that are behind.", "dialect")
        self._webhooks = self._counter("webhook_deliveries", "Tries to tell the webhook.", "type", "outcome")
        self._pushes = self._counter("pushes", "What became of Web Push messages.", "outcome")
        self._gaps = self._counter("gaps_filled", "Reads from the store of what the bus did not bring.")

    def opened(self, dialect: str) -> None:
        """A connection signed in."""
        self._connections.labels(dialect).inc()
        self._opened.count(dialect)

    def closed(self, dialect: str, reason: str) -> None:
        """A connection ended."""
        self._connections.labels(dialect).dec()
        self._closed.count(dialect, reason)

    def refused(self, dialect: str, code: str) -> None:
        """A sign-in was refused."""
        self._refused.count(dialect, code)

    def returned(self, dialect: str) -> None:
        """A user who had lost their last connection is back in time."""
        self._returned.count(dialect)

    def came_back(self, dialect: str, *, whole: bool) -> None:
        """A client that had lost its connection is back, and goes on where it stopped, or does not."""
        self._recoveries.count(dialect, "recovered" if whole else "anew")

    def failed(self, dialect: str, code: str) -> None:
        """A command was refused."""
        self._failed.count(dialect, code)

    def finished(self, dialect: str, command: str, seconds: float) -> None:
        """A command was answered and its events were written, so long after it came."""
        self._received.count(dialect, command)
        self._latency.observe(seconds, dialect)

    def sent(self, dialect: str) -> None:
        """A message that somebody sent was stored."""
        self._sent.count(dialect)

    def delivered(self, dialect: str, frames: int, *, message: bool = False) -> None:
        """Event frames were written; those of a new message, where it is one."""
        self._delivered.add(frames, dialect)
        if message:
            self._heard.add(frames, dialect)

    def stored(self, operation: str, seconds: float, succeeded: bool) -> None:
        """The store was asked for something."""
        self._stored.observe(seconds, operation)
        if not succeeded:
            self._unstored.count(operation)

    def heard_back(self, seconds: float | None) -> None:
        """What was said on the bus was heard so much later, or not at all."""
        if seconds is None:
            self._unheard.count()
        else:
            self._bus.observe(seconds)

    def lagged(self, seconds: float) -> None:
        """The loop was so late with what was due."""
        self._lag.observe(seconds)

    def suppressed(self, source: str) -> None:
        """A message came again: from its sender, or over the bus."""
        self._doubles.count(source)

    def left_out(self, dialect: str) -> None:
        """A typing or presence event was not told to a client that is behind."""
        self._left_out.count(dialect)

    def webhook(self, type_: str, outcome: str) -> None:
        """The webhook was told something, or was not."""
        self._webhooks.count(type_, outcome)

    def pushed(self, outcome: str) -> None:
        """This became of a Web Push message."""
        self._pushes.count(outcome)

    def gap_filled(self) -> None:
        """Messages were read from the store because the bus did not bring them."""
        self._gaps.count()

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a figure that somebody else keeps."""
        Gauge(f"messaging_{name}", text, registry=self.registry).set_function(value)

    def _counter(self, name: str, text: str, *labels: str) -> Tally:
        return Tally(f"messaging_{name}", text, labels, self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Timing:
        return Timing(f"messaging_{name}", text, labels, self.registry, bounds=_SECONDS)
