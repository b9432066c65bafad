"""Eyes: what a portrait's eyes are made of, for gaze and blinking.

The eye frame: x runs from one corner (0) to the other (1), y down in the same unit. A closing
lid has the colours of the skin above and below, and a lash line at its margin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engines.lite.fields import BROWS, FaceModel, Patch, field_cell, make_patch
from sonic_stream.engines.lite.geometry import FloatLike, gaussian_smooth, smoothstep
from sonic_stream.engines.lite.palette import EYES, LUMA, Palette, noise_like
from sonic_stream.media import ByteArray, FloatArray

POINTS = 33  # samples along the lids


@dataclass(frozen=True)
class Eye:
    """`upper`, `lower` [33]: the lids over x; `above`: lid skin height; colours [33, 3]."""

    patch: Patch
    corner: FloatArray
    axis_x: FloatArray
    axis_y: FloatArray
    width: float
    upper: FloatArray
    lower: FloatArray
    above: float
    iris_x: float
    iris_radius: float
    skin_above: FloatArray
    skin_below: FloatArray
    lashes: FloatArray
    overshoot: float  # how far a closed lid reaches below the mesh's lower one
    behind_glass: bool  # nothing around the opening may move, or the frames would
    grain: FloatArray  # [height, width] of the patch's pixels: a lid is no smoother than skin


def lid_reach(above: float) -> float:
    """How far above the opening a closing lid repaints the skin."""
    return min(0.30, 0.85 * above)


def build_eye(picture: ByteArray, face: FaceModel, palette: Palette, side: str) -> Eye:
    upper_index, lower_index, iris_index = EYES[side]
    points = face.landmarks[:, :2].astype(np.float64)
    corner = points[upper_index[0]]
    width = float(np.linalg.norm(points[upper_index[-1]] - corner))
    axis_x = (points[upper_index[-1]] - corner) / width
    axis_y = np.array([-axis_x[1], axis_x[0]])
    axis_y = axis_y if axis_y[1] > 0 else -axis_y

    def local(indices: list[int]) -> FloatLike:
        away = points[indices] - corner
        return np.stack([away @ axis_x / width, away @ axis_y / width], -1)

    along = np.linspace(0, 1, POINTS)
    upper_points, lower_points = local(upper_index), local(lower_index)
    upper = np.interp(along, upper_points[:, 0], upper_points[:, 1])
    lower = np.interp(along, lower_points[:, 0], lower_points[:, 1])
    brow = local(BROWS[side][0])[:, 1].mean()
    middle = np.interp(np.linspace(0.2, 0.8, 9), along, upper).mean()
    above = max(0.15, float(middle - brow) * 0.80)
    frame = _EyeFrame(picture, corner, axis_x, axis_y, width)
    skin_above, skin_below, lashes = _lid_colours(frame, upper, lower, above)
    iris = points[iris_index]
    iris_radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()) / width
    # Where the whole iris shows the eye is a drawn one, and larger than the mesh's.
    drawn = 1 - float(smoothstep(2 * iris_radius / float((lower - upper).max()), 0.92, 1.06))
    patch = _eye_patch(face, frame, upper, lower, above)
    return Eye(
        patch=patch,
        corner=corner.astype(np.float32),
        axis_x=axis_x.astype(np.float32),
        axis_y=axis_y.astype(np.float32),
        width=width,
        upper=upper.astype(np.float32),
        lower=lower.astype(np.float32),
        above=above,
        iris_x=float((iris[0] - corner) @ axis_x / width),
        iris_radius=iris_radius,
        skin_above=skin_above,
        skin_below=skin_below,
        lashes=lashes,
        overshoot=0.02 + 0.07 * drawn,
        behind_glass=face.glasses,
        grain=noise_like(palette, (patch.height, patch.width), palette.soft_px),
    )


@dataclass(frozen=True)
class _EyeFrame:
    picture: ByteArray
    corner: FloatLike
    axis_x: FloatLike
    axis_y: FloatLike
    width: float

    def sample(self, heights: FloatLike) -> FloatLike:
        """Colours [m, 33, 3] at eye-frame heights [m, 33]."""
        along = np.linspace(0, 1, POINTS)
        at = self.corner + self.width * (
            along[None, :, None] * self.axis_x + heights[..., None] * self.axis_y
        )
        x, y = at[..., 0].astype(np.float32), at[..., 1].astype(np.float32)
        colours = cv2.remap(
            self.picture.astype(np.float32), x, y, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(colours)


def _eye_patch(
    face: FaceModel, frame: _EyeFrame, upper: FloatLike, lower: FloatLike, above: float
) -> Patch:
    size, width = face.size_px, frame.width
    cell = field_cell(size) // 2
    centre = frame.corner + 0.5 * width * frame.axis_x

    def snap(value: float) -> int:
        return int(np.clip(round(value / (2 * cell)) * 2 * cell, 0, size))

    x0, x1 = snap(centre[0] - 0.85 * width), snap(centre[0] + 0.85 * width)
    y0 = snap(centre[1] - max(0.75, 0.25 + above - float(upper.min())) * width)
    y1 = snap(centre[1] + max(0.55, float(lower.max()) + 0.12) * width)
    return make_patch(face, (x0, y0, x1 - x0, y1 - y0), cell, layers=())


def _lid_colours(
    frame: _EyeFrame, upper: FloatLike, lower: FloatLike, above: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Skin right above where the lid is painted, skin under the eye, the dark of the lashes."""

    def bright(heights: FloatLike, order: int) -> FloatLike:
        """Per column the colour of that rank in brightness: lashes are darker than skin."""
        colours = frame.sample(heights)
        chosen = np.argsort(colours @ LUMA, 0)[order]
        return np.asarray(np.take_along_axis(colours, chosen[None, :, None], 0)[0])

    high = lid_reach(above)
    over = np.linspace(0.85 * high, max(1.3 * high, min(0.5, 0.95 * above)), 7)
    top = bright(upper[None] - over[:, None], 4)
    below = bright(lower[None] + np.linspace(0.10, 0.34, 9)[:, None], 5)
    line = frame.sample(upper[None] + np.linspace(-0.07, 0.04, 9)[:, None])
    darkest = (line @ LUMA).argmin(0)
    lashes = np.take_along_axis(line, darkest[None, :, None], 0)[0]
    # Frames of glasses and fringes are no skin: where it is far too dark, the lower lid lends.
    is_skin = smoothstep((top @ LUMA) / np.maximum(below @ LUMA, 1), 0.50, 0.62)[:, None]
    top = np.asarray(top * is_skin + 0.94 * below * (1 - is_skin), np.float64)
    top, below, lashes = (gaussian_smooth(colours, 4.0) for colours in (top, below, lashes))
    mixed = 0.5 * (top + below)  # make-up and shadows must not tear the lid in two
    return (
        (0.7 * top + 0.3 * mixed).astype(np.float32),
        (0.65 * below + 0.35 * mixed).astype(np.float32),
        lashes.astype(np.float32),
    )
