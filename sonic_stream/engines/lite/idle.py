"""PURE. Life without words: blinks, gaze, breath and small head motion.

Everything but the emphasis of speech is a function of seed and frame number, so a stream can
start anywhere and two streams of one seed agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.media import FloatArray
from sonic_stream.smoothing import kept

FPS = 25.0
BLOCK_S = 6.0  # one blink (or two) in each block of time
GAZE_BLOCK_S = 2.6
CLOSING_S, SHUT_S, OPENING_S = 0.08, 0.03, 0.17
ENERGY_KEPT = float(kept(0.25, 1 / FPS))
STRESS_KEPT = float(kept(0.12, 1 / FPS))


def smooth_noise(seed: int, lane: int, t: float) -> float:
    """Value noise of about unit range: smooth, never repeating, random access in time."""
    index = int(np.floor(t))
    phase = t - index
    weight = phase * phase * phase * (phase * (phase * 6 - 15) + 10)
    left, right = _uniform(seed, lane, index), _uniform(seed, lane, index + 1)
    return 2 * (left + (right - left) * weight) - 1


def blink(seed: int, time_s: float) -> float:
    """How far the lids are closed, 0..1: quick down, slow up, sometimes twice."""
    block = int(time_s // BLOCK_S)
    amount = 0.0
    for index in (block - 1, block):
        start_s = index * BLOCK_S + 0.6 + _uniform(seed, 20, index) * (BLOCK_S - 2.2)
        amount = max(amount, _lid(time_s - start_s))
        if _uniform(seed, 21, index) < 0.18:
            amount = max(amount, 0.9 * _lid(time_s - start_s - 0.38))
    return amount


def gaze(seed: int, time_s: float) -> tuple[float, float]:
    """Right and down, -1..1: at the camera most of the time, with quick small saccades."""
    index = int(time_s // GAZE_BLOCK_S)
    target, before = _glance(seed, index), _glance(seed, index - 1)
    share = float(np.clip((time_s - index * GAZE_BLOCK_S) / 0.06, 0, 1))
    share = share * share * (3 - 2 * share)
    tremor_x = 0.03 * smooth_noise(seed, 30, time_s * 1.7)
    tremor_y = 0.03 * smooth_noise(seed, 31, time_s * 1.3)
    x = before[0] + (target[0] - before[0]) * share
    y = before[1] + (target[1] - before[1]) * share
    return x + tremor_x, y + tremor_y


@dataclass
class Speech:
    """What the voice adds: followed loudness and its sudden rises."""

    energy: float = 0.0
    stress: float = 0.0

    def step(self, loudness: float) -> None:
        """`loudness` 0..1 of the next frame."""
        rise = max(loudness - self.energy, 0.0)
        self.energy = loudness + (self.energy - loudness) * ENERGY_KEPT
        self.stress = rise + (self.stress - rise) * STRESS_KEPT


def live(lips: FloatArray, tongue: float, frame: int, speech: Speech, seed: int) -> Motion:
    """The whole motion of a frame at `motion_scale` 1."""
    t = frame / FPS
    lively = 1 + 0.9 * min(speech.energy * 2, 1.0)
    gaze_x, gaze_y = gaze(seed, t)
    coefficients = lips.copy()
    breath = 0.5 + 0.5 * np.sin(2 * np.pi * t / 4.1 + 0.6 * smooth_noise(seed, 9, t / 5))
    coefficients[INDEX["breath"]] = breath
    brow = 0.16 * max(smooth_noise(seed, 10, t / 2.3) - 0.35, 0.0) + 0.9 * speech.stress
    coefficients[INDEX["brow_up"]] = min(brow, 0.6)
    coefficients[INDEX["cheek"]] = 0.2 * coefficients[INDEX["stretch"]]
    return Motion(
        coefficients=coefficients,
        tongue=tongue,
        yaw_deg=lively
        * (1.5 * smooth_noise(seed, 1, t / 2.9) + 0.5 * smooth_noise(seed, 2, t / 1.1)),
        pitch_deg=lively * (0.9 * smooth_noise(seed, 3, t / 2.3) + 0.2 * smooth_noise(seed, 4, t))
        + 3.2 * speech.stress,
        roll_deg=lively * 0.9 * smooth_noise(seed, 5, t / 3.7),
        shift_x=lively * 1.2 * smooth_noise(seed, 6, t / 3.1),
        shift_y=0.8 * smooth_noise(seed, 7, t / 2.7) - 0.8 * float(breath),
        blink=blink(seed, t),
        gaze_x=gaze_x,
        gaze_y=gaze_y,
    )


def scaled(motion: Motion, amount: float) -> Motion:
    """All that is not lips, scaled by `amount` 0..2; 0 holds the head still and the eyes open."""
    coefficients = motion.coefficients.copy()
    for name in ("breath", "brow_up", "brow_down", "cheek"):
        coefficients[INDEX[name]] *= amount
    return replace(
        motion,
        coefficients=coefficients,
        yaw_deg=motion.yaw_deg * amount,
        pitch_deg=motion.pitch_deg * amount,
        roll_deg=motion.roll_deg * amount,
        shift_x=motion.shift_x * amount,
        shift_y=motion.shift_y * amount,
        blink=motion.blink if amount > 0 else 0.0,
        gaze_x=motion.gaze_x * min(amount, 1.3),
        gaze_y=motion.gaze_y * min(amount, 1.3),
    )


def _lid(since_s: float) -> float:
    if since_s < 0 or since_s > CLOSING_S + SHUT_S + OPENING_S:
        return 0.0
    if since_s < CLOSING_S:
        share = since_s / CLOSING_S
    elif since_s < CLOSING_S + SHUT_S:
        return 1.0
    else:
        share = 1 - (since_s - CLOSING_S - SHUT_S) / OPENING_S
    return float(share * share * (3 - 2 * share))


def _glance(seed: int, index: int) -> tuple[float, float]:
    if _uniform(seed, 40, index) < 0.62:
        return 0.0, 0.0
    x = 2 * _uniform(seed, 41, index) - 1
    y = 2 * _uniform(seed, 42, index) - 1
    return 0.38 * x, 0.25 * y


def _uniform(seed: int, lane: int, index: int) -> float:
    """A hash of three integers, in 0..1 (splitmix64)."""
    mask = (1 << 64) - 1
    value = (seed * 0x9E3779B97F4A7C15 + lane * 0xBF58476D1CE4E5B9 + index) & mask
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ value >> shift) * factor) & mask
    return float((value ^ value >> 31) / (1 << 64))
