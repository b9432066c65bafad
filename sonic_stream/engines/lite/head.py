"""PURE. The head: posture that changes with phrases, nods on stress, and never quite still."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.chance import Dice, noise
from sonic_stream.engines.lite.gaze import LARGE_DEG, Angles
from sonic_stream.engines.lite.prosody import FRAME_S, Cues
from sonic_stream.smoothing import Spring

YAW, PITCH, ROLL, SHIFT_X, SHIFT_Y = range(5)  # degrees; pixels of a 512 px picture
Pose = npt.NDArray[np.float64]

# Deviations of the postures taken, at rest and while talking.
AT_REST = np.array([1.5, 0.8, 0.8, 0.8, 0.5])
TALKING = np.array([2.4, 1.4, 1.4, 1.2, 0.7])
ROLL_WITH_YAW = 0.25
AT_PHRASE_BEGIN, AT_PHRASE_END = 0.6, 0.8
REST_OMEGA, TALKING_OMEGA = (2.2, 4.0), (3.5, 6.5)  # slow turns and quick ones
NOD_DEG, NOD_OMEGA, NOD_S = 5.2, 15.0, 0.14
RAISES = 0.15  # of the nods go upwards
ASKS_DEG, ASKS_S = 3.0, 0.4  # a question lifts and tilts the head
FOLLOWS, FOLLOW_OMEGA = 0.28, 7.0  # the head's share of a look aside
UNREST = np.array([0.9, 0.55, 0.45, 0.45, 0.35])  # at rest; doubled by talking
UNREST_HZ = (0.43, 0.51, 0.37, 0.33, 0.39)
POSTURE, DWELL, WHETHER, NOD, SIZE, RAISE, ASKEW, SIDEWAYS, SPEED = range(400, 490, 10)
UNREST_LANE = 490


class Head:
    """`step` gives the pose [5] at `motion_scale` 1."""

    def __init__(self) -> None:
        self._posture: Pose = np.zeros(5)
        self._settling = Spring(REST_OMEGA[0], 5)
        self._left_s = 1.0
        self._nod: Pose = np.zeros(5)
        self._nod_left_s = 0.0
        self._nodding = Spring(NOD_OMEGA, 5)
        self._following = Spring(FOLLOW_OMEGA, 2)

    def step(self, dice: Dice, cues: Cues, looks_at: Angles) -> Pose:
        self._change_posture(dice, cues)
        pose = self._settling.step(self._posture, FRAME_S) + self._nods(dice, cues)
        pose += (1 + cues.activity) * self._unrest(dice)
        far = np.hypot(*looks_at) > LARGE_DEG
        # Positive yaw and pitch turn the nose to the left and down in the picture.
        share = np.array([-FOLLOWS, FOLLOWS]) * far
        pose[:2] += self._following.step(share * looks_at, FRAME_S)
        return pose

    def _change_posture(self, dice: Dice, cues: Cues) -> None:
        self._left_s -= FRAME_S
        chance = AT_PHRASE_BEGIN * cues.began + AT_PHRASE_END * cues.ended
        if self._left_s > 0 and not (chance and dice.happens(WHETHER, chance)):
            return
        size = TALKING if cues.talking else AT_REST
        self._settling.omega = dice.between(SPEED, *(TALKING_OMEGA if cues.talking else REST_OMEGA))
        self._posture = size * [dice.normal(POSTURE + axis) for axis in range(5)]
        self._posture[ROLL] += ROLL_WITH_YAW * self._posture[YAW]
        self._posture[SHIFT_X] -= 0.3 * self._posture[YAW]
        self._left_s = dice.log_normal(DWELL, 2.2 if cues.talking else 4.0, 0.45)

    def _nods(self, dice: Dice, cues: Cues) -> Pose:
        self._nod_left_s -= FRAME_S
        if dice.happens(NOD, cues.stress):  # the strong ones more often
            size = NOD_DEG * cues.stress * dice.between(SIZE, 0.5, 1.2)
            down = -0.6 if dice.happens(RAISE, RAISES) else 1.0
            self._nod = np.array(
                [dice.normal(ASKEW, 0.3), down, dice.normal(SIDEWAYS, 0.25), 0.0, 0.2 * down]
            )
            self._nod *= size
            self._nod_left_s = NOD_S
        if cues.asks:
            side = 1 if dice.happens(RAISE, 0.5) else -1
            self._nod = ASKS_DEG * cues.asks * np.array([0.2 * side, -1.0, 0.6 * side, 0.0, -0.2])
            self._nod_left_s = ASKS_S
        return self._nodding.step(self._nod * (self._nod_left_s > 0), FRAME_S)

    def _unrest(self, dice: Dice) -> Pose:
        time_s = dice.index * FRAME_S
        return UNREST * [
            noise(dice.seed, UNREST_LANE + axis, hz * time_s) for axis, hz in enumerate(UNREST_HZ)
        ]
