"""PURE. What a stream has heard: network, levels and pitch of the sound, with a second chance.

The network hears 80 ms ahead of the frame that it speaks of. When an interruption takes sound
back, what it knew of that sound has to go too, or the mouth would act on what nobody hears. So
the state before each piece of the last half second is kept, and is gone back to.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.features import RATE_HZ
from sonic_stream.engines.lite.network import AudioToMotion, MotionNet
from sonic_stream.engines.lite.pitch import Pitch
from sonic_stream.engines.lite.prosody import FLOOR_DB, Loudness
from sonic_stream.media import FloatArray
from sonic_stream.smoothing import faded

PAST_SAMPLES = RATE_HZ // 2
FADE_SAMPLES = RATE_HZ // 200


@dataclass(frozen=True, slots=True)
class _Piece:
    """Sound, and what was known before it; never written to."""

    samples: FloatArray
    voice: AudioToMotion
    loudness: Loudness
    pitch: Pitch


class Hearing:
    """`hear` takes sound; `speak`, `levels_db` and `height` tell of each frame that it made due,
    in turn."""

    def __init__(self, net: MotionNet) -> None:
        self._voice = AudioToMotion(net)
        self._loudness, self._pitch = Loudness(), Pitch()
        self._past: deque[_Piece] = deque()
        self._past_samples = 0
        self.still = 0  # frames since which all that is known of the sound is silence

    def hear(self, samples: FloatArray) -> None:
        """float32 [n] at 16 kHz."""
        before = self._voice.clone(), self._loudness.clone(), self._pitch.clone()
        self._past.append(_Piece(samples, *before))
        self._past_samples += len(samples)
        while self._past_samples - len(self._past[0].samples) >= PAST_SAMPLES:
            self._past_samples -= len(self._past.popleft().samples)
        self._voice.hear(samples)
        self._loudness.hear(samples)
        self._pitch.hear(samples)

    def speak(self) -> FloatArray:
        """The channels of the frames that became due, [frames, 11]."""
        return self._voice.speak()

    def levels_db(self) -> list[float]:
        """Of the next of these frames, as `Loudness.next`."""
        levels = self._loudness.next()
        self.still = self.still + 1 if max(levels[1:]) <= FLOOR_DB else 0
        return levels

    def height(self) -> float:
        """Of the next of these frames, as `Pitch.next`."""
        return self._pitch.next()

    def silence(self, count: int) -> None:
        """The newest `count` samples, or as many of them as are remembered, were silence after
        all. What was told of frames stays told."""
        pieces: list[_Piece] = []
        while self._past and sum(len(piece.samples) for piece in pieces) < count:
            pieces.insert(0, self._past.pop())
        if not pieces:
            return
        oldest = pieces[0]
        self._voice, self._loudness = oldest.voice.clone(), oldest.loudness.clone()
        self._pitch = oldest.pitch.clone()
        again = np.concatenate([piece.samples for piece in pieces])
        self._past_samples -= len(again)
        self.hear(faded(again, len(again) - count, FADE_SAMPLES))
        for _ in self.speak():
            self._loudness.next()
            self._pitch.next()

    def clone(self) -> Hearing:
        twin = copy.copy(self)
        twin._past = self._past.copy()
        twin._voice, twin._loudness = self._voice.clone(), self._loudness.clone()
        twin._pitch = self._pitch.clone()
        return twin
