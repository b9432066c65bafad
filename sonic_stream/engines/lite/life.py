"""PURE. The whole motion of a frame: lips from the rig, life from its parts, scaled and joined.

Every draw depends on the seed and the frame's number, every state on the sound heard so far,
so that any chunking of the sound gives the same life.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import numpy.typing as npt

from sonic_stream.engine import StreamOptions
from sonic_stream.engines.lite import head as pose
from sonic_stream.engines.lite.blinks import Blinker
from sonic_stream.engines.lite.breath import Breath
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.expression import NAMES, SLOTS, Mimic, Mood
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.gaze import Angles, Gaze
from sonic_stream.engines.lite.motion import MAX_TURN, Motion
from sonic_stream.engines.lite.prosody import Cues
from sonic_stream.engines.lite.torso import Torso
from sonic_stream.media import FloatArray

GAZE_DEG = (19.0, 9.0)  # what `Motion.gaze` 1 means, right and down
STEADIED = 0.9  # of the head's motion is taken back by the eyes
CLOSING = np.array([name in ("jaw",) for name in NAMES])


class Life:
    """State of everything but the lips; `step` once per frame, in order."""

    def __init__(self, options: StreamOptions) -> None:
        self._gaze = Gaze()
        self._blinker = Blinker()
        self._breath = Breath()
        self._head = pose.Head()
        self._torso = Torso()
        self._mimic = Mimic()
        self._mood = Mood(options.expression)

    def clone(self) -> Life:
        return copy.deepcopy(self)

    def step(
        self, frame: int, lips: tuple[FloatArray, float], cues: Cues, options: StreamOptions
    ) -> Motion:
        """`lips`: coefficients [18] and the tongue's height, as the rig gives them."""
        dice, amount = Dice(options.seed, frame), options.motion_scale
        sight = self._gaze.step(dice, cues)
        turned = self._head.step(dice, cues, self._gaze.target)
        lean = self._torso.step(dice, cues, turned[pose.YAW], turned[pose.SHIFT_X])
        turned = amount * turned
        mood = self._mood.step(options.expression)
        blink = self._blinker.step(dice, cues, self._gaze.looked_aside)
        breath = amount * self._breath.step(dice, cues)
        added = mood.coefficients + amount * self._mimic.step(dice, cues)
        turned[pose.SHIFT_Y] -= 0.8 * breath
        turned[pose.PITCH] += mood.pitch_deg - 0.25 * breath
        turned[pose.ROLL] += mood.roll_deg
        turned = MAX_TURN * np.tanh(turned / MAX_TURN)
        gaze_x, gaze_y = _eyes(sight, turned, amount)
        return Motion(
            coefficients=_face(lips[0], added, breath, math.tanh(amount * lean)),
            tongue=lips[1],
            yaw_deg=float(turned[pose.YAW]),
            pitch_deg=float(turned[pose.PITCH]),
            roll_deg=float(turned[pose.ROLL]),
            shift_x=float(turned[pose.SHIFT_X]),
            shift_y=float(turned[pose.SHIFT_Y]),
            blink=blink if amount > 0 else 0.0,
            gaze_x=gaze_x,
            gaze_y=gaze_y,
            lids=mood.lids,
        )


def _eyes(sight: Angles, turned: npt.NDArray[np.float64], amount: float) -> Angles:
    """The eyes' turn in the head: towards what is looked at, less what the head has done."""
    amount = min(amount, 1.3)
    across = amount * sight[0] + STEADIED * turned[pose.YAW]
    down = amount * sight[1] - STEADIED * turned[pose.PITCH]
    x, y = np.tanh(np.array([across, down]) / GAZE_DEG)
    return float(x), float(y)


def _face(
    lips: FloatArray, added: npt.NDArray[np.float64], breath: float, lean: float
) -> FloatArray:
    out = lips.copy()
    # Lips that press for m, b, p or that touch the teeth for f, v stay where they are.
    held = min(max(float(lips[INDEX["press"]]) / 0.55, float(lips[INDEX["tuck"]]) / 0.9), 1.0)
    out[SLOTS] += np.where(CLOSING, 1 - held, 1.0) * added
    # A rounded mouth cannot smile as widely.
    out[INDEX["smile"]] *= 1 - 0.5 * min(float(lips[INDEX["pucker"]]), 1.0)
    out[INDEX["cheek"]] += 0.2 * lips[INDEX["stretch"]]
    out[INDEX["breath"]] = breath
    np.clip(out, 0.0, 1.25, out=out)
    out[INDEX["lean"]] = lean
    return out
