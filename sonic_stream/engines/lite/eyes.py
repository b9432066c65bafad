"""Eyes: what a portrait's eyes are made of, for gaze and blinking.

The eye frame: x runs from one corner (0) to the other (1), y down in the same unit. Two pictures
are made of each eye: its ball, which goes on under the lids, and its closed lid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engines.lite.closed_lid import closed_lid
from sonic_stream.engines.lite.eye_frame import POINTS, EyeFrame, eye_frame
from sonic_stream.engines.lite.fields import BROWS, FaceModel, Patch, field_cell, make_patch
from sonic_stream.engines.lite.formulas import DRAWN_OUT
from sonic_stream.engines.lite.geometry import FloatLike, gaussian_smooth, smoothstep
from sonic_stream.engines.lite.palette import LUMA, Palette
from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.matte import fill

LASH = (0.035, 0.030, 0.80)
BOXED_LASH = (0.10, 0.030, 0.0)


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
    lash: FloatArray  # [3]: how thick the line along a coming lid is, how soft above, how dark
    is_drawn: bool  # the ball turns as a whole, and the lids meet above the lower one
    is_boxed: bool  # the line of the upper lid comes down, what is above it drawn out behind it
    behind_glass: bool  # nothing around the opening may move, or the frames would


def build_eye(
    picture: ByteArray, source: ByteArray, face: FaceModel, palette: Palette, side: str
) -> Eye:
    """`source`: `picture` enlarged, see `Latents`."""
    frame = eye_frame(picture, face, side)
    brow = frame.find(*face.landmarks[BROWS[side][0], :2].astype(np.float64).T)[1].mean()
    middle = frame.upper[6:-6].mean()
    above = max(0.15, float(middle - brow) * 0.80)
    if is_boxed := frame.kind == "boxed":
        above = 0.2 + DRAWN_OUT * float((frame.lower - frame.upper).max())
    patch = _eye_patch(face, frame, above)
    overshoot = frame.overshoot()
    margin = frame.margins()
    below, lash = float(overshoot.max()), BOXED_LASH if is_boxed else LASH
    if frame.is_drawn:
        thick = min(0.6 * frame.line(frame.upper, -1.0), 0.09)
        below, lash = frame.line(frame.lower, 1.0), (thick, 0.030, 1.0)
    none = np.zeros((1, 1, 4), np.uint8)
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
        ball=none[..., :3] if is_boxed else _ball(frame, source, patch, margin),
        lid=none if is_boxed else closed_lid(frame, patch, palette, (above, below), face.glasses),
        lashes=_lash_colours(frame),
        overshoot=overshoot.astype(np.float32),
        lash=np.array(lash, np.float32),
        is_drawn=frame.is_drawn,
        is_boxed=is_boxed,
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
    y1 = snap(centre[1] + max(0.55, float(frame.lower.max()) + 0.20) * width)
    return make_patch(face, (x0, y0, x1 - x0, y1 - y0), cell, layers=())


def _ball(frame: EyeFrame, source: ByteArray, patch: Patch, margin: FloatLike) -> ByteArray:
    """The opening, its edges going on beyond: no lash and no lid in it."""
    factor = len(source) // len(frame.picture)
    x, y = frame.grid(patch, factor)
    clear = np.clip(x, 0.03, 0.97)
    upper, lower = frame.lids(clear)
    middle = 0.5 * (upper + lower)
    top, bottom = (np.interp(clear, np.linspace(0, 1, POINTS), edge) for edge in margin)
    y = np.clip(y, np.minimum(upper + top, middle), np.maximum(lower - bottom, middle))
    at = (factor * frame.place(clear, y)).astype(np.float32)
    ball = np.asarray(cv2.remap(source, at[..., 0], at[..., 1], cv2.INTER_LINEAR))
    return _whitened(frame, patch, ball) if frame.is_drawn else ball


def _whitened(frame: EyeFrame, patch: Patch, ball: ByteArray) -> ByteArray:
    """White goes on around the opening of a drawn eye, but for where the iris does."""
    small = cv2.resize(ball, (patch.width, patch.height), interpolation=cv2.INTER_AREA)
    depth = frame.depth(patch)
    x, y = frame.grid(patch)
    away = np.hypot(x - frame.iris_x, y - frame.iris_y) / frame.iris_radius
    level = small @ LUMA
    clear = (depth > 0.04) & (away > 1.15)
    white = clear & (level > 0.7 * np.percentile(level[clear], 90)) if clear.any() else clear
    around = fill(small.astype(np.float32), white.astype(np.float32))
    cut = np.abs(x - frame.iris_x) / frame.iris_radius  # by the lids, hardly by the corners
    iris = (1 - smoothstep(away, 1.0, 1.1)) * (1 - smoothstep(cut, 0.7, 0.9))
    own = np.maximum(smoothstep(depth, 0.03, 0.08), iris)
    size = (ball.shape[1], ball.shape[0])
    around = cv2.resize(around, size, interpolation=cv2.INTER_LINEAR)
    share = cv2.resize(own.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.round(around + (ball - around) * share[..., None]), np.uint8)


def _lash_colours(frame: EyeFrame) -> FloatArray:
    line = frame.sample(frame.upper + np.linspace(-0.07, 0.04, 9)[:, None])
    darkest = (line @ LUMA).argmin(0)
    lashes = np.take_along_axis(line, darkest[None, :, None], 0)[0]
    return gaussian_smooth(lashes, 4.0).astype(np.float32)
