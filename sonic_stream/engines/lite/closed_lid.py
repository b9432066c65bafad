"""PURE. The closed lid of an eye, painted from the skin around it.

A person's goes on from the lid's own skin, and lashes and lines that lay on it are toned away; a
drawn eye's is taken from clear of the lines around it.
"""

from __future__ import annotations

import cv2
import numpy as np

from sonic_stream.engines.lite.eye_frame import EyeFrame
from sonic_stream.engines.lite.fields import Patch
from sonic_stream.engines.lite.geometry import FloatLike, smoothstep
from sonic_stream.engines.lite.palette import LUMA, Palette, noise_like
from sonic_stream.media import ByteArray
from sonic_stream.portrait.matte import fill
from sonic_stream.portrait.views import TINT, lab_of

LID_SHARE = 0.85  # of the skin up to the brow, or LID_REACH: what a closing lid may repaint
LID_REACH = 0.30
LASHES = 0.16  # below the lower lid there may be some


def closed_lid(
    frame: EyeFrame, patch: Patch, palette: Palette, reach: tuple[float, float], glasses: bool
) -> ByteArray:
    """RGBA [K h, K w, 4] of the patch, K as the portrait is enlarged. `reach`: how tall the lid's
    skin is, and how far below the lower lid a closed one goes; nothing above is toned away behind
    `glasses`."""
    rows = slice(patch.y0, patch.y0 + patch.height)
    own = frame.picture[rows, patch.x0 : patch.x0 + patch.width].astype(np.float32)
    x, y = frame.grid(patch)
    upper, lower = frame.lids(x)
    v, below = y - upper, y - lower - reach[1]
    high = min(LID_REACH, LID_SHARE * reach[0])
    covered, trusted = (_drawn if frame.is_drawn else _born)(frame, patch, reach)
    level = own @ LUMA
    # Under the eye skin is bare, and in the same light.
    bare = (below > 0.04) & (below < 0.3) & (np.abs(x - 0.5) < 0.5)
    skin = float(np.median(level[bare])) if bare.any() else float(palette.skin @ LUMA)
    trusted = trusted * _is_skin(own, skin, palette, frame, x)
    smooth = fill(own, np.maximum(trusted, 1e-4).astype(np.float32))
    smooth = cv2.GaussianBlur(smooth, (0, 0), max(0.06 * frame.width, 1.0))
    if not frame.is_drawn:
        # Much darker than the skin around is the shadow that an open lid's fold lies in.
        shadow = np.clip((smooth @ LUMA) / max(skin, 1.0), 0.2, 1.0)
        smooth = smooth * (np.maximum(shadow, 0.5 * shadow + 0.44) / shadow)[..., None]
    down = np.clip((v + high) / np.maximum(lower + reach[1] - upper + high, 0.05), 0, 1)
    bulge = np.exp(-(((x - 0.5) / 0.36) ** 2)) * np.sin(np.pi * down**1.2)
    shaded = smooth * (1 - 0.05 * down + 0.06 * bulge)[..., None]
    if frame.is_drawn or glasses:
        shaded += noise_like(palette, x.shape, palette.soft_px)[..., None]
    else:
        shaded += _texture(frame, patch, reach[1])
    if not glasses:  # what is far darker than the lid will be
        dark = np.clip((smooth @ LUMA - level) / (0.22 * smooth @ LUMA + 1), 0, 1)
        near = smoothstep(v, -1.3 * high, -0.7 * high) * (v < 0) * _sides(x)
        reach_px = 0.04 * frame.width
        dark = cv2.dilate(dark, np.ones((2 * round(reach_px) + 1,) * 2, np.uint8))
        covered = np.maximum(covered, near * cv2.GaussianBlur(dark, (0, 0), max(reach_px, 1.0)))
    if frame.is_drawn:
        covered = covered * (1 - _hair(own, palette, frame, patch))
    rgba = np.dstack([np.clip(shaded, 0, 255), 255 * covered]).astype(np.float32)
    factor = 3 if frame.picture.shape[0] <= 640 else 2
    size = (factor * patch.width, factor * patch.height)
    large = cv2.resize(rgba, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.round(large), np.uint8)


