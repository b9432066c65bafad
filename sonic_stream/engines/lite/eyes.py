"""Eyes: what a portrait's eyes are made of, for gaze and blinking.

The eye frame: x runs from one corner (0) to the other (1), y down in the same unit. Two pictures
are made of each eye: its ball, which goes on under the lids, and its closed lid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engines.lite.eye_frame import POINTS, EyeFrame, eye_frame, lab_of
from sonic_stream.engines.lite.fields import BROWS, FaceModel, Patch, field_cell, make_patch
from sonic_stream.engines.lite.geometry import FloatLike, gaussian_smooth, smoothstep
from sonic_stream.engines.lite.palette import LUMA, Palette, noise_like
from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.matte import fill

LID_SHARE = 0.85  # of the skin up to the brow, or LID_REACH: what a closing lid may repaint
LID_REACH = 0.30


@dataclass(frozen=True)
class Eye:
    """`upper`, `lower` [33]: the lids over x; `above`: lid skin height; `margin` [2, 33]: what
    of the opening belongs to the lids, below the upper one and above the lower one. `ball`
    [K h, K w, 3] and `lid` [K h, K w, 4] (RGBA) replace the enlarged portrait in the patch."""

    patch: Patch
    corner: FloatArray
    axis_x: FloatArray
    axis_y: FloatArray
    width: float
    upper: FloatArray
    lower: FloatArray
    above: float
    margin: FloatArray
    iris_x: float
    iris_radius: float
    ball: ByteArray
    lid: ByteArray
    lashes: FloatArray  # [33, 3]: the dark of the lashes
    overshoot: FloatArray  # [33]: how far a closed lid reaches below the mesh's lower one
    behind_glass: bool  # nothing around the opening may move, or the frames would


def build_eye(
    picture: ByteArray, source: ByteArray, face: FaceModel, palette: Palette, side: str
) -> Eye:
    """`source`: `picture` enlarged, see `Latents`."""
    points = face.landmarks[:, :2].astype(np.float64)
    frame = eye_frame(picture, points, side)
    brow = frame.find(*points[BROWS[side][0]].T)[1].mean()
    middle = frame.upper[6:-6].mean()
    above = max(0.15, float(middle - brow) * 0.80)
    patch = _eye_patch(face, frame, above)
    overshoot = frame.overshoot()
    margin = frame.margins()
    return Eye(
        patch=patch,
        corner=frame.corner.astype(np.float32),
        axis_x=frame.axis_x.astype(np.float32),
        axis_y=frame.axis_y.astype(np.float32),
        width=frame.width,
        upper=frame.upper.astype(np.float32),
        lower=frame.lower.astype(np.float32),
        above=above,
        margin=margin.astype(np.float32),
        iris_x=frame.iris_x,
        iris_radius=frame.seen_radius(),
        ball=_ball(frame, source, patch, margin),
        lid=_closed_lid(frame, patch, palette, (above, float(overshoot.max())), face.glasses),
        lashes=_lash_colours(frame),
        overshoot=overshoot.astype(np.float32),
        behind_glass=face.glasses,
    )


def _eye_patch(face: FaceModel, frame: EyeFrame, above: float) -> Patch:
    size, width = face.size_px, frame.width
    cell = field_cell(size) // 2
    centre = frame.corner + 0.5 * width * frame.axis_x

    def snap(value: float) -> int:
        return int(np.clip(round(value / (2 * cell)) * 2 * cell, 0, size))

    x0, x1 = snap(centre[0] - 0.85 * width), snap(centre[0] + 0.85 * width)
    y0 = snap(centre[1] - max(0.75, 0.25 + above - float(frame.upper.min())) * width)
    y1 = snap(centre[1] + max(0.55, float(frame.lower.max()) + 0.12) * width)
    return make_patch(face, (x0, y0, x1 - x0, y1 - y0), cell, layers=())


def _pixels(patch: Patch, factor: int = 1) -> tuple[FloatLike, FloatLike]:
    """Picture positions of a patch's pixels, or of those of its part of an enlarged picture."""
    rows, columns = np.mgrid[: factor * patch.height, : factor * patch.width].astype(np.float64)
    return patch.x0 + columns / factor, patch.y0 + rows / factor


def _ball(frame: EyeFrame, source: ByteArray, patch: Patch, margin: FloatLike) -> ByteArray:
    """The opening, its edges going on beyond: no lash and no lid in it."""
    factor = len(source) // len(frame.picture)
    x, y = frame.find(*_pixels(patch, factor))
    clear = np.clip(x, 0.03, 0.97)
    upper, lower = frame.lids(clear)
    middle = 0.5 * (upper + lower)
    top, bottom = (np.interp(clear, np.linspace(0, 1, POINTS), edge) for edge in margin)
    y = np.clip(y, np.minimum(upper + top, middle), np.maximum(lower - bottom, middle))
    at = (factor * frame.place(clear, y)).astype(np.float32)
    return np.asarray(cv2.remap(source, at[..., 0], at[..., 1], cv2.INTER_LINEAR))


