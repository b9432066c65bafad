"""What a peer received of a testcard session that beeps: rate, skew, latency.

Beeps come in a fixed rhythm, so the numbers of the pictures that flash tell when, within those
pictures' 40 ms, each beep began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from benchmarks.report import Figures
from tests.peers.media import Reception

FRAME_S = 0.04
PERIOD_S = 1.013  # of benchmarks.sounds.beeps


@dataclass
class Seen:
    """`pictures`: (number, time, lit) and `onsets_s` on one scale of the peer's; `arrivals`:
    (number, monotonic time) of what was received."""

    pictures: list[tuple[int, float, bool]] = field(default_factory=list)
    onsets_s: list[float] = field(default_factory=list)
    arrivals: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def of(cls, reception: Reception) -> Seen:
        readable = [p for p in reception.pictures if p.number is not None]
        return cls(
            [(p.number or 0, p.time_s, p.flash) for p in readable],
            reception.onsets_s,
            [(p.number or 0, p.arrival_s) for p in readable],
        )

    @property
    def flashes(self) -> list[tuple[int, float]]:
        """Number and time of the pictures in which a beep begins."""
        return [(b[0], b[1]) for a, b in pairwise(self.pictures) if b[2] and not a[2]]

    @property
    def fps(self) -> float:
        times = [time_s for _, time_s, _ in self.pictures]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def skews_ms(self) -> list[float]:
        """Picture against sound at each beep; negative: the picture is early."""
        phases = phases_s([number for number, _ in self.flashes])
        begun = [time_s + phases[number] for number, time_s in self.flashes]
        skews = [min((b - on_s for b in begun), key=abs) for on_s in self.onsets_s if begun]
        return [1000 * skew for skew in skews if abs(skew) < PERIOD_S / 2]

    def latencies_ms(self, base_s: float) -> list[float]:
        return [1000 * (at_s - base_s - number * FRAME_S) for number, at_s in self.arrivals]


def phases_s(numbers: list[int]) -> dict[int, float]:
    """How far into each of these pictures its beep begins."""
    if not numbers:
        return {}
    first = numbers[0]
    beeps = {number: round((number - first) * FRAME_S / PERIOD_S) for number in numbers}
    low = max(number * FRAME_S - beep * PERIOD_S for number, beep in beeps.items())
    high = min((number + 1) * FRAME_S - beep * PERIOD_S for number, beep in beeps.items())
    start_s = (low + high) / 2
    return {number: start_s + beep * PERIOD_S - number * FRAME_S for number, beep in beeps.items()}


def base_s(seen: Seen, entered_s: list[float]) -> float:
    """The monotonic time at which the sound of picture 0 entered: from when each beep was sent,
    and in which picture it is seen. Beeps are matched by order of size of the latency."""
    bases = []
    for number, _ in seen.flashes:
        phase = phases_s([n for n, _ in seen.flashes])[number]
        arrived = next((at for n, at in seen.arrivals if n == number), None)
        before = [sent for sent in entered_s if arrived is not None and sent < arrived]
        if before:
            bases.append(before[-1] - number * FRAME_S - phase)
    return float(np.median(bases))


def percentile(values: list[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if values else None


def figures_of(sink: str, seen: Seen, base: float) -> Figures:
    skews = [abs(skew) for skew in seen.skews_ms()]
    return {
        f"{sink}_fps": round(seen.fps, 2),
        f"{sink}_skew_ms_p95": percentile(skews, 95),
        f"{sink}_latency_ms_p50": percentile(seen.latencies_ms(base), 50),
    }
