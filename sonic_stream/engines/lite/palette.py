"""PURE. What the inside of a mouth takes from its portrait: colours, light, blur and grain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.fields import FaceModel
from sonic_stream.engines.lite.geometry import CHEEKS, INNER_LOWER, OUTER_LOWER, FloatLike
from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.drawn_eyes import EYES

LUMA = np.array([0.299, 0.587, 0.114])
LINE_ART_CONTRAST = 10.0  # of lips against skin (CIELAB): below it a mouth is but a drawn line
# Inside of mouths as drawings show them, in full light.
INSIDE, TONGUE = (128.0, 46.0, 48.0), (214.0, 112.0, 112.0)
TINTED = 6.0  # levels between the skin's colours: the picture is not grey
FLAT_GRAIN = 1.0
IVORY = np.array([1.045, 0.995, 0.93])


@dataclass(frozen=True)
class Palette:
    """`skin`, `lip`, `teeth`, `tongue`, `cavity`: RGB; `light`: brighter towards the picture's
    right when positive; `soft_px`: the blur of the portrait's edges; `grain`: its noise."""

    skin: FloatLike
    lip: FloatLike
    teeth: FloatLike
    tongue: FloatLike
    cavity: FloatLike
    light: float
    soft_px: float
    grain: float
    is_coloured: bool
    is_line_art: bool


def luma(colour: FloatLike) -> float:
    return float(colour @ LUMA)


def take_palette(picture: ByteArray, face: FaceModel) -> Palette:
    pixels = picture.astype(np.float64)
    size, landmarks = face.size_px, face.landmarks
    radius = max(2, size // 170)
    skin = np.median(
        [_around(pixels, landmarks[i, :2], radius) for i in [*CHEEKS, 199, 101, 330]], 0
    )
    lips = _polygon(size, np.vstack([landmarks[OUTER_LOWER, :2], landmarks[INNER_LOWER[::-1], :2]]))
    lip = np.median(pixels[lips], 0) if lips.sum() > 10 else skin * [0.8, 0.6, 0.6]
    coloured = bool((skin.max() - skin.min()) / (skin.max() + 1e-3) > 0.12)
    hue = np.array([1.0, 0.86, 0.88]) if coloured else np.ones(3)
    tongue = lip * hue
    tongue *= np.clip(0.82 * luma(lip), 40, 135) / max(luma(tongue), 1e-3)
    left, right = (luma(_around(pixels, landmarks[i, :2], radius)) for i in (205, 425))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grain = _grain(grey, landmarks)
    line_art = _contrast(lip, skin) < LINE_ART_CONTRAST and grain < FLAT_GRAIN
    cavity = lip * 0.20 + np.array([10.0, 0, 0]) * coloured * min(luma(lip) / 90, 1.0)
    if line_art and skin.max() - skin.min() > TINTED:  # its lips are skin, and no mouth's colour
        cavity, tongue = np.array([INSIDE, TONGUE]) * (luma(lip) / 255)
    return Palette(
        skin=skin,
        lip=lip,
        teeth=_tooth_colour(_sclera(pixels, landmarks, size), skin, coloured, line_art),
        tongue=tongue,
        cavity=cavity,
        light=float(np.clip((right - left) / (left + right + 1e-3), -0.35, 0.35)),
        soft_px=_edge_blur(grey, landmarks),
        grain=grain,
        is_coloured=coloured,
        is_line_art=line_art,
    )


def noise_like(palette: Palette, shape: tuple[int, ...], blur: float) -> FloatArray:
    """Still noise of the portrait's strength, for what is painted into it."""
    noise = np.random.default_rng(0).normal(0, 1, shape)
    noise = cv2.GaussianBlur(noise, (0, 0), max(blur, 0.5))
    strength = min(0.7 * palette.grain, 5.0)
    return np.asarray(noise * (strength / max(float(noise.std()), 1e-6)), np.float32)


def _tooth_colour(
    sclera: FloatLike | None, skin: FloatLike, coloured: bool, line_art: bool
) -> FloatLike:
    """White under the portrait's light: as the eyes are, and a little brighter than skin."""
    white = sclera if sclera is not None else skin
    brighter = 1.45 if line_art else 1.08
    level = np.clip(max(1.02 * luma(white), brighter * luma(skin)), 40, 236)
    # The white of an eye is rosy, and tells of the light but half; teeth are ivory.
    light = np.clip(white / (luma(white) + 1e-3), 0.72, 1.2) ** (0.25 if line_art else 0.65)
    teeth = light * (IVORY if coloured else 1.0)
    return np.asarray(teeth * (level / luma(teeth)))


def _contrast(one: FloatLike, two: FloatLike) -> float:
    """Of two colours, whatever the light: as if the second were bright skin."""
    pair = np.asarray([[one, two]], np.float32) * np.float32(0.7 / max(luma(two), 1.0))
    lab = cv2.cvtColor(pair, cv2.COLOR_RGB2LAB)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def _edge_blur(grey: FloatArray, landmarks: FloatArray) -> float:
    """Blur of the eyes' edges, Gaussian sigma in pixels, from how much a second blur weakens
    them (an edge of blur s under a blur of 1 px keeps s / sqrt(s^2 + 1) of its slope)."""
    points = landmarks[[i for eye in EYES.values() for i in eye[0] + eye[1]], :2]
    x0, y0 = np.maximum(points.min(0).astype(int) - 6, 0)
    x1, y1 = points.max(0).astype(int) + 6
    part = grey[y0:y1, x0:x1]
    if min(part.shape) < 8:
        return 1.0
    slope, blurred = (
        np.hypot(cv2.Sobel(p, cv2.CV_32F, 1, 0), cv2.Sobel(p, cv2.CV_32F, 0, 1))
        for p in (part, cv2.GaussianBlur(part, (0, 0), 1.0))
    )
    edges = slope > np.percentile(slope, 93)
    ratio = float(np.median(slope[edges] / np.maximum(blurred[edges], 1e-3))) if edges.any() else 2
    return float(np.clip(1 / np.sqrt(max(ratio**2 - 1, 1e-3)), 0.4, 6.0))


def _grain(grey: FloatArray, landmarks: FloatArray) -> float:
    """Noise of the cheeks' finest detail, levels of 255."""
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))
    return float(np.median([_around(fine, landmarks[i, :2], 8) for i in CHEEKS]) * 1.48)


def _around(pixels: FloatLike, point: FloatArray, radius: int) -> FloatLike:
    x, y = np.round(point).astype(int)
    y = int(np.clip(y, radius, len(pixels) - radius - 1))
    x = int(np.clip(x, radius, pixels.shape[1] - radius - 1))
    patch = pixels[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.asarray(np.median(patch, (0, 1)))


def _polygon(size: int, points: FloatLike) -> npt.NDArray[np.bool_]:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask > 0


def _sclera(pixels: FloatLike, landmarks: FloatArray, size: int) -> FloatLike | None:
    """The white of the eyes: the brighter third of the openings outside the irises."""
    found = []
    rows, columns = np.mgrid[:size, :size]
    for upper, lower, iris in EYES.values():
        mask = _polygon(size, np.vstack([landmarks[upper, :2], landmarks[lower[::-1], :2]]))
        centre = landmarks[iris[0], :2]
        radius = 1.1 * np.linalg.norm(landmarks[iris[1], :2] - centre)
        mask &= (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 > radius**2
        if mask.sum() > 8:
            inside = pixels[mask]
            level = inside @ LUMA
            found.append(inside[level >= np.percentile(level, 70)].mean(0))
    return np.asarray(np.mean(found, 0)) if found else None
