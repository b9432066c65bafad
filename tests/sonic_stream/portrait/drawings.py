"""Drawn eyes for tests, painted over those of a packaged avatar: far larger than its mesh's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sonic_stream.engine import Portrait
from sonic_stream.portrait.drawn_eyes import EYES, fit_eyes

FINER = 4
FRINGE = -0.38  # of the eye's height: where it ends
WHITE, LASH, LINE = (246, 246, 250), (34, 26, 30), (120, 62, 62)
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """Lengths in widths of the mesh's eye; `aside`: of the iris, right and down."""

    width: float = 1.25
    height: float = 0.95
    lash: float = 0.09
    iris: tuple[float, float] = (0.33, 0.40)
    aside: tuple[float, float] = (0.0, 0.0)
    colour: Colour = (90, 140, 230)
    white: Colour | None = WHITE  # None: as the skin
    fringe: Colour | None = None  # of hair that hangs onto the eye
    outlined: bool = True  # also below


# What flat drawings do: the white has no line around it, and is as light as the skin.
FLAT = Style(iris=(0.42, 0.56), white=None, outlined=False, lash=0.12)


@dataclass(frozen=True)
class Truth:
    """Of an eye: its middle, what a width is in pixels, and its style."""

    middle: np.ndarray
    unit: float
    style: Style

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Row and column."""
        column, row = np.round(self.middle + self.unit * np.array([x, y])).astype(int)
        return int(row), int(column)


def draw_eyes(portrait: Portrait, style: Style) -> tuple[Portrait, dict[str, Truth]]:
    """The portrait on plain skin around its eyes, their landmarks still the mesh's."""
    picture = np.ascontiguousarray(portrait.rgba[..., :3])
    truth = {}
    for side, (upper, lower, _) in EYES.items():
        points = portrait.landmarks[upper + lower, :2].astype(np.float64)
        ends = portrait.landmarks[[upper[0], upper[-1]], :2].astype(np.float64)
        eye = Truth(points.mean(0), float(np.linalg.norm(ends[1] - ends[0])), style)
        truth[side] = eye
        _paint(picture, eye, skin_of(portrait))
    rgba = np.dstack([picture, portrait.rgba[..., 3]])
    return replace(portrait, rgba=rgba, content=f"{portrait.content} {style}"), truth


def fitted(portrait: Portrait) -> Portrait:
    landmarks, eyes = fit_eyes(portrait.rgba, portrait.landmarks)
    assert eyes in ("drawn", "boxed")
    return replace(portrait, landmarks=landmarks, eyes=eyes)


def skin_of(portrait: Portrait) -> Colour:
    """Of the cheeks."""
    columns, rows = np.round(portrait.landmarks[[50, 280, 205, 425], :2]).astype(int).T
    red, green, blue = np.median(portrait.rgba[rows, columns, :3], 0).tolist()
    return int(red), int(green), int(blue)


def _paint(picture: np.ndarray, eye: Truth, skin: Colour) -> None:
    style, half = eye.style, int(1.1 * eye.unit)
    x0, y0 = np.round(eye.middle).astype(int) - half
    part = picture[y0 : y0 + 2 * half, x0 : x0 + 2 * half]
    fine = cv2.resize(part, None, fx=FINER, fy=FINER).astype(np.float64)
    rows, columns = (np.mgrid[: len(fine), : len(fine)] + 0.5) / FINER
    x = (columns + x0 - eye.middle[0]) / eye.unit
    y = (rows + y0 - eye.middle[1]) / eye.unit

    def oval(wide: float, high: float) -> np.ndarray:
        return np.asarray((2 * x / wide) ** 2 + (2 * y / high) ** 2 < 1)

    plain = np.clip((1.0 - np.hypot(x / 0.9, y / 0.85)) / 0.15, 0, 1)[..., None]
    fine += (np.array(skin) - fine) * plain
    opening = oval(style.width, style.height)
    if style.outlined:
        fine[oval(style.width + 0.04, style.height + 0.04)] = LINE
    fine[oval(style.width + style.lash, style.height + 2 * style.lash) & (y < 0)] = LASH
    fine[opening] = style.white or skin
    round_it = np.hypot((x - style.aside[0]) / style.iris[0], (y - style.aside[1]) / style.iris[1])
    for size, colour in ((1.0, [c // 3 for c in style.colour]), (0.88, style.colour), (0.4, LASH)):
        fine[opening & (round_it < size)] = colour
    fine[opening & (np.hypot(x - style.aside[0] + 0.1, y - style.aside[1] + 0.15) < 0.06)] = 255
    if style.fringe is not None:
        fine[(y < FRINGE * style.height) & (y > -1.2)] = style.fringe
    part[:] = cv2.resize(fine, (2 * half, 2 * half), interpolation=cv2.INTER_AREA).round()
