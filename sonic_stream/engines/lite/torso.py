"""PURE. The body: it shifts its weight, and goes a part of the way with the head."""

from __future__ import annotations

from sonic_stream.engines.lite.chance import Dice, noise
from sonic_stream.engines.lite.prosody import FRAME_S, Cues
from sonic_stream.smoothing import Spring

OMEGA = 2.4  # slower than the head
WITH_SHIFT, WITH_YAW = 0.09, -0.06  # per pixel of 512 and per degree of the head's
SWAY, SWAY_HZ = 0.7, 0.11  # weight moved from one side to the other, doubled by talking
LANE = 600


class Torso:
    """`step` gives how far the body leans to the picture's right, about -1..1."""

    def __init__(self) -> None:
        self._spring = Spring(OMEGA, 1)

    def step(self, dice: Dice, cues: Cues, yaw_deg: float, shift_x: float) -> float:
        sway = SWAY * (1 + cues.activity) * noise(dice.seed, LANE, SWAY_HZ * dice.index * FRAME_S)
        goal = sway + WITH_SHIFT * shift_x + WITH_YAW * yaw_deg
        return float(self._spring.step(goal, FRAME_S)[0])
