"""PURE. What shows between the lips for a motion: which sprites lie where, how dark it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.geometry import eased
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.interior import Interior
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.pose import JAW_MAX_RAD, Pose, point_shift
from sonic_stream.media import FloatArray

PARTS = ("tongue", "lower_teeth", "tongue_tip", "upper_teeth", "at_rest")  # back to front


@dataclass(frozen=True)
class Placed:
    """A sprite of `Interior`, by its name: `affine` [2, 3] from its pixels to the picture's at
    rest, how far it has moved since in pixels, how much of it shows."""

    part: str
    affine: FloatArray
    shift: FloatArray
    amount: float = 1.0


@dataclass(frozen=True)
class Inside:
    """`behind` and `before` the lips' shadow lie sprites, back to front. `depth` of the shadow
    and its exponent [3] for each colour; `light` [3]: what is left of it behind the lips."""

    behind: tuple[Placed, ...]
    before: tuple[Placed, ...]
    depth: float
    tint: FloatArray
    light: FloatArray


def inside_of(latents: Latents, motion: Motion, pose: Pose) -> Inside:
    interior, c = latents.interior, motion.coefficients
    skull = point_shift(latents, interior.centre, pose, jaw=False)
    jaw = point_shift(latents, interior.centre, pose, jaw=True)
    opened = pose.jaw / JAW_MAX_RAD

    def placed(part: str, shift: FloatArray, down: float, *, on_lips: bool = False) -> Placed:
        """`down`: an extra offset in half widths along the head's y."""
        extra = latents.axes[:2, 1] * down * latents.half_width
        return Placed(part, interior.to_lips if on_lips else interior.to_picture, shift + extra)

    tip = placed("tongue_tip", 0.5 * (skull + jaw), 0.18 - 0.16 * motion.tongue)
    own = interior.own_teeth
    behind = (
        placed("tongue", jaw, 0.06 - 0.50 * opened - 0.20 * motion.tongue),
        placed("lower_teeth", jaw, 0.05),
        *((tip,) if motion.tongue > 0.3 else ()),
        placed("upper_teeth", skull, 0.0, on_lips=own),
    )
    before: tuple[Placed, ...] = ()
    if latents.open_at_rest:
        parts = ("jaw", "close", "lower_down", "upper_up")
        moved = sum(abs(float(c[INDEX[name]])) for name in parts)
        amount = 1 - eased(moved, 0.05, 0.35)
        if amount > 0.01:
            before = (Placed("at_rest", interior.to_lips, skull, amount),)
    rounded = float(c[INDEX["pucker"]] - 0.4 * c[INDEX["funnel"]])
    flat = own or interior.is_line_art
    return Inside(
        behind,
        before,
        # A photo of teeth has its shadows in it, and line art has none.
        depth=0.35 if flat else 1.0,
        tint=_warm(0.10, interior),
        # Behind rounded lips the teeth are in the dark.
        light=np.float32(1 - 0.93 * eased(rounded, 0.35, 0.80)) ** _warm(0.25, interior),
    )


def _warm(by: float, interior: Interior) -> FloatArray:
    """Exponents [3] of light: the shadows in a mouth are warm."""
    return np.array(
        [1 - by, 1 + 0.4 * by, 1 + by] if interior.is_coloured else [1.0] * 3, np.float32
    )
