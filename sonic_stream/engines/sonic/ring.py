"""PURE. Time-aware position shift fusion: windows tile the clip as a ring that turns each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RingPlan:
    """`window` frames a call, `overlap` of them shared with the next one, `shift` a step."""

    frames: int
    window: int = 25
    overlap: int = 0
    shift: int = 7

    def __post_init__(self) -> None:
        if self.frames < 1 or self.window < 1 or not 0 <= self.overlap < self.window:
            raise ValueError(f"no plan for {self}: frames, window >= 1, 0 <= overlap < window")

    @property
    def windows_per_step(self) -> int:
        return -(-self.frames // (self.window - self.overlap))

    def at_step(self, step: int) -> Iterator[list[int]]:
        """Frame indices of each window. The last wraps to the first frames; a clip shorter
        than the window repeats itself within it."""
        for start in range(0, self.frames, self.window - self.overlap):
            first = start - step * self.shift
            yield [(first + place) % self.frames for place in range(self.window)]
