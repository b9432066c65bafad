"""PURE. Glasses in front of the eyes, from the picture.

Frames are thin lines where skin has none: one over the bridge of the nose, and one below each
eye. A line counts as far as almost all of its columns agree, so brows, lashes and wrinkles do
not. Wire shows too faintly below the eyes: it is traced over the bridge alone, wherever it runs.
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
BRIDGE, FAINT_RIM, STRONG_RIM, WIRE = 0.09, 0.08, 0.25, 0.05
WIRE_PX = 2  # half of a wire's reach, rows of half a pixel: its sides are skin again
CLIMB = 3  # rows from one column to the next
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
    if wire_contrast(grey, points) > WIRE:
        return True
    bridge, rims = line_contrasts(grey, points)
    return min(rims) > STRONG_RIM or (bridge > BRIDGE and min(rims) > FAINT_RIM)


def line_contrasts(grey: FloatArray, points: FloatLike) -> tuple[float, list[float]]:
    """Of the line over the nose and of those below the eyes; 0 none, 1 black on white."""
    skin = _skin(grey, points)
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


def wire_contrast(grey: FloatArray, points: FloatLike) -> float:
    """Of the best line from one side of the nose's bridge to the other, of any shape."""
    right, left = points[INNER_CORNERS[0]], points[INNER_CORNERS[1]]
    apart = float(np.linalg.norm(left - right))
    columns = np.linspace(-0.2, 0.2, 41) * apart
    rows = np.arange(-0.55, 0.55, 0.5 / apart) * apart
    strip = _Strip((right + left) / 2, (left - right) / apart, columns, np.zeros(41))
    seen = strip.sample(grey, rows) / _skin(grey, points)
    best = 0.0
    for reach in (WIRE_PX, 2 * WIRE_PX):
        above, middle, below = seen[: -2 * reach], seen[reach:-reach], seen[2 * reach :]
        for line in (np.minimum(above, below) - middle, middle - np.maximum(above, below)):
            best = max(best, float(np.percentile(_traced(line), 15)))
    return best


def _traced(line: FloatArray) -> FloatArray:
    """The strongest connected path through `line` [rows, columns]: its values [columns]."""
    count, width = line.shape
    sums, steps = np.minimum(line[:, 0], 0.25), []
    slopes = np.arange(-CLIMB, CLIMB + 1)
    for column in range(1, width):
        padded = np.pad(sums, CLIMB, constant_values=-np.inf)
        before = np.lib.stride_tricks.sliding_window_view(padded, len(slopes))
        before = before - 0.004 * np.abs(slopes)
        chosen = before.argmax(1)
        steps.append(slopes[chosen])
        sums = before[np.arange(count), chosen] + np.minimum(line[:, column], 0.25)
    path = [int(sums.argmax())]
    for step in reversed(steps):
        path.append(path[-1] + int(step[path[-1]]))
    return np.asarray(line[path[::-1], np.arange(width)])


def _skin(grey: FloatArray, points: FloatLike) -> float:
    height, width = grey.shape
    cheeks = [grey[int(y) % height, int(x) % width] for x, y in points[list(CHEEKS)]]
    return max(float(np.median(cheeks)), 1.0)


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
