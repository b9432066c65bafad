"""Portraits that smile, made of those of closed lips."""

from __future__ import annotations

import cv2
import numpy as np

from sonic_stream.engine import Portrait
from sonic_stream.engines.lite.geometry import (
    INNER_LOWER,
    INNER_UPPER,
    OUTER_LOWER,
    OUTER_UPPER,
)

IVORY, DARK = (232, 226, 214), (40, 15, 15)
BROAD = 1.45  # times as wide as at rest


def smiling(
    portrait: Portrait, teeth: tuple[int, int, int] = IVORY, mesh_off: float = 0.0
) -> Portrait:
    """With an open mouth painted in: teeth above, dark below. `mesh_off`: so much too low, in
    half widths, the landmarks say that the lips' edges are."""
    points = portrait.landmarks.copy()
    half = float(points[291, 0] - points[61, 0]) / 2
    for rows, share in ((INNER_LOWER, 1.0), (OUTER_LOWER, 1.0), (INNER_UPPER, 0), (OUTER_UPPER, 0)):
        along = np.linspace(-1, 1, len(rows))
        points[rows, 1] += share * 0.30 * half * (1 - along**2)
    rgba = portrait.rgba.copy()
    picture = np.ascontiguousarray(rgba[..., :3])
    upper, lower = points[INNER_UPPER, :2], points[INNER_LOWER, :2]
    for low, colour in ((lower, DARK), (upper + 0.75 * (lower - upper), teeth)):
        outline = np.vstack([upper, low[::-1]])
        cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], colour, cv2.LINE_AA)
    rgba[..., :3] = picture
    points[sorted({*INNER_UPPER[1:-1], *INNER_LOWER[1:-1]}), 1] += mesh_off * half
    return Portrait(rgba, points.astype(np.float32), "smiling")


def grinning(portrait: Portrait) -> Portrait:
    """A broad smile: the lower face is widened around the mouth, which is opened then."""
    size = len(portrait.rgba)
    points = portrait.landmarks.copy()
    centre = (points[61, :2] + points[291, :2]) / 2
    radius = 1.1 * float(points[291, 0] - points[61, 0])

    def widened(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        away = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
        return np.asarray((x - centre[0]) * (BROAD - 1) * np.exp(-away) / np.exp(-0.2))

    y, x = np.mgrid[:size, :size].astype(np.float32)
    came = x.copy()
    for _ in range(30):
        came = x - widened(came, y)
    rgba = cv2.remap(portrait.rgba, came.astype(np.float32), y, cv2.INTER_CUBIC)
    points[:, 0] += widened(points[:, 0], points[:, 1])
    return smiling(Portrait(rgba, points.astype(np.float32), "broad"))
