"""PURE. A smiling portrait's own upper teeth, cut from the picture.

The mesh's lip contours say only roughly where the teeth are; the picture decides: per column
of the opening the run of bright, pale pixels, and through their ends two smooth arcs, the gum
line and the line of the biting edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.geometry import FloatLike, smoothstep
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.media import ByteArray

MIN_WIDTH = 1.10  # half widths of the mouth: fewer teeth than that are not a row
MIN_LIGHT = 0.80  # of the skin's
FADE = 0.2  # half widths


@dataclass(frozen=True)
class Opening:
    """The open mouth on the canvas: picture `own` [h, w, 3], mouth frame `u` [w], `v` [h], and
    the lips' edges `upper`, `lower` [w]; `scale` pixels per half width."""

    own: ByteArray
    u: FloatLike
    v: FloatLike
    upper: FloatLike
    lower: FloatLike
    scale: float

    def depth(self) -> FloatLike:
        """How far within the opening each pixel lies [h, w], half widths; negative outside."""
        v = self.v[:, None]
        return np.minimum(v - self.upper[None], self.lower[None] - v)

    def brightness(self, percent: float) -> float:
        """A percentile of the opening's brightness."""
        inside = self.depth() > 0.0
        return float(np.percentile(self.own[inside] @ LUMA, percent)) if inside.any() else 255.0

    def cover(self) -> FloatLike:
        """1 in the opening, fading over the lips' edges [h, w]."""
        sides = 1 - smoothstep(np.abs(self.u), 0.92, 1.0)
        return np.asarray(np.clip(1 + self.depth() / 0.05, 0, 1) * sides[None])


def cut_teeth(opening: Opening, skin_luma: float) -> tuple[ByteArray, FloatLike] | None:
    """The row as a sprite [h, w, 4], continued under the upper lip, and its colour.

    None where no row of teeth shows.
    """
    u, v = opening.u, opening.v
    bright = opening.own.astype(np.float64) @ LUMA
    inside = (opening.depth() > 0.035) & (np.abs(u) < 0.95)[None]
    if inside.sum() < 30 or np.percentile(bright[inside], 70) < MIN_LIGHT * skin_luma:
        return None
    tooth = _is_tooth(opening, bright, inside)
    columns = _widest_run(tooth.sum(0), opening.scale)
    if len(columns) < MIN_WIDTH * opening.scale:
        return None
    gum = _arc(u, columns, v[tooth[:, columns].argmax(0)], tooth)
    tips = _arc(u, columns, v[len(v) - 1 - tooth[::-1, columns].argmax(0)], tooth)
    top = np.maximum(opening.upper + 0.05, gum + 0.035)
    edge = np.maximum(np.minimum(opening.lower - 0.02, tips - 0.005), top + 0.04)
    # Beside the row its dim neighbours, as far as the picture shows them.
    first, last = max(-0.95, u[columns[0]] - FADE), min(0.95, u[columns[-1]] + FADE)
    colour = _continued(opening, top, edge, (first, last))
    cover = np.clip(0.5 + (edge[None] - 0.02 - v[:, None]) * opening.scale / 2.4, 0, 1)
    cover = cover * smoothstep(u, first, first + FADE)[None]
    cover = cover * (1 - smoothstep(u, last - FADE, last))[None]
    level = np.percentile(bright[inside], 60)
    own = opening.own[inside & (bright >= level)].mean(0) * 1.02
    return np.dstack([colour, cover * 255]).astype(np.uint8), own


def _is_tooth(
    opening: Opening, bright: FloatLike, inside: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    own = opening.own.astype(np.float64)
    pale = (own.max(2) - own.min(2)) / (own.max(2) + 1.0)
    v = opening.v[:, None]
    found = bright > 0.66 * np.percentile(bright[inside], 88)
    found &= pale < np.percentile(pale[inside], 60) + 0.12
    found &= (v > opening.upper[None] - 0.02) & (v < opening.lower[None] + 0.02)
    return np.asarray(found & (np.abs(opening.u) < 0.97)[None])


def _widest_run(count: npt.NDArray[np.int_], scale: float) -> npt.NDArray[np.intp]:
    """Columns with teeth: the widest run, small gaps closed."""
    enough = count >= max(3.0, 0.25 * float(np.median(count[count > 0])) if count.any() else 3.0)
    kernel = np.ones((1, max(3, int(0.08 * scale)) | 1), np.uint8)
    closed = cv2.morphologyEx(enough.astype(np.uint8)[None], cv2.MORPH_CLOSE, kernel)[0]
    labels = np.cumsum(np.diff(np.r_[0, closed]) == 1) * closed
    if not labels.any():
        return np.zeros(0, np.intp)
    widest = np.bincount(labels)[1:].argmax() + 1
    return np.flatnonzero((labels == widest) & (count > 0))


def _arc(
    u: FloatLike, columns: npt.NDArray[np.intp], ends: FloatLike, tooth: npt.NDArray[np.bool_]
) -> FloatLike:
    """A smooth curve [w] through the runs' ends."""
    radius = max(1, len(columns) // 22)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(ends, radius, mode="edge"), 2 * radius + 1
    )
    count = tooth[:, columns].sum(0)
    curve = np.polyfit(u[columns], np.median(windows, -1), 4, w=count / count.max())
    return np.asarray(np.polyval(curve, np.clip(u, u[columns[0]], u[columns[-1]])))


def _continued(
    opening: Opening, top: FloatLike, edge: FloatLike, ends: tuple[float, float]
) -> FloatLike:
    """The teeth [h, w, 3], mirrored up under the lip and darkening towards the gum."""
    u, v = opening.u, opening.v
    rows = np.arange(len(v), dtype=np.float64)
    top_row, edge_row = np.interp(top, v, rows)[None], np.interp(edge, v, rows)[None]
    over = top_row - rows[:, None]
    source = np.clip(rows[:, None], top_row, edge_row)
    source = np.where(
        over > 0, top_row + np.minimum(over, 0.45 * np.maximum(edge_row - top_row, 2)), source
    )
    columns = np.arange(len(u), dtype=np.float64)
    limits = np.interp(ends, u, columns)
    across = np.broadcast_to(np.clip(columns, *limits), source.shape)
    teeth = cv2.remap(
        opening.own, across.astype(np.float32), source.astype(np.float32), cv2.INTER_LINEAR
    )
    gum = smoothstep(over / (0.30 * opening.scale), 0, 1)[..., None]
    return np.asarray(teeth * (1 - 0.35 * gum))
