"""Held vowels as a throat makes them: for measuring whether a mouth keeps still.

A pulse of air each period (Rosenberg 1971: opens for 40 % of it, shuts within 16 %), no two alike
in length and strength, and breath, through five formants of natural width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from sonic_stream.media import FloatArray

Series = npt.NDArray[np.float64]
RATE_HZ = 16_000
FORMANTS_HZ = {  # Peterson and Barney 1952, men
    "a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}  # fmt: skip
UPPER_HZ, WIDTHS_HZ = (3400, 4400), (70, 90, 130, 200, 250)
VOICES = ((115, 1.0), (205, 1.15))  # pitch in Hz, length of the throat: a man and a woman
LENGTH_S, PAUSE_S = 1.2, 0.8
OPENS, SHUTS = 0.4, 0.16  # shares of a period
VIBRATO, JITTER, SHIMMER = 0.01, 0.008, 0.05


def vowel(name: str, pitch_hz: float, throat: float, chance: np.random.Generator) -> Series:
    """One of `FORMANTS_HZ` for `LENGTH_S` [n]; the pitch falls by 6 % and sways at 5 Hz."""
    time_s = np.arange(round(LENGTH_S * RATE_HZ)) / RATE_HZ
    drift = gaussian_filter1d(chance.standard_normal(len(time_s)), 0.03 * RATE_HZ)
    sway = VIBRATO * np.sin(2 * np.pi * 5 * time_s) + JITTER * drift / drift.std()
    periods = np.cumsum(pitch_hz * (1.03 - 0.06 * time_s / LENGTH_S + sway)) / RATE_HZ
    phase = periods % 1
    rising = 0.5 * (1 - np.cos(np.pi * phase / OPENS))
    falling = np.cos(np.pi / 2 * np.minimum((phase - OPENS) / SHUTS, 1))
    flow = np.where(phase < OPENS, rising, falling)
    strength = 1 + SHIMMER * chance.standard_normal(int(periods[-1]) + 1)[periods.astype(int)]
    breath = 0.01 * chance.standard_normal(len(flow)) * (0.3 + flow)
    sound = np.diff(flow * strength, prepend=0) + breath
    formants_hz = [throat * hz for hz in (*FORMANTS_HZ[name], *UPPER_HZ)]
    for formant_hz, width_hz in zip(formants_hz, WIDTHS_HZ, strict=True):
        radius, angle = np.exp(-np.pi * width_hz / RATE_HZ), 2 * np.pi * formant_hz / RATE_HZ
        poles = [1, -2 * radius * np.cos(angle), radius**2]
        sound = lfilter([sum(poles)], poles, sound)
    edges = np.clip(time_s / 0.06, 0, 1) * np.clip((LENGTH_S - time_s) / 0.12, 0, 1)
    return np.asarray(0.4 * sound / np.abs(sound).max() * edges)


def held_vowels() -> FloatArray:
    """Each vowel by each voice, half of `PAUSE_S` before and after it [n]; the same every time."""
    chance = np.random.default_rng(3)
    silence = np.zeros(round(PAUSE_S * RATE_HZ / 2))
    parts: list[Series] = []
    for pitch_hz, throat in VOICES:
        for name in FORMANTS_HZ:
            parts += [silence, vowel(name, pitch_hz, throat, chance), silence]
    return np.concatenate(parts).astype(np.float32)
