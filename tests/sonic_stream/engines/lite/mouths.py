"""Motions by their coefficients, and how wide a mouth they make."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.warp import Warper


def speaking(**coefficients: float) -> Motion:
    values = no_coefficients()
    for name, value in coefficients.items():
        values[INDEX[name]] = value
    return Motion(values)


def width_of(latents: Latents, motion: Motion) -> float:
    """How wide the mouth is from corner to corner, of its width at rest."""
    warper, patch = Warper(latents), latents.mouth
    shift = warper.backward(patch, "lower", pose_of(latents, motion))
    u, v = (warper.carried(grid, shift, patch) for grid in (patch.u, patch.v_lower))
    across = (np.abs(u) < 1) & (np.abs(v) < 0.15)
    return float(across.any(0).sum() * patch.cell / (2 * latents.half_width))
