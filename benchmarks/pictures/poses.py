"""PURE. The motions that are shown and compared: visemes, a blink, turns, expressions."""

from __future__ import annotations

import numpy as np

from sonic_stream.engine import EXPRESSIONS, Expression, StreamOptions
from sonic_stream.engines.lite.blinks import LASTS_S, lid
from sonic_stream.engines.lite.life import GAZE_DEG, Life
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.prosody import Cues
from sonic_stream.engines.lite.rig import lips

# What the network says for a sound held, by articulatory channel.
VISEMES: dict[str, dict[str, float]] = {
    "m b p": {"close": 0.95, "jaw": 0.1},
    "f v": {"aperture": 0.18, "tuck": 0.6, "jaw": 0.2, "jaw_loud": 0.2, "upper_raise": 0.35},
    "th": {"aperture": 0.28, "jaw": 0.3, "jaw_loud": 0.3, "tongue": 0.9},
    "t d n l": {"aperture": 0.28, "jaw": 0.25, "jaw_loud": 0.25, "tongue": 0.7},
    "s z": {"aperture": 0.28, "jaw": 0.15, "jaw_loud": 0.15, "stretch": 0.3},
    "sh ch": {"aperture": 0.3, "jaw": 0.25, "round": 0.4, "funnel": 0.8, "upper_raise": 0.3},
    "k g": {"aperture": 0.32, "jaw": 0.4, "jaw_loud": 0.35, "tongue": 0.2},
    "r": {"aperture": 0.28, "jaw": 0.3, "jaw_loud": 0.3, "round": 0.35},
    "ee": {"aperture": 0.32, "jaw": 0.3, "jaw_loud": 0.3, "stretch": 0.65, "upper_raise": 0.3},
    "eh": {"aperture": 0.48, "jaw": 0.6, "jaw_loud": 0.5, "stretch": 0.4, "upper_raise": 0.3},
    "ah": {"aperture": 0.65, "jaw": 0.9, "jaw_loud": 0.75, "upper_raise": 0.2},
    "oh": {"aperture": 0.45, "jaw": 0.6, "jaw_loud": 0.5, "round": 0.4, "funnel": 0.3},
    "oo": {"aperture": 0.22, "jaw": 0.25, "jaw_loud": 0.25, "round": 0.6, "funnel": 0.3},
    "uh": {"aperture": 0.45, "jaw": 0.45, "jaw_loud": 0.4},
}
BLINK_S = (0.0, 0.05, 0.10, 0.18, 0.24)
TURNS: dict[str, tuple[float, float, float]] = {
    "left": (8.0, 0.0, 1.0),
    "right": (-8.0, 0.0, -1.0),
    "down": (0.0, 6.0, 0.0),
    "up": (0.0, -6.0, 0.0),
    "tilted": (2.0, 0.0, 6.0),
}


def viseme(name: str, expression: Expression = "neutral") -> Motion:
    row = np.zeros(len(CHANNELS), np.float32)
    for channel, value in {"speech": 1.0, **VISEMES[name]}.items():
        row[CHANNEL[channel]] = value
    return _still(expression, lips(row, 1.0))


def blink(since_s: float) -> Motion:
    return Motion(blink=lid(since_s))


def turn(name: str) -> Motion:
    """The eyes stay on the camera."""
    yaw, pitch, roll = TURNS[name]
    return Motion(
        yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll,
        gaze_x=0.9 * yaw / GAZE_DEG[0], gaze_y=-0.9 * pitch / GAZE_DEG[1],
    )  # fmt: skip


def expression(name: Expression) -> Motion:
    return _still(name, (no_coefficients(), 0.0))


def shown() -> dict[str, dict[str, Motion]]:
    """What the contact sheet shows, by heading and caption."""
    assert max(BLINK_S) < LASTS_S
    return {
        "Visemes": {"rest": Motion(), **{name: viseme(name) for name in VISEMES}},
        "A blink": {f"{1000 * s:.0f} ms": blink(s) for s in BLINK_S},
        "Turns": {name: turn(name) for name in TURNS},
        "Expressions": {
            **{name: expression(name) for name in EXPRESSIONS},
            "happy m b p": viseme("m b p", "happy"),
        },
    }


def compared() -> dict[str, Motion]:
    """What the visual regression compares: less of the same, far from one another."""
    names = ("m b p", "f v", "ee", "ah", "oo", "th")
    return {
        "rest": Motion(),
        **{name: viseme(name) for name in names},
        "blink": blink(BLINK_S[2]),
        "half": blink(BLINK_S[3]),
        "left": turn("left"),
        "down": turn("down"),
        "aside": Motion(gaze_x=0.5),
        "happy": expression("happy"),
        "serious": expression("serious"),
        "surprised": expression("surprised"),
    }


def _still(mood: Expression, said: tuple[np.ndarray, float]) -> Motion:
    options = StreamOptions(motion_scale=0.0, expression=mood)
    return Life(options).step(0, said, Cues(), options)
