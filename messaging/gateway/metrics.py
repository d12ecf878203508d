"""What is counted, for `/metrics` (Prometheus text format 0.0.4)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds."""


class Metrics:
    """One process's counters. Labels have few values: dialects, commands, reasons."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._connections = Gauge(
            "messaging_connections", "Open connections.", ["dialect"], registry=self.registry
        )
        self._opened = Counter(
            "messaging_connections_opened", "Connections signed in.", ["dialect"], registry=self.registry
        )
        self._closed = Counter(
            "messaging_connections_closed",
            "Connections ended.",
            ["dialect", "reason"],
            registry=self.registry,
        )
        self._refused = Counter(
            "messaging_connections_refused", "Sign-ins refused.", ["code"], registry=self.registry
        )
        self._received = Counter(
            "messaging_commands_received", "Commands taken.", ["dialect", "command"], registry=self.registry
        )
        self._failed = Counter(
            "messaging_commands_failed", "Commands refused.", ["dialect", "code"], registry=self.registry
        )
        self._delivered = Counter(
            "messaging_frames_delivered", "Event frames written to clients.", registry=self.registry
        )
        self._latency = Histogram(
            "messaging_command_seconds",
            "From receipt of a command to the writing of its events.",
            ["dialect"],
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self._gaps = Counter(
            "messaging_gaps_filled",
            "Reads from the store of what the bus did not bring.",
            registry=self.registry,
        )

    def opened(self, dialect: str) -> None:
        """A connection signed in."""
        self._connections.labels(dialect).inc()
        self._opened.labels(dialect).inc()

    def closed(self, dialect: str, reason: str) -> None:
        """A connection ended."""
        self._connections.labels(dialect).dec()
        self._closed.labels(dialect, reason).inc()

    def refused(self, code: str) -> None:
        """A sign-in was refused."""
        self._refused.labels(code).inc()

    def received(self, dialect: str, command: str) -> None:
        """A command was taken."""
        self._received.labels(dialect, command).inc()

    def failed(self, dialect: str, code: str) -> None:
        """A command was refused."""
        self._failed.labels(dialect, code).inc()

    def finished(self, dialect: str, seconds: float) -> None:
        """A command was answered and its events were written."""
        self._latency.labels(dialect).observe(seconds)

    def delivered(self, frames: int) -> None:
        """Event frames were written."""
        self._delivered.inc(frames)

    def gap_filled(self) -> None:
        """Messages were read from the store because the bus did not bring them."""
        self._gaps.inc()
