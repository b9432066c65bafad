"""PURE. Drawn mouths that the face mesh misses, as on flat faces whose mouth is a short line or a
small oval: the mesh then opens its own mouth on bare skin, or on the line of the chin.

Marks are what differs from what is usual around. A mark of a mouth's shape above the mesh's lips,
alone on clean skin, is the mouth if nothing at the mesh's lips could be it. The chin is where its
skin ends below. The lower face's points move there, the lips onto the mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.views import TINT, level_view

EYE_CORNERS = [33, 263]
UPPER_LIP = [
    [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291],
    [76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306],
    [62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292],
    [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308],
]  # rings from the outer to the inner, from corner to corner
LOWER_LIP = [
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291],
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292],
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308],
]
JAW = [
    [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152],
    [454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152],
]
BELOW_NOSE, CHIN = 2, 152
APART = 160  # pixels of the view between the eyes' outer corners
VIEW = (240, 280)
# Shares of `APART`:
USUAL = 81 / APART  # the side of what is around
EYES_END = 0.1  # below their corners: what is above does not move
ASIDE, NARROWEST, WIDEST = 0.25, 0.15, 0.50  # a mouth's middle from the face's, and its width
PARTED = 0.22  # parts of one line
CLEAN = 0.1  # how far around
CHIN_DEPTH = (0.06, 0.60)  # below the mouth
JAW_REACH, RISE = 0.35, 0.05  # of the jaw to both sides of the chin
CHEEK = 0.8  # of the way to the jaw: the mouth's corners are no further
# Differences in `TINT`, on skin of this lightness: hardly anything; marks.
LIGHT, FAINT, LEVELS = 70.0, 3.0, (6.0, 12.0, 20.0)
BARE, DIRTY = 0.10, 0.20  # of an area marked: nothing is on it; more than a mouth is
SKIN_ENDS = 12.0
TALL, LINE = 0.8, 0.3  # of its width: no higher is a mouth; no thicker a line is
LIP = 0.10  # of the mouth's width: how thick
FloatLike = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True)
class _Mark:
    mask: Mask
    box: Box

    @property
    def size(self) -> tuple[int, int]:
        x0, y0, x1, y1 = self.box
        return x1 - x0, y1 - y0


def fit_mouth(rgba: ByteArray, landmarks: FloatArray) -> FloatArray | None:
    """The landmarks [478, 3] of a cropped portrait [S, S, 4], as they are where the mesh fits its
    mouth; otherwise those of the lower face are moved onto what the picture shows. None where
    that shows no mouth for sure."""
    ends = landmarks[EYE_CORNERS, :2].astype(np.float64)
    picture = np.ascontiguousarray(rgba[..., :3])
    lab, matrix = level_view(picture, ends, APART, VIEW, (VIEW[0] / 2, 0.0))
    points = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    unusual = _unusual(lab)
    ring = points[UPPER_LIP[0] + LOWER_LIP[0][::-1]]
    if any(_is_mouth(ring, unusual > level) for level in LEVELS):
        return landmarks
    mouth = _mouth(unusual, min(float(ring[:, 1].min()), 0.75 * VIEW[1]))
    chin = None if mouth is None else _chin(lab, mouth)
    if mouth is None or chin is None or chin[1] > (ring[:, 1].max() + points[CHIN, 1]) / 2:
        faint = unusual > FAINT
        bare = faint[_filled(ring)].mean() < BARE and not _is_mouth(ring, faint)
        return None if bare else landmarks
    moved = landmarks.copy()
    placed = _placed(points, mouth, chin)
    moved[:, :2] = (placed - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return moved


def _unusual(lab: FloatArray) -> FloatArray:
    """How much the colours differ from those around [H, W]; on dark skin less is as much."""
    scale, zero = np.array([[2.55, 1, 1], [0, 128, 128]], np.float32)  # a median takes bytes
    levels = np.round(lab * scale + zero).astype(np.uint8)
    usual = (cv2.medianBlur(levels, round(USUAL * APART)) - zero) / scale
    away = (lab - usual) * TINT
    light = np.clip(np.median(usual[: VIEW[1] // 2, :, 0]) / LIGHT, 0.1, 1)
    return np.asarray(np.linalg.norm(away, axis=-1) / light, np.float32)


def _filled(ring: FloatLike) -> Mask:
    area = np.zeros(VIEW[::-1], np.uint8)
    cv2.fillPoly(area, [np.round(ring).astype(np.int32)], 1)
    return np.asarray(area > 0)


def _is_mouth(ring: FloatLike, marked: Mask) -> bool:
    """Is there a mark at the mesh's lips [20, 2] that could be a mouth?"""
    lips, width = _filled(ring), float(np.ptp(ring[:, 0]))
    return any(
        mark.size[0] > 0.35 * width and lips[mark.mask].mean() > 0.5 for mark in _marks(marked)
    )


def _mouth(unusual: FloatArray, lowest: float) -> _Mark | None:
    """The widest mark that may be a mouth and ends above `lowest`."""
    found = []
    for mark in _marks(unusual > LEVELS[0]):
        (x0, _, x1, y1), (width, height) = mark.box, mark.size
        shaped = NARROWEST < width / APART < WIDEST and height < TALL * width
        placed = abs(x0 + x1 - VIEW[0]) < 2 * ASIDE * APART and y1 < lowest
        if shaped and placed and (unusual[_around(mark)] > LEVELS[0]).mean() < DIRTY:
            found.append(mark)
    return max(found, key=lambda mark: mark.size[0], default=None)


