"""PURE. What one picture shows: the values that a renderer turns into pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sonic_stream.engines.lite.fields import COEFFICIENTS
from sonic_stream.media import FloatArray

# Yaw, pitch and roll in degrees, shifts in pixels of 512: beyond it a picture of one view shows.
MAX_TURN = np.array([13.0, 9.0, 8.0, 8.0, 6.0])


def no_coefficients() -> FloatArray:
    return np.zeros(len(COEFFICIENTS), np.float32)


@dataclass(frozen=True, slots=True)
class Motion:
    """`coefficients` [18] (see `COEFFICIENTS`), lips closed at 0, all of them 0.. but the
    body's `lean`, -1..1; angles in degrees, shifts in
    pixels of a 512 px picture; `blink` 0 open .. 1 closed; `lids` -1 narrowed .. 1 wide;
    `gaze` -1..1 right and down."""

    coefficients: FloatArray = field(default_factory=no_coefficients)
    tongue: float = 0.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    blink: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    lids: float = 0.0
