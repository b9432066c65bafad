"""PURE. Chance without state: draws that depend on seed, purpose and moment alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Dice:
    """Throws for one moment: `index` is a frame's number (or a lattice point's of a noise).

    `lane` tells throws of one moment apart; every purpose has a number of its own.
    """

    seed: int
    index: int

    def uniform(self, lane: int) -> float:
        """0..1 (splitmix64 of seed, lane and index)."""
        value = self.seed * 0x9E3779B97F4A7C15 + lane * 0xBF58476D1CE4E5B9 + self.index
        value &= MASK
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
        return (value ^ value >> 31) / (1 << 64)

    def between(self, lane: int, low: float, high: float) -> float:
        return low + (high - low) * self.uniform(lane)

    def happens(self, lane: int, probability: float) -> bool:
        return self.uniform(lane) < probability

    def normal(self, lane: int, deviation: float = 1.0) -> float:
        """Gaussian of mean 0, cut at 2.5 deviations: nothing extreme ever happens."""
        radius = math.sqrt(-2 * math.log(max(self.uniform(lane), 1e-12)))
        value = radius * math.cos(2 * math.pi * self.uniform(lane + 1000))
        return deviation * min(max(value, -2.5), 2.5)

    def log_normal(self, lane: int, median: float, sigma: float) -> float:
        """Skewed as durations of behaviour are: many short ones, a few long ones."""
        return median * math.exp(self.normal(lane, sigma))


def noise(seed: int, lane: int, time_s: float) -> float:
    """Smooth, about -1..1, never repeating, random access; the octaves' lattices never meet,
    so that no rhythm shows."""
    return 0.62 * _octave(seed, lane, time_s) + 0.38 * _octave(seed, lane + 500, 2.618 * time_s)


def _octave(seed: int, lane: int, position: float) -> float:
    index = math.floor(position)
    phase = position - index
    weight = phase * phase * phase * (phase * (phase * 6 - 15) + 10)
    left, right = Dice(seed, index).uniform(lane), Dice(seed, index + 1).uniform(lane)
    return 2 * (left + (right - left) * weight) - 1
