"""PURE. How high the voice is: a pitch per frame, from the periodicity of the last 64 ms.

A normalised autocorrelation (McLeod and Wyvill's) of the sound at 4 kHz: less than 0.1 ms.
"""

from __future__ import annotations

import copy
import math

import numpy as np

from sonic_stream.engines.lite.network import FRAME_SAMPLES, LOOK_AHEAD_SAMPLES
from sonic_stream.media import FloatArray

WINDOW = 1024  # samples at 16 kHz
DECIMATED = 4
COUNT = WINDOW // DECIMATED
MEAN = np.full(DECIMATED, 1 / DECIMATED)
RATE_HZ = 16_000 / DECIMATED
SHORTEST, LONGEST = 9, 58  # lags: 70 to 440 Hz
CLEAR = 0.55  # of perfect periodicity: a voice, not a consonant, breath or noise
NEARLY = 0.90  # of the clearest lag: the first so clear is the period, not a multiple of it
QUIET = 1e-6  # mean power
UNVOICED = math.nan
AHEAD = LOOK_AHEAD_SAMPLES // FRAME_SAMPLES
NEW_SHARE = 0.03  # of the speaker's own height, per voiced frame
LAST, ENDING = 12, 3  # voiced frames at a phrase's end
RISE_ST = 2.5  # semitones that begin to sound like a question; twice as many surely do
FAR = 8.0  # semitones: rather a mistaken octave than a leap


class Pitch:
    """Semitones above 100 Hz per frame, NaN where no voice is, up to the look-ahead. Equal for
    any chunking."""

    def __init__(self) -> None:
        self._pending: FloatArray = np.zeros(WINDOW - FRAME_SAMPLES, np.float32)
        self._heights: list[float] = []

    def hear(self, samples: FloatArray) -> None:
        """float32 [n] at 16 kHz."""
        pending = np.concatenate([self._pending, samples])
        while len(pending) >= WINDOW:
            self._heights.append(semitones(pending[:WINDOW]))
            pending = pending[FRAME_SAMPLES:]
        self._pending = pending

    def next(self) -> float:
        """For the next frame due: of the newest frame that is known when it is."""
        height = self._heights[AHEAD]
        del self._heights[0]
        return height

    def clone(self) -> Pitch:
        twin = copy.copy(self)
        twin._heights = self._heights.copy()
        return twin


class Intonation:
    """How far the voice is above its speaker's own height, and where a phrase's end goes."""

    def __init__(self) -> None:
        self._usual = UNVOICED
        self._last: list[float] = []

    def step(self, height: float) -> float:
        """Semitones above the usual, for a height as `Pitch` tells it; NaN where no voice is."""
        if math.isnan(height):
            return UNVOICED
        if math.isnan(self._usual):
            self._usual = height
        above = height - self._usual
        if abs(above) > FAR:
            above -= 12 * round(above / 12)
        self._usual += NEW_SHARE * above
        self._last = [*self._last[1 - LAST :], above]
        return above

    def close(self) -> float:
        """The phrase is over: 0..1, as its end rises out of what came last, as in questions."""
        last, self._last = self._last, []
        if len(last) < LAST:
            return 0.0
        final = sorted(last[-ENDING:])[ENDING // 2]
        rises = final - min(last[:-ENDING])
        return min(max((rises - RISE_ST) / RISE_ST, 0.0), 1.0)


def semitones(window: FloatArray) -> float:
    """Of float32 [1024] at 16 kHz, above 100 Hz; NaN where nothing is periodic."""
    low = window.astype(np.float64).reshape(COUNT, DECIMATED) @ MEAN
    low -= low.mean()
    energy = np.cumsum(low * low)
    if energy[-1] < QUIET * COUNT:
        return UNVOICED
    spectrum = np.fft.rfft(low, 2 * COUNT)
    together = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: LONGEST + 1]
    # Of what lies apart by each lag from 1 on: all but the last samples, and all but the first.
    apart = energy[COUNT - 1 - LONGEST : COUNT - 1][::-1] + energy[-1] - energy[:LONGEST]
    clear = np.concatenate([[1.0], 2 * together[1:] / np.maximum(apart, 1e-12)])
    middle = clear[SHORTEST:-1]
    peaks = (middle >= clear[SHORTEST - 1 : -2]) & (middle > clear[SHORTEST + 1 :])
    at = np.flatnonzero(peaks) + SHORTEST
    if not len(at):
        return UNVOICED
    # Periods are no whole lags: a parabola through each peak tells its place and height.
    before, here, after = clear[at - 1], clear[at], clear[at + 1]
    aside = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-9)
    height = here - 0.25 * (before - after) * aside
    if height.max() < CLEAR:
        return UNVOICED
    first = int((height >= NEARLY * height.max()).argmax())
    return 12 * math.log2(RATE_HZ / (at[first] + aside[first]) / 100)
