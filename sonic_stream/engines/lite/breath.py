"""PURE. Breathing: quick in, slow out; in the pauses of speech, and never quite regular."""

from __future__ import annotations

from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.prosody import FRAME_S, Cues
from sonic_stream.smoothing import Spring

CYCLE_S = (4.0, 5.0)  # 12 to 15 breaths a minute at rest
INHALED = 0.4  # of a cycle at rest
QUICK_S = 0.55  # the breath between two phrases
SPENT_S = 1.5  # a shorter phrase needs no breath after it
LONGEST_S = 9.0  # of one phrase's air
CYCLE, DEPTH = 300, 301


class Breath:
    """`step` gives how full the chest is, about 0..1."""

    def __init__(self) -> None:
        self._spring = Spring(9.0, 1)
        self._level = 0.0  # what the chest follows
        self._goal = 0.0
        self._per_s = 0.0
        self._out_s = CYCLE_S[0]
        self._inhaling = False

    def step(self, dice: Dice, cues: Cues) -> float:
        if cues.ended and cues.phrase_s > SPENT_S:
            self._inhale(dice, QUICK_S)
        elif cues.began:
            self._exhale(LONGEST_S)
        elif cues.ended:
            self._exhale(self._out_s)
        step = self._per_s * FRAME_S
        arrives = abs(self._goal - self._level) <= abs(step)
        self._level = self._goal if arrives else self._level + step
        if arrives and self._inhaling:
            self._exhale(LONGEST_S if cues.talking else self._out_s)
        elif arrives:
            self._inhale(dice, INHALED * dice.between(CYCLE, *CYCLE_S))
        return float(self._spring.step(self._level, FRAME_S)[0])

    def _inhale(self, dice: Dice, seconds: float) -> None:
        self._inhaling = True
        self._goal = max(dice.between(DEPTH, 0.8, 1.05), self._level)
        self._per_s = max(self._goal - self._level, 0.05) / seconds
        self._out_s = (1 - INHALED) * dice.between(CYCLE, *CYCLE_S)

    def _exhale(self, seconds: float) -> None:
        self._inhaling = False
        self._goal = 0.0
        self._per_s = -max(self._level, 0.05) / seconds
