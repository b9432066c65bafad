"""PURE. The mood that a face is set to, and the small changes that no face is without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonic_stream.engine import EXPRESSIONS, Expression
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.prosody import FRAME_S, Cues
from sonic_stream.smoothing import Spring

BLEND_OMEGA = 15.0  # 95 % of a change in 0.3 s
# Rows of what an expression adds. The jaw's share yields to lips that have to close.
NAMES = ("smile", "frown", "cheek", "brow_up", "brow_down", "jaw", "press")
EXTRA = ("lids", "pitch_deg", "roll_deg")  # lids: -1 narrowed .. 1 wide
LOOKS: dict[Expression, dict[str, float]] = {
    "neutral": {},
    "happy": {"smile": 0.95, "cheek": 0.85, "brow_up": 0.12, "lids": -0.5, "pitch_deg": -0.8,
              "roll_deg": 1.2},
    "serious": {"frown": 0.4, "brow_down": 0.75, "lids": -0.15, "press": 0.12, "pitch_deg": 1.2},
    "surprised": {"brow_up": 0.8, "jaw": 0.14, "lids": 0.65, "pitch_deg": -1.6},
}  # fmt: skip
TABLE = np.array([[LOOKS[e].get(n, 0.0) for n in NAMES + EXTRA] for e in EXPRESSIONS])
MICRO_S = {True: 2.6, False: 5.0}  # median time between small changes, talking or not
BROW, BROW_SIZE, CHANGE, SMILE, CHEEK, FROWN, MICRO = range(500, 507)
BROW_OMEGA, BROW_S = 13.0, 0.22
BROWS = 0.6  # of the stresses, times their strength, raise the brows
WITH_HEIGHT, MOST_WITH_HEIGHT = 0.05, 0.3  # per semitone from the second on
ASKING, ASKING_S = (0.25, 0.45), 0.7


@dataclass(frozen=True, slots=True)
class Face:
    """What mood and emphasis add in one frame; `coefficients` in the order of `NAMES`."""

    coefficients: npt.NDArray[np.float64]
    lids: float
    pitch_deg: float
    roll_deg: float


class Mood:
    """Blends from whatever is shown to the expression asked for: no step, not even in speed."""

    def __init__(self, expression: Expression) -> None:
        self._blend = Spring(BLEND_OMEGA, len(EXPRESSIONS))
        self._blend.value[EXPRESSIONS.index(expression)] = 1.0

    def step(self, expression: Expression) -> Face:
        target = np.zeros(len(EXPRESSIONS))
        target[EXPRESSIONS.index(expression)] = 1.0
        row = self._blend.step(target, FRAME_S) @ TABLE
        return Face(row[: len(NAMES)], *row[len(NAMES) :])


class Mimic:
    """Brows on emphasis; now and then a trace of a smile, of raised cheeks, of a frown."""

    def __init__(self) -> None:
        self._brow = Spring(BROW_OMEGA, 1)
        self._brow_goal = 0.0
        self._brow_left_s = 0.0
        self._trace = Spring(2.2, len(NAMES))
        self._trace_goal = np.zeros(len(NAMES))
        self._left_s = 1.5

    def step(self, dice: Dice, cues: Cues) -> npt.NDArray[np.float64]:
        """In the order of `NAMES`, at `motion_scale` 1."""
        self._brow_left_s -= FRAME_S
        if dice.happens(BROW, BROWS * cues.stress):
            self._brow_goal = cues.stress * dice.between(BROW_SIZE, 0.35, 0.85)
            self._brow_left_s = BROW_S
        if cues.asks:
            self._brow_goal = ASKING[0] + ASKING[1] * cues.asks
            self._brow_left_s = ASKING_S
        self._left_s -= FRAME_S
        if self._left_s <= 0 or cues.ended:
            self._left_s = dice.log_normal(MICRO, MICRO_S[cues.talking], 0.5)
            self._trace_goal = self._drawn(dice)
        trace = self._trace.step(self._trace_goal, FRAME_S).copy()
        high = min(WITH_HEIGHT * max(cues.height - 1, 0.0), MOST_WITH_HEIGHT)
        goal = max(self._brow_goal, high) if self._brow_left_s > 0 else high
        trace[NAMES.index("brow_up")] += self._brow.step(goal, FRAME_S)[0]
        return trace

    def _drawn(self, dice: Dice) -> npt.NDArray[np.float64]:
        smile = max(dice.normal(SMILE, 0.14), 0.0)
        traces = {
            "smile": smile,
            "cheek": 0.7 * smile + max(dice.normal(CHEEK, 0.06), 0.0),
            "brow_up": max(dice.normal(CHANGE, 0.12), 0.0),
            "brow_down": max(dice.normal(FROWN, 0.1), 0.0),
        }
        return np.array([traces.get(name, 0.0) for name in NAMES])


SLOTS = np.array([INDEX[name] for name in NAMES])
