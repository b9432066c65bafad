"""PURE. Smoothing over time, the same for any frame rate: every step is told how long it was."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray


def kept(half_life_s: npt.ArrayLike, dt_s: float) -> npt.NDArray[np.float64]:
    """The share of an old value that remains after `dt_s`; none at a half-life of 0."""
    half_life = np.asarray(half_life_s, np.float64)
    return np.where(half_life > 0, 0.5 ** (dt_s / np.maximum(half_life, 1e-9)), 0.0)


def slew(value: float, target: float, most: float) -> float:
    """`value` moved towards `target` by at most `most`; lands on it exactly."""
    return (
        target if abs(target - value) <= most else value + float(np.copysign(most, target - value))
    )


def faded(samples: npt.NDArray[np.float32], start: int, fade: int) -> npt.NDArray[np.float32]:
    """Samples [n] that are silent from index `start` on (which may lie before the first), after
    a fade-out of `fade` samples."""
    gain = np.clip(1 - (np.arange(len(samples)) - start) / fade, 0, 1)
    return np.asarray(samples * gain, np.float32)


class AttackRelease:
    """An exponential mean of a vector with half-lives of its own for rising and falling."""

    def __init__(self, attack_s: npt.ArrayLike, release_s: npt.ArrayLike, size: int) -> None:
        self._attack_s = np.broadcast_to(np.asarray(attack_s, np.float64), size)
        self._release_s = np.broadcast_to(np.asarray(release_s, np.float64), size)
        self.value: FloatArray = np.zeros(size, np.float32)

    def step(self, target: FloatArray, dt_s: float, amount: float = 1.0) -> FloatArray:
        """`amount` scales both half-lives; 0 follows at once."""
        half_life_s = np.where(target > self.value, self._attack_s, self._release_s) * amount
        share = kept(half_life_s, dt_s)
        self.value = np.asarray(target + (self.value - target) * share, np.float32)
        return self.value

    def clone(self) -> AttackRelease:
        twin = AttackRelease(self._attack_s, self._release_s, len(self.value))
        twin.value = self.value.copy()
        return twin


class Spring:
    """A critically damped follower of a vector: no overshoot, no step in speed.

    A step of the target is 95 % done after 4.7 / `omega` seconds; exact for any `dt_s`.
    """

    def __init__(self, omega: float, size: int) -> None:
        self.omega = omega
        self.value: npt.NDArray[np.float64] = np.zeros(size)
        self._speed: npt.NDArray[np.float64] = np.zeros(size)

    def step(self, target: npt.ArrayLike, dt_s: float) -> npt.NDArray[np.float64]:
        """`omega` may be changed between steps."""
        away = self.value - np.asarray(target)
        gained = (self._speed + self.omega * away) * dt_s
        share = math.exp(-self.omega * dt_s)
        self.value = target + (away + gained) * share
        self._speed = (self._speed - self.omega * gained) * share
        return self.value
