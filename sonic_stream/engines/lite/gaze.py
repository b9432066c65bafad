"""PURE. Where the eyes look: at the camera, with saccades; aside to think, and back.

Angles in degrees of visual angle, right and down, in the world: the eyes' own share is what
the head has not turned already.
"""

from __future__ import annotations

import math

from sonic_stream.engines.lite.chance import Dice, noise
from sonic_stream.engines.lite.prosody import FRAME_S, Cues

ASIDE_BEGINNING, ASIDE_PAUSE = 0.32, 0.2  # when a phrase begins, when one ends
ASIDE_TALKING, ASIDE_IDLE = 0.03, 0.12  # at the end of each fixation
LARGE_DEG = 4.0
TREMOR_DEG, DRIFT_DEG = 0.06, 0.25
WHETHER, DWELL, ACROSS, DOWN, SIDE, UP = range(200, 206)
TREMOR_LANES, DRIFT_LANES = (220, 221), (222, 223)

Angles = tuple[float, float]


class Gaze:
    """`step` gives the line of sight; `looked_aside` tells that a large saccade starts now."""

    def __init__(self) -> None:
        self._from: Angles = (0.0, 0.0)
        self._to: Angles = (0.0, 0.0)
        self._since_s = 1.0
        self._dwell_s = 0.8
        self.looked_aside = False

    @property
    def target(self) -> Angles:
        """Where the eyes rest or arrive: what the head follows."""
        return self._to

    def step(self, dice: Dice, cues: Cues) -> Angles:
        self._since_s += FRAME_S
        self.looked_aside = False
        wants_aside = self._wants_aside(dice, cues)
        if wants_aside or self._since_s >= self._dwell_s:
            self._saccade(dice, aside=wants_aside)
        share = min(self._since_s / saccade_s(_distance(self._from, self._to)), 1.0)
        share = share * share * share * (share * (share * 6 - 15) + 10)
        time_s = dice.index * FRAME_S
        x, y = (
            start + (end - start) * share
            + TREMOR_DEG * noise(dice.seed, TREMOR_LANES[axis], 9 * time_s)
            + DRIFT_DEG * noise(dice.seed, DRIFT_LANES[axis], 0.9 * time_s)
            for axis, (start, end) in enumerate(zip(self._from, self._to, strict=True))
        )  # fmt: skip
        return x, y

    def _wants_aside(self, dice: Dice, cues: Cues) -> bool:
        is_aside = math.hypot(*self._to) > LARGE_DEG
        if is_aside or self._since_s < 0.25:
            return False
        if cues.began:
            chance = ASIDE_BEGINNING
        elif cues.ended:
            chance = ASIDE_PAUSE
        elif self._since_s >= self._dwell_s:
            chance = ASIDE_TALKING if cues.talking else ASIDE_IDLE
        else:
            return False
        return dice.happens(WHETHER, chance)

    def _saccade(self, dice: Dice, *, aside: bool) -> None:
        self._from = self._to
        if aside:
            side = 1.0 if dice.happens(SIDE, 0.5) else -1.0
            down = dice.between(DOWN, 0.5, 4.0) * (-1 if dice.happens(UP, 0.6) else 1)
            self._to = (side * dice.between(ACROSS, 5.0, 12.0), down)
            self._dwell_s = min(dice.log_normal(DWELL, 0.75, 0.4), 2.0)
        else:  # around the camera, as one looks from eye to eye and to the mouth
            self._to = (dice.normal(ACROSS, 0.8), dice.normal(DOWN, 0.5))
            self._dwell_s = min(dice.log_normal(DWELL, 1.1, 0.6), 4.0)
        self._since_s = FRAME_S / 2
        self.looked_aside = _distance(self._from, self._to) > LARGE_DEG


def saccade_s(degrees: float) -> float:
    """The main sequence: larger saccades are faster, and last a little longer."""
    return 0.021 + 0.0022 * degrees


def _distance(one: Angles, two: Angles) -> float:
    return math.hypot(one[0] - two[0], one[1] - two[1])
