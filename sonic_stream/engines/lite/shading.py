"""PURE. Shadows that a moving mouth casts in its surroundings: the folds from nose to mouth
corners when it widens or smiles, and the hollow above the chin when lips press or round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.fields import INDEX, Patch
from sonic_stream.engines.lite.geometry import FloatLike, MouthFrame, smoothstep
from sonic_stream.engines.lite.palette import Palette
from sonic_stream.media import FloatArray

DEEPEST = 0.20  # share of the shadow's colour in the deepest fold
SHADOW = np.array([0.66, 0.45, 0.40])  # of skin: light that skin lets through is red
GREY_SHADOW = 0.5


@dataclass(frozen=True)
class Folds:
    """Shadows [rows, columns] on the mouth patch's nodes, 0..1, and their colour [3]."""

    cheeks: FloatArray
    chin: FloatArray
    colour: FloatArray


def build_folds(patch: Patch, mouth: MouthFrame, palette: Palette) -> Folds:
    u, v = np.abs(patch.u), np.where(patch.v_upper < 0, patch.v_upper, patch.v_lower)
    v = np.where((patch.v_upper >= 0) & (patch.v_lower <= 0), 0.0, v)
    # From the wing of the nose, bowing out around the corner of the mouth.
    top, bottom = -1.15 * mouth.nose, 0.20
    along = np.clip((v - top) / (bottom - top), 0, 1)
    line = 0.58 + 0.80 * along + 0.07 * np.sin(np.pi * along)
    beside = (u - line) / np.sqrt(1 + (0.80 / (bottom - top)) ** 2)
    # Soft towards the lip, sharp under the cheek that bulges over it.
    width = np.where(beside < 0, 0.17, 0.10)
    ends = smoothstep(along, 0.0, 0.18) * (1 - smoothstep(along, 0.55, 1.0))
    cheeks = np.exp(-((beside / width) ** 2)) * ends
    under = (v - mouth.lip_lower - 0.16 - 0.06 * u**2) / np.where(v > mouth.lip_lower, 0.13, 0.10)
    chin = np.exp(-(under**2)) * (1 - smoothstep(u, 0.35, 0.85)) * smoothstep(v, 0.0, 0.1)
    # Smooth skin, of children and drawings, hardly folds; line art has no shading at all.
    depth = 0.15 if palette.is_line_art else float(np.clip(palette.grain - 0.3, 0.25, 1.0))
    tint = SHADOW if palette.is_coloured else np.full(3, GREY_SHADOW)
    return Folds(
        _as_field(depth * cheeks), _as_field(depth * chin), (palette.skin * tint).astype(np.float32)
    )


def fold_depths(coefficients: FloatArray) -> tuple[float, float]:
    """How deep the cheeks' and the chin's folds are now, 0..1; 0 where nobody would see one."""

    def of(name: str) -> float:
        return float(coefficients[INDEX[name]])

    cheeks = of("smile") + 0.6 * of("stretch") + 0.4 * of("upper_up") - 0.5 * of("pucker")
    chin = 0.9 * of("press") + 0.6 * of("pucker") + 0.7 * of("tuck") - 0.3 * of("jaw")
    cheeks, chin = min(max(cheeks, 0.0), 1.0), min(max(chin, 0.0), 1.0)
    least = 0.01 if cheeks + chin >= 0.02 else 2.0
    return cheeks if cheeks > least else 0.0, chin if chin > least else 0.0


def _as_field(values: FloatLike) -> FloatArray:
    return (DEEPEST * values).astype(np.float32)
