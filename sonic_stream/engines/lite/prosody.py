"""PURE. What the voice is doing: phrases, pauses, and the syllables that carry stress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.network import (
    CHANNEL,
    FRAME_SAMPLES,
    LOOK_AHEAD_SAMPLES,
)
from sonic_stream.media import FloatArray
from sonic_stream.smoothing import kept

FRAME_S = 0.04
AHEAD = LOOK_AHEAD_SAMPLES // FRAME_SAMPLES  # frames of sound known beyond the frame shown
FLOOR_DB = -70.0
BEGINS, ENDS = 0.5, 0.3  # speech probability that starts a phrase, and that may end it
GAP_S = 0.2  # shorter gaps belong to the phrase: stops, and breaths between words
SYLLABLE_S, STRESS_APART_S = 0.15, 0.36  # at least, from one to the next
RISE_DB, STANDS_OUT = 3.0, 0.2  # that make a syllable, and a stressed one (deviations)
FIRST_PEAK_DB, FIRST_SPREAD_DB, LEAST_SPREAD_DB = -24.0, 5.0, 2.0
NEW_SHARE = 0.15  # of the running means, per syllable
ACTIVITY_KEPT = float(kept(0.3, FRAME_S))


@dataclass(frozen=True, slots=True)
class Cues:
    """What motion answers to in one frame. `began`, `ended`: a phrase, in this very frame;
    `since_s`: of the last of them; `activity` 0..1: talking, smoothed; `stress` 0, or 0..1 in
    the frame in which a stressed syllable begins."""

    talking: bool = False
    began: bool = False
    ended: bool = False
    since_s: float = 1e3
    phrase_s: float = 0.0
    activity: float = 0.0
    stress: float = 0.0


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


class Prosody:
    """Follows the voice frame by frame."""

    def __init__(self) -> None:
        self._talking = False
        self._quiet_s = 0.0
        self._since_s = 1e3
        self._phrase_s = 0.0
        self._activity = 0.0
        self._peak_db = FIRST_PEAK_DB  # of the last syllables, and how much these differ
        self._spread_db = FIRST_SPREAD_DB
        self._syllable_s = 1.0
        self._unstressed_s = 1.0

    def step(self, channels: FloatArray, levels_db: list[float]) -> Cues:
        """`channels` [10] of this frame; `levels_db` as `Loudness.next` gives them."""
        speech = float(channels[CHANNEL["speech"]])
        before = self._talking
        self._follow(speech)
        began, ended = self._talking and not before, before and not self._talking
        self._since_s = 0.0 if began or ended else self._since_s + FRAME_S
        self._phrase_s = self._phrase_s + FRAME_S if self._talking else self._phrase_s
        if began:
            self._phrase_s = 0.0
        self._activity = self._talking + (self._activity - self._talking) * ACTIVITY_KEPT
        return Cues(
            talking=self._talking,
            began=began,
            ended=ended,
            since_s=self._since_s,
            phrase_s=self._phrase_s,
            activity=self._activity,
            stress=self._stress(speech, levels_db),
        )

    def _follow(self, speech: float) -> None:
        self._quiet_s = self._quiet_s + FRAME_S if speech < ENDS else 0.0
        if speech > BEGINS:
            self._talking = True
        elif self._quiet_s > GAP_S:
            self._talking = False

    def _stress(self, speech: float, levels_db: list[float]) -> float:
        """A rise to a level that stands out from the last syllables'."""
        self._syllable_s += FRAME_S
        self._unstressed_s += FRAME_S
        peak_db = max(levels_db[2:])
        rises = peak_db - levels_db[0] > RISE_DB and peak_db >= levels_db[1]
        if not rises or speech < ENDS or self._syllable_s < SYLLABLE_S:
            return 0.0
        self._syllable_s = 0.0
        above_db = peak_db - self._peak_db
        stands_out = above_db / self._spread_db
        self._peak_db += NEW_SHARE * above_db
        spread_db = max(1.25 * abs(above_db), LEAST_SPREAD_DB)
        self._spread_db += NEW_SHARE * (spread_db - self._spread_db)
        if stands_out < STANDS_OUT or self._unstressed_s < STRESS_APART_S:
            return 0.0
        self._unstressed_s = 0.0
        return min(0.35 + 0.45 * (stands_out - STANDS_OUT), 1.0)
