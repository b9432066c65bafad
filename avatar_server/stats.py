"""What one session measured of itself, once a second."""

from __future__ import annotations

from avatar_server.clock import Clock
from avatar_server.metrics import Metrics
from avatar_server.rolling import Rolling
from avatar_server.worker.pool import WorkerStats
from sonic_stream.media import MediaPacket

STAGES = ("features", "network", "render", "encode")


class SessionStats:
    """Collects; `report` gives the `stats` message's fields when a second has passed."""

    def __init__(self, metrics: Metrics, clock: Clock, latency_ms: float) -> None:
        self.worker_state = "starting"
        self._metrics = metrics
        self._clock = clock
        self._latency_ms = latency_ms
        self._skew_ms = Rolling()
        self._lag_ms = Rolling()
        self._stages: dict[str, dict[str, float]] = {}
        self._pictures = 0
        self._drawn: dict[str, int] = {}
        self._dropped = 0
        self._restarts = 0
        self._since_s = clock.now_s()
        metrics.latency.set(latency_ms)

    def tick(self, late_s: float) -> None:
        self._lag_ms.add(1000 * late_s)
        self._metrics.loop_lag.set(1000 * late_s)

    def encoded(self) -> None:
        self.worker_state = "live"

    def picture(self, packet: MediaPacket, late_s: float) -> None:
        """A picture leaves `late_s` after its sound."""
        self._pictures += 1
        self._skew_ms.add(1000 * late_s)
        self._metrics.frames.inc()
        self._metrics.skew.observe(1000 * late_s)

    def worker(self, stats: WorkerStats) -> None:
        self._stages = {name: stats.stages[name] for name in STAGES if name in stats.stages}
        self._metrics.dropped.inc(max(stats.dropped - self._dropped, 0))
        self._dropped = stats.dropped
        self._drawn = {"frames": stats.frames, **stats.encodes}
        for name, figures in self._stages.items():
            self._metrics.stage.labels(name).observe(figures["p50"])

    def restarted(self) -> None:
        self.worker_state = "restarting"
        self._restarts += 1
        self._metrics.restarts.inc()

    def report(self, viewers: int, microphone: dict[str, float]) -> dict[str, object] | None:
        now_s = self._clock.now_s()
        passed_s = now_s - self._since_s
        if passed_s < 1.0:
            return None
        fps = round(self._pictures / passed_s, 1)
        self._since_s, self._pictures = now_s, 0
        return {
            "fps": fps,
            "latency_ms": self._latency_ms,
            "skew_ms": self._skew_ms.percentile(95),
            "drops": self._dropped,
            "encodes": self._drawn,
            "mic_buffer_ms": microphone.get("level_ms"),
            "mic_concealed": microphone.get("concealed"),
            "stages": self._stages,
            "loop_lag_ms": self._lag_ms.percentile(99),
            "worker_restarts": self._restarts,
            "viewers": viewers,
        }