def _closed_lid(
    frame: EyeFrame, patch: Patch, palette: Palette, reach: tuple[float, float], glasses: bool
) -> ByteArray:
    """The skin around the opening goes on over it, so that no edge can show; lashes and lines
    that lay on it are toned away."""
    rows = slice(patch.y0, patch.y0 + patch.height)
    own = frame.picture[rows, patch.x0 : patch.x0 + patch.width].astype(np.float32)
    x, y = frame.find(*_pixels(patch))
    upper, lower = frame.lids(x)
    v, below = y - upper, y - lower - reach[1]
    high = min(LID_REACH, LID_SHARE * reach[0])
    low = min(0.10, 0.4 * reach[0])
    sides = smoothstep(x, -0.05, 0.03) * (1 - smoothstep(x, 0.97, 1.05))
    covered = smoothstep(v, -high, -low) * (1 - smoothstep(below, 0.02, 0.06)) * sides
    level = own @ LUMA
    # Under the eye skin is bare, and in the same light.
    bare = (below > 0.04) & (below < 0.3) & (np.abs(x - 0.5) < 0.5)
    skin = float(np.median(level[bare])) if bare.any() else float(palette.skin @ LUMA)
    # Lashes, brows, rims and fringes are no skin; shadows are, if not too deep.
    trusted = (1 - covered) ** 2 * smoothstep(level / max(skin, 1.0), 0.45, 0.75)
    tint = np.linalg.norm((lab_of(own) - lab_of(palette.skin))[..., 1:], axis=-1)
    trusted *= 1 - smoothstep(tint, 10, 24)
    trusted *= smoothstep(level / _without_lines(level, frame.width), 0.80, 0.95)
    trusted *= np.exp(-((np.maximum(np.abs(x - 0.5) - 0.55, 0) / 0.15) ** 2)) + 0.02
    smooth = fill(own, np.maximum(trusted, 1e-4).astype(np.float32))
    smooth = cv2.GaussianBlur(smooth, (0, 0), max(0.06 * frame.width, 1.0))
    # Much darker than the skin around is the shadow that an open lid's fold lies in.
    shadow = np.clip((smooth @ LUMA) / max(skin, 1.0), 0.2, 1.0)
    smooth = smooth * (np.maximum(shadow, 0.5 * shadow + 0.44) / shadow)[..., None]
    down = np.clip((v + high) / np.maximum(lower + reach[1] - upper + high, 0.05), 0, 1)
    bulge = np.exp(-(((x - 0.5) / 0.36) ** 2)) * np.sin(np.pi * down**1.2)
    shaded = smooth * (1 - 0.05 * down + 0.06 * bulge)[..., None]
    shaded += noise_like(palette, x.shape, palette.soft_px)[..., None]
    if not glasses:  # what is far darker than the lid will be
        dark = np.clip((smooth @ LUMA - level) / (0.22 * smooth @ LUMA + 1), 0, 1)
        near = smoothstep(v, -1.15 * high, -0.75 * high) * (v < 0) * sides
        covered = np.maximum(covered, near * cv2.GaussianBlur(dark, (0, 0), 1.0))
    rgba = np.dstack([np.clip(shaded, 0, 255), 255 * covered]).astype(np.float32)
    factor = 3 if frame.picture.shape[0] <= 640 else 2
    size = (factor * patch.width, factor * patch.height)
    large = cv2.resize(rgba, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.round(large), np.uint8)


def _without_lines(level: FloatLike, width: float) -> FloatLike:
    """Brightness with thin dark things, such as lashes, filled in."""
    kernel = np.ones((max(int(0.14 * width), 3),) * 2, np.uint8)
    soft = cv2.GaussianBlur(level.astype(np.float32), (0, 0), 0.8)
    return np.asarray(np.maximum(cv2.morphologyEx(soft, cv2.MORPH_CLOSE, kernel), 1.0))


def _lash_colours(frame: EyeFrame) -> FloatArray:
    line = frame.sample(frame.upper + np.linspace(-0.07, 0.04, 9)[:, None])
    darkest = (line @ LUMA).argmin(0)
    lashes = np.take_along_axis(line, darkest[None, :, None], 0)[0]
    return gaussian_smooth(lashes, 4.0).astype(np.float32)