def _texture(frame: EyeFrame, patch: Patch, overshoot: float) -> FloatLike:
    """Pores, lines and grain of the skin under the eye [h, w, 3], turned over onto the lid."""
    x, y = frame.grid(patch)
    bottom = frame.lids(x)[1] + overshoot
    away = np.clip(bottom - y, 0, 0.6)
    at = frame.place(np.clip(x, 0.08, 0.92), bottom + LASHES + away).astype(np.float32)
    picture = frame.picture.astype(np.float32)
    fine = picture - cv2.GaussianBlur(picture, (0, 0), max(0.05 * frame.width, 1.0))
    detail = cv2.remap(fine, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    most = 3 * np.median(np.abs(detail), (0, 1)) + 1  # no mole, no lash
    return np.asarray(np.clip(detail, -most, most))


def _sides(x: FloatLike) -> FloatLike:
    return smoothstep(x, -0.05, 0.03) * (1 - smoothstep(x, 0.97, 1.05))


def _born(frame: EyeFrame, patch: Patch, reach: tuple[float, float]) -> tuple[FloatLike, FloatLike]:
    """What a person's lid covers, and which skin it is made from."""
    x, y = frame.grid(patch)
    upper, lower = frame.lids(x)
    high, low = min(LID_REACH, LID_SHARE * reach[0]), min(0.10, 0.4 * reach[0])
    above = smoothstep(y - upper, -high, -low)
    covered = above * (1 - smoothstep(y - lower - reach[1], 0.02, 0.06)) * _sides(x)
    return covered, (1 - covered) ** 2


def _drawn(
    frame: EyeFrame, patch: Patch, reach: tuple[float, float]
) -> tuple[FloatLike, FloatLike]:
    """The same of a drawn eye: its lines go around the corners too."""
    x, y = frame.grid(patch)
    line = frame.line(frame.upper, -1.0)
    lines = line + (reach[1] - line) * smoothstep(y, -0.15, 0.15)
    away = -frame.depth(patch) - lines
    within = 1 - smoothstep(np.abs(x - 0.5), 0.52, 0.59)
    return (1 - smoothstep(away, 0.01, 0.07)) * within, smoothstep(away, 0.08, 0.14)


def _hair(own: FloatLike, palette: Palette, frame: EyeFrame, patch: Patch) -> FloatLike:
    """What hangs onto a drawn eye's lid [h, w], where not skin but hair is above it."""
    (x, y), depth, lab = frame.grid(patch), frame.depth(patch), lab_of(own)
    strange = np.linalg.norm((lab - lab_of(palette.skin)) * TINT, axis=-1) > 20
    above = (depth < -0.10) & (depth > -0.25) & (y < -0.1) & (np.abs(x - 0.5) < 0.5)
    if not above.any() or strange[above].mean() < 0.5:
        return np.zeros_like(depth)
    some = lab[above & strange]
    some = some[:: len(some) // 24 + 1]
    like = np.min([np.linalg.norm(lab - one, axis=-1) for one in some], 0) < 14
    return np.asarray(cv2.GaussianBlur((like & (depth < 0.02)).astype(np.float64), (0, 0), 0.8))


def _is_skin(
    own: FloatLike, skin: float, palette: Palette, frame: EyeFrame, x: FloatLike
) -> FloatLike:
    """Lashes, brows, rims and fringes are none; shadows are, if not too deep. `skin`: its level."""
    level = own @ LUMA
    tint = np.linalg.norm((lab_of(own) - lab_of(palette.skin))[..., 1:], axis=-1)
    strange = (14, 26) if frame.is_drawn else (10, 24)
    trusted = smoothstep(level / max(skin, 1.0), 0.45, 0.75) * (1 - smoothstep(tint, *strange))
    trusted *= smoothstep(level / _without_lines(level, frame.width), 0.80, 0.95)
    beside = np.maximum(np.abs(x - 0.5) - 0.55, 0)
    return np.asarray(trusted * (np.exp(-((beside / 0.15) ** 2)) + 0.02))


def _without_lines(level: FloatLike, width: float) -> FloatLike:
    """Brightness with thin dark things, such as lashes, filled in."""
    kernel = np.ones((max(int(0.14 * width), 3),) * 2, np.uint8)
    soft = cv2.GaussianBlur(level.astype(np.float32), (0, 0), 0.8)
    return np.asarray(np.maximum(cv2.morphologyEx(soft, cv2.MORPH_CLOSE, kernel), 1.0))
