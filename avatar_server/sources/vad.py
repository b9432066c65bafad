"""PURE. Whether somebody talks: loudness against the background's own, and voicing.

Causal, in frames of 10 ms. The background is the loudness that the last seconds exceeded four
fifths of the time: it follows a fan or a café within two seconds and is not raised by the talk
itself, which pauses more often than that.
"""

from __future__ import annotations

import numpy as np

from sonic_stream.media import FloatArray
from sonic_stream.resample import Decimator

RATE_HZ = 8000
FRAME = RATE_HZ // 100
BACKGROUND_FRAMES = 300  # 3 s
BACKGROUND_QUANTILE = 0.2
FLOOR_DB = -62.0  # of full scale: below this nothing is talk
START_DB, START_MARGIN_DB = -38.0, 5.0
ONSET_DB, RELEASE_DB = 10.0, 6.0  # above the background
WINDOW, NEEDED = 5, 3  # so many loud frames of the last ones: not a click
HANGOVER_FRAMES = 20
VOICED = 0.5  # self-similarity at the lag of a voice's pitch
LAGS = range(RATE_HZ // 400, RATE_HZ // 70)
MAX_GAP_FRAMES = 6  # stops and fricatives within talk


class VoiceActivity:
    """`push` sound at 48 kHz; `active` and `talk_ms` tell of its last whole frame."""

    def __init__(self) -> None:
        self.active = False
        self._decimate = Decimator(48_000 // RATE_HZ)
        self._rest: FloatArray = np.zeros(0, np.float32)
        self._past: FloatArray = np.zeros(3 * FRAME, np.float32)
        self._levels: FloatArray = np.full(BACKGROUND_FRAMES, FLOOR_DB, np.float32)
        self._frames = 0
        self._recent = 0  # the last frames' loudness, one bit each
        self._hangover = 0
        self._talk = _Talk()

    @property
    def talk_ms(self) -> int:
        """How long somebody has been talking now, pauses within words included; 0: nobody."""
        return 10 * self._talk.frames if 2 * self._talk.voiced >= self._talk.frames else 0

    def push(self, samples: FloatArray) -> list[bool]:
        """Whether there is talk, for each 10 ms that became whole."""
        joined = np.concatenate([self._rest, self._decimate.push(samples)])
        whole = len(joined) // FRAME * FRAME
        self._rest = joined[whole:]
        return [self._judge(joined[i : i + FRAME]) for i in range(0, whole, FRAME)]

    def _judge(self, frame: FloatArray) -> bool:
        self._past = np.concatenate([self._past[FRAME:], frame])
        edges = np.diff(self._past[-FRAME - 1 :])  # hum weighs less, consonants more
        level = 10 * float(np.log10(np.mean(np.square(edges)) + 1e-12))
        background = self._background()
        self._levels[self._frames % BACKGROUND_FRAMES] = max(level, FLOOR_DB)
        self._frames += 1
        loud = level > background + ONSET_DB
        self._recent = (self._recent << 1 | loud) & ((1 << WINDOW) - 1)
        if self._recent.bit_count() >= NEEDED or (self.active and level > background + RELEASE_DB):
            self._hangover = HANGOVER_FRAMES
        elif self._hangover:
            self._hangover -= 1
        self.active = self._hangover > 0
        self._talk.count(loud=loud, voiced=loud and self._voiced())
        return self.active

    def _background(self) -> float:
        """Until a second has been heard, somewhat above the quietest of it: a session that starts
        with talk is not deaf for it, one that starts in noise opens at most briefly."""
        if self._frames < 100:
            return float(self._levels[: self._frames].min(initial=START_DB)) + START_MARGIN_DB
        known = self._levels[: min(self._frames, BACKGROUND_FRAMES)]
        return float(np.partition(known, k := int(BACKGROUND_QUANTILE * len(known)))[k])

    def _voiced(self) -> bool:
        sound = self._past - self._past.mean()
        tail = sound[-len(sound) + LAGS.stop :]
        energy = float(tail @ tail)
        scores = np.correlate(sound[: len(sound) - LAGS.start], tail, "valid")
        squares = np.concatenate([[0.0], np.cumsum(np.square(sound))])
        others = squares[len(tail) : len(tail) + len(scores)] - squares[: len(scores)]
        return bool(np.max(scores / np.sqrt(energy * others + 1e-9)) > VOICED)


class _Talk:
    """How many frames a stretch of talk has lasted, and how many of them were voiced."""

    def __init__(self) -> None:
        self.frames = self.voiced = self._gap = 0

    def count(self, *, loud: bool, voiced: bool) -> None:
        self._gap = 0 if loud else self._gap + 1
        if self._gap > MAX_GAP_FRAMES:
            self.frames = self.voiced = 0
        elif loud or self.frames:
            self.frames += 1
            self.voiced += voiced
