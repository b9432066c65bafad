"""PURE. What the voice is doing: phrases, pauses, and the syllables that carry stress."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.network import CHANNEL, FRAME_SAMPLES
from sonic_stream.engines.lite.pitch import AHEAD, UNVOICED, Intonation
from sonic_stream.media import FloatArray
from sonic_stream.smoothing import kept

FRAME_S = 0.04
FLOOR_DB = -70.0
BEGINS, ENDS = 0.5, 0.3  # speech probability that starts a phrase, and that may end it
GAP_S = 0.2  # shorter gaps belong to the phrase: stops, and breaths between words
SYLLABLE_S, STRESS_APART_S = 0.15, 0.36  # at least, from one to the next
RISE_DB, STANDS_OUT = 3.0, 0.2  # that make a syllable, and a stressed one (deviations)
RISE_ST = 1.5  # of the voice's height: an accent, even where loudness does not rise
LOUD, HIGH = 0.8, 0.6  # shares of loudness and height in what stands out
FIRST_SPREAD_ST, LEAST_SPREAD_ST = 2.5, 1.2
FIRST_PEAK_DB, FIRST_SPREAD_DB, LEAST_SPREAD_DB = -24.0, 5.0, 2.0
NEW_SHARE = 0.15  # of the running means, per syllable
ACTIVITY_KEPT = float(kept(0.3, FRAME_S))
HEIGHT_KEPT = float(kept(0.06, FRAME_S))


@dataclass(frozen=True, slots=True)
class Cues:
    """What motion answers to in one frame. `began`, `ended`: a phrase, in this very frame;
    `since_s`: of the last of them; `activity` 0..1: talking, smoothed; `stress` 0, or 0..1 in
    the frame in which a stressed syllable begins; `height`: semitones of the voice above its
    speaker's own, smoothed; `asks` 0, or 0..1 in the frame in which a phrase ends high."""

    talking: bool = False
    began: bool = False
    ended: bool = False
    since_s: float = 1e3
    phrase_s: float = 0.0
    activity: float = 0.0
    stress: float = 0.0
    height: float = 0.0
    asks: float = 0.0


class Loudness:
    """Sound levels per frame, up to the look-ahead. Equal for any chunking."""

    def __init__(self) -> None:
        self._pending: FloatArray = np.zeros(0, np.float32)
        self._levels: list[float] = [FLOOR_DB]  # of the frame before, this one, those ahead

    def hear(self, samples: FloatArray) -> None:
        """float32 [n] at 16 kHz."""
        pending = np.concatenate([self._pending, samples])
        while len(pending) >= FRAME_SAMPLES:
            block = pending[:FRAME_SAMPLES].astype(np.float64)
            power = float(np.square(block).sum()) / FRAME_SAMPLES
            self._levels.append(max(10 * float(np.log10(power + 1e-12)), FLOOR_DB))
            pending = pending[FRAME_SAMPLES:]
        self._pending = pending

    def next(self) -> list[float]:
        """Decibels of the frame before the next one due, of that one, and of those ahead."""
        window = self._levels[: AHEAD + 2]
        del self._levels[0]
        return window

    def clone(self) -> Loudness:
        twin = copy.copy(self)
        twin._levels = self._levels.copy()
        return twin


class Prosody:
    """Follows the voice frame by frame."""

    def __init__(self) -> None:
        self._talking = False
        self._quiet_s = 0.0
        self._since_s = 1e3
        self._phrase_s = 0.0
        self._activity = 0.0
        self._intonation = Intonation()
        self._heights = [UNVOICED] * (AHEAD + 2)  # as many as there are levels
        self._height = 0.0
        self._stress = Stress()

    def step(self, channels: FloatArray, levels_db: list[float], height: float) -> Cues:
        """`channels` [11] of this frame; `levels_db` and `height` as `Loudness.next` and
        `Pitch.next` give them."""
        speech = float(channels[CHANNEL["speech"]])
        before = self._talking
        self._follow(speech)
        began, ended = self._talking and not before, before and not self._talking
        self._since_s = 0.0 if began or ended else self._since_s + FRAME_S
        self._phrase_s = self._phrase_s + FRAME_S if self._talking else self._phrase_s
        if began:
            self._phrase_s = 0.0
        self._activity = self._talking + (self._activity - self._talking) * ACTIVITY_KEPT
        self._heights = [*self._heights[1:], self._intonation.step(height)]
        newest = self._heights[-1]
        goal = 0.0 if math.isnan(newest) else newest
        self._height = goal + (self._height - goal) * HEIGHT_KEPT
        return Cues(
            talking=self._talking,
            began=began,
            ended=ended,
            since_s=self._since_s,
            phrase_s=self._phrase_s,
            activity=self._activity,
            stress=self._stress.step(speech, levels_db, self._heights),
            height=self._height,
            asks=self._intonation.close() if ended else 0.0,
        )

    def _follow(self, speech: float) -> None:
        self._quiet_s = self._quiet_s + FRAME_S if speech < ENDS else 0.0
        if speech > BEGINS:
            self._talking = True
        elif self._quiet_s > GAP_S:
            self._talking = False


class Stress:
    """Finds the syllables that stand out from the last ones, by loudness and by height."""

    def __init__(self) -> None:
        self._peak_db = FIRST_PEAK_DB  # of the last syllables, and how much these differ
        self._spread_db = FIRST_SPREAD_DB
        self._top_st = 0.0
        self._spread_st = FIRST_SPREAD_ST
        self._syllable_s = 1.0
        self._unstressed_s = 1.0

    def step(self, speech: float, levels_db: list[float], heights: list[float]) -> float:
        """0..1, in the frame in which one begins; windows of equal length, NaN where no voice
        is."""
        self._syllable_s += FRAME_S
        self._unstressed_s += FRAME_S
        peak_db = max(levels_db[2:])
        rises = peak_db - levels_db[0] > RISE_DB and peak_db >= levels_db[1]
        climbs = heights[-1] - heights[0] > RISE_ST and peak_db > levels_db[1] - RISE_DB
        if not (rises or climbs) or speech < ENDS or self._syllable_s < SYLLABLE_S:
            return 0.0
        self._syllable_s = 0.0
        stands_out = LOUD * self._louder(peak_db) + HIGH * self._higher(heights[1:])
        if stands_out < STANDS_OUT or self._unstressed_s < STRESS_APART_S:
            return 0.0
        self._unstressed_s = 0.0
        return min(0.35 + 0.45 * (stands_out - STANDS_OUT), 1.0)

    def _louder(self, peak_db: float) -> float:
        above = peak_db - self._peak_db
        stands_out = above / self._spread_db
        self._peak_db += NEW_SHARE * above
        spread = max(1.25 * abs(above), LEAST_SPREAD_DB)
        self._spread_db += NEW_SHARE * (spread - self._spread_db)
        return stands_out

    def _higher(self, heights: list[float]) -> float:
        """Nothing where no voice is."""
        voiced = [height for height in heights if not math.isnan(height)]
        if not voiced:
            return 0.0
        above = max(voiced) - self._top_st
        stands_out = above / self._spread_st
        self._top_st += NEW_SHARE * above
        spread = max(1.25 * abs(above), LEAST_SPREAD_ST)
        self._spread_st += NEW_SHARE * (spread - self._spread_st)
        return stands_out
