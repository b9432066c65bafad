"""PURE. Glasses in front of the eyes, from the picture.

Frames are thin lines where skin has none: one over the bridge of the nose, and one below each
eye. A line counts as far as almost all of its columns agree, so brows, lashes and wrinkles do
not. Strong frames are found; thin wire is not, and hardly matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray

CHEEKS = (50, 280, 205, 425)
LOWER_LIDS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133), (362, 382, 381, 380, 374, 373, 390, 249, 263),
)  # fmt: skip
INNER_CORNERS = (133, 362)
WORK_PX = 512
# Of the skin's brightness: two faint rims need a bridge between them, two strong ones do not.
BRIDGE, FAINT_RIM, STRONG_RIM = 0.09, 0.08, 0.25
FloatLike = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Strip:
    """A band of the picture about a curve: `columns` [n] along `axis_x` and `curve` [n] along
    `axis_y` from `origin`; heights are measured from the curve. Lengths in pixels."""

    origin: FloatLike
    axis_x: FloatLike
    columns: FloatLike
    curve: FloatLike

    def sample(self, grey: FloatArray, rows: FloatLike) -> FloatArray:
        """Brightness [rows, columns]."""
        axis_y = np.array([-self.axis_x[1], self.axis_x[0]])
        heights = self.curve[None] + rows[:, None]
        at = (
            self.origin
            + self.columns[None, :, None] * self.axis_x
            + heights[..., None] * axis_y
        )  # fmt: skip
        x, y = at[..., 0].astype(np.float32), at[..., 1].astype(np.float32)
        found = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float32)


def has_glasses(rgba: ByteArray, landmarks: FloatArray) -> bool:
    """For a cropped portrait [S, S, 4]."""
    scale = WORK_PX / len(rgba)
    small = cv2.resize(rgba[..., :3], (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8))
    points = landmarks[:, :2].astype(np.float64) * scale
    bridge, rims = line_contrasts(grey, points)
    return min(rims) > STRONG_RIM or (bridge > BRIDGE and min(rims) > FAINT_RIM)


def line_contrasts(grey: FloatArray, points: FloatLike) -> tuple[float, list[float]]:
    """Of the line over the nose and of those below the eyes; 0 none, 1 black on white."""
    height, width = grey.shape
    cheeks = [grey[int(y) % height, int(x) % width] for x, y in points[list(CHEEKS)]]
    skin = max(float(np.median(cheeks)), 1.0)
    right, left = points[INNER_CORNERS[0]], points[INNER_CORNERS[1]]
    apart = float(np.linalg.norm(left - right))
    columns = np.linspace(-0.25, 0.25, 13) * apart
    rows = np.arange(-0.6, 0.6, 0.5 / apart) * apart
    bridge = 0.0
    for bow in (-0.1, 0.0, 0.1, 0.2):
        curve = -bow * apart * (1 - (columns / (0.3 * apart)) ** 2)
        strip = _Strip((right + left) / 2, (left - right) / apart, columns, curve)
        bridge = max(bridge, _ridge(strip.sample(grey, rows), 0.5 / apart))
    return bridge / skin, [_rim(grey, points[list(lid)]) / skin for lid in LOWER_LIDS]


def _rim(grey: FloatArray, lid: FloatLike) -> float:
    across = lid[-1] - lid[0]
    width = float(np.linalg.norm(across))
    axis_x = across / width
    away = lid - lid[0]
    along, down = away @ axis_x, away @ np.array([-axis_x[1], axis_x[0]])
    share = np.linspace(-0.5, 0.5, 11)
    columns = (0.5 + 0.5 * share) * width
    low = 0.5 * np.interp(columns, along, down)
    rows = np.arange(0.22, 1.15, 0.5 / width) * width
    best = 0.0
    for tilt in (-0.3, 0.0, 0.3):
        for sag in (0.0, 0.1, 0.2):
            curve = low + (tilt * share + sag * (1 - (2 * share) ** 2)) * width
            strip = _Strip(lid[0], axis_x, columns, curve)
            best = max(best, _ridge(strip.sample(grey, rows), 0.5 / width))
    return best


def _ridge(strip: FloatArray, row: float) -> float:
    """The strongest line along a strip [rows, columns], dark or bright, in brightness; `row` is
    a row's height in eye widths."""
    best = 0.0
    for reach in (0.06, 0.12, 0.20):
        k = max(int(reach / row), 1)
        if 2 * k >= len(strip):
            continue
        above, middle, below = strip[: -2 * k], strip[k:-k], strip[2 * k :]
        dark = np.percentile(np.minimum(above, below) - middle, 20, axis=1).max()
        bright = np.percentile(middle - np.maximum(above, below), 20, axis=1).max()
        best = max(best, float(dark), float(bright))
    return best
