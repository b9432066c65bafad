"""Figures of what really happened, for operators: Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STAGE_BUCKETS_MS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 60, 100, 200)


class Metrics:
    """One registry per server; the same figures that the stats message carries."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.sessions = Gauge("avatar_sessions", "Live sessions", registry=r)
        self.viewers = Gauge("avatar_viewers", "Connected viewers", registry=r)
        self.refused = Counter("avatar_refused", "Clients refused", ["code"], registry=r)
        self.frames = Counter("avatar_frames", "Pictures sent to the playout", registry=r)
        self.dropped = Counter("avatar_frames_dropped", "Pictures skipped by overload", registry=r)
        self.restarts = Counter("avatar_worker_restarts", "Workers replaced", registry=r)
        self.latency = Gauge("avatar_latency_ms", "Declared latency of the sound", registry=r)
        self.stage = Histogram(
            "avatar_stage_ms",
            "Milliseconds a picture spent in a stage (worker's median per second)",
            ["stage"],
            buckets=STAGE_BUCKETS_MS,
            registry=r,
        )
        self.skew = Histogram(
            "avatar_skew_ms",
            "How late a picture left, against its sound",
            buckets=(-5, 0, 1, 2, 5, 10, 20, 40, 80, 160),
            registry=r,
        )
        self.loop_lag = Gauge("avatar_loop_lag_ms", "How late the last tick ran", registry=r)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