def _around(mark: _Mark) -> Mask:
    x0, y0, x1, y1 = mark.box
    reach, beside = round(CLEAN * APART), np.ones((5, 5), np.uint8)
    near = np.zeros_like(mark.mask)
    near[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach] = True
    return np.asarray(near & (cv2.dilate(mark.mask.astype(np.uint8), beside) == 0))


def _marks(marked: Mask) -> list[_Mark]:
    """Connected marks within the view; those in one line are one."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8))
    boxes: list[tuple[Box, list[int]]] = []
    for part, (x, y, width, height, area) in enumerate(stats.tolist()):
        inside = x > 0 and y > 0 and x + width < VIEW[0] and y + height < VIEW[1]
        if part == 0 or area < 12 or not inside:
            continue
        box, members = (x, y, x + width, y + height), [part]
        for other in [other for other in boxes if _in_line(box, other[0])]:
            boxes.remove(other)
            (a, b, c, d), (e, f, g, h) = box, other[0]
            box, members = (min(a, e), min(b, f), max(c, g), max(d, h)), members + other[1]
        boxes.append((box, members))
    return [_Mark(np.isin(parts, members), box) for box, members in boxes]


def _in_line(one: Box, other: Box) -> bool:
    overlap = min(one[3], other[3]) - max(one[1], other[1])
    gap = max(one[0], other[0]) - min(one[2], other[2])
    return overlap > 0.5 * min(one[3] - one[1], other[3] - other[1]) and gap < PARTED * APART


def _chin(lab: FloatArray, mouth: _Mark) -> FloatLike | None:
    """The lowest end of the skin below the mouth: x, y. To both sides it rises, as a jaw does."""
    x0, _, x1, y1 = mouth.box
    middle, reach, start = (x0 + x1) // 2, round(JAW_REACH * APART), y1 + 2
    skin = np.median(lab[start : start + 4, x0:x1].reshape(-1, 3), 0)
    below = lab[start:, middle - reach : middle + reach + 1]
    strange = np.linalg.norm((below - skin) * TINT, axis=-1) > SKIN_ENDS
    depths = np.where(strange.any(0), strange.argmax(0), len(strange)).astype(np.float32)
    depths = cv2.medianBlur(depths[None], 5)[0]
    deepest = float(depths.max())
    aside = float(np.flatnonzero(depths > deepest - 2).mean()) - reach
    rises = depths[[0, -1]].max() < deepest - RISE * APART and abs(aside) < 0.5 * reach
    if not rises or not CHIN_DEPTH[0] < deepest / APART < CHIN_DEPTH[1]:
        return None
    return np.array([middle + aside, start + deepest])


def _placed(points: FloatLike, mouth: _Mark, chin: FloatLike) -> FloatLike:
    """The points [478, 2] of the view, the lower face's moved."""
    x0, y0, x1, y1 = mouth.box
    width, lip = x1 - x0, LIP * (x1 - x0)
    corners = points[[UPPER_LIP[0][0], UPPER_LIP[0][-1]], 0]
    middle, half = corners.mean(), float(np.ptp(corners)) / 2
    top, bottom = points[UPPER_LIP[0], 1].min(), points[LOWER_LIP[0], 1].max()
    x, y = points.T
    fixed = EYES_END * APART
    rows = np.array([fixed, top, bottom, points[CHIN, 1]])
    down = np.array([fixed, y0 - lip, y1 + lip, chin[1]]) - rows
    aside = np.array([0, 1, 1, 0]) * ((x0 + x1) / 2 - middle)
    aside[3] = chin[0] - points[CHIN, 0]
    away = np.abs(x - middle)
    right, left = (np.interp(y, *points[side].T[::-1]) for side in JAW)
    jaw = np.maximum(np.where(x < middle, middle - right, left - middle), 1)
    lips = np.minimum(half, CHEEK * jaw)
    kept = np.clip((jaw - away) / np.maximum(jaw - lips, 1), 0, 1)  # 1 within the mouth's width
    narrower = (width / 2 / half - 1) * np.minimum(away, lips) * kept * np.sign(x - middle)
    share = np.interp(y, [points[BELOW_NOSE, 1], top, bottom, points[CHIN, 1]], [0, 1, 1, 0])
    placed = np.column_stack(
        [x + np.interp(y, rows, aside) + share * narrower, y + np.interp(y, rows, down)]
    )
    _place_lips(placed, mouth)
    return placed


def _place_lips(points: FloatLike, mouth: _Mark) -> None:
    """The lips' rings [11] around the mouth's opening or along its line, in place."""
    x0, _, x1, _ = mouth.box
    width = x1 - x0
    rows, seen = np.arange(VIEW[1])[:, None], mouth.mask[:, x0:x1]
    columns = np.flatnonzero(seen.any(0))
    edges = np.stack([
        np.where(seen, rows, VIEW[1]).min(0)[columns],
        np.where(seen, rows, -1).max(0)[columns],
    ]).astype(np.float64)  # fmt: skip
    if (edges[1] - edges[0]).mean() < LINE * width:
        edges[:] = np.polyval(np.polyfit(columns, edges.mean(0), 2), columns)
    across = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, len(UPPER_LIP[0])))
    for rings, edge, outwards in ((UPPER_LIP, edges[0], -1), (LOWER_LIP, edges[1], 1)):
        inner = np.interp(across * (width - 1), columns, edge)
        inner[[0, -1]] = edges[:, [0, -1]].mean(0)
        thick = LIP * width * np.sin(np.pi * across) * outwards
        for index, ring in zip(rings, (1, 2 / 3, 1 / 3, 0), strict=True):
            beside = LIP * width * ring / 4 * np.cos(np.pi * across)
            points[index] = np.column_stack(
                [x0 + across * (width - 1) - beside, inner + ring * thick]
            )
