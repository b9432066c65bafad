"""The inside of the mouth: teeth, tongue and cavity as small pictures in the mouth frame.

Their colours are taken from the portrait (skin, lips, sclera), so that they share its light.
A portrait whose mouth is open lends its own picture of it, shown near rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.fields import FaceModel
from sonic_stream.engines.lite.geometry import (
    CHEEKS,
    INNER_LOWER,
    OUTER_LOWER,
    FloatLike,
    smoothstep,
)
from sonic_stream.media import ByteArray, FloatArray

# The canvas in the mouth frame, half widths.
LEFT, RIGHT, TOP, BOTTOM = -1.3, 1.3, -0.62, 0.80
LUMA = np.array([0.299, 0.587, 0.114])
EYES = {
    "right": ([33, 246, 161, 160, 159, 158, 157, 173, 133],
              [33, 7, 163, 144, 145, 153, 154, 155, 133], [468, 469, 470, 471, 472]),
    "left": ([362, 398, 384, 385, 386, 387, 388, 466, 263],
             [362, 382, 381, 380, 374, 373, 390, 249, 263], [473, 474, 475, 476, 477]),
}  # fmt: skip


@dataclass(frozen=True)
class Interior:
    """Sprites uint8 [h, w, 4] (RGBA) and the affine [2, 3] from canvas pixels to the picture
    at rest, for the teeth's plane and for the lips' surface."""

    upper_teeth: ByteArray
    lower_teeth: ByteArray
    tongue: ByteArray
    tongue_tip: ByteArray
    at_rest: ByteArray  # the portrait's own open mouth; empty when it is closed
    to_picture: FloatArray
    to_lips: FloatArray
    centre: FloatArray  # head frame, of the teeth
    cavity: FloatArray  # RGB
    is_coloured: bool


@dataclass(frozen=True)
class _Palette:
    lip: FloatLike
    teeth: FloatLike
    tongue: FloatLike
    cavity: FloatLike
    light: float  # brighter towards the picture's right when positive
    is_coloured: bool


def build_interior(picture: ByteArray, face: FaceModel) -> Interior:
    palette = _palette(picture, face)
    mouth, head = face.mouth, face.surface.head
    scale = 2.0 * mouth.half_width * float(np.linalg.norm(head.axes[:2, 0]))
    columns, rows = int((RIGHT - LEFT) * scale), int((BOTTOM - TOP) * scale)
    u, v = np.meshgrid(
        LEFT + (np.arange(columns) + 0.5) / scale, TOP + (np.arange(rows) + 0.5) / scale
    )
    # Half a mouth is about 25 mm wide; small painted mouths keep teeth of normal size.
    size = float(np.clip(0.95 * head.face_width / (mouth.half_width * 2) / 2.75, 0.80, 1.25))
    canvas = _Canvas(u, v, scale, size / 25.0, palette)
    local = head.to_head(face.landmarks)
    lips_z = float(np.median(local[[13, 14, 0, 17], 2]))
    seam = float(0.5 * (mouth.seam_upper[40] + mouth.seam_lower[40]))
    centre = np.array([mouth.centre, seam, lips_z + 0.22 * mouth.half_width], np.float32)
    to_lips = _to_picture(face, np.array([mouth.centre, seam, lips_z]), scale)
    return Interior(
        upper_teeth=canvas.upper_teeth(),
        lower_teeth=canvas.lower_teeth(),
        tongue=canvas.tongue(),
        tongue_tip=canvas.tongue_tip(),
        at_rest=_own_mouth(picture, to_lips, u.shape, mouth.open_at_rest),
        to_picture=_to_picture(face, centre, scale),
        to_lips=to_lips,
        centre=centre,
        cavity=palette.cavity.astype(np.float32),
        is_coloured=palette.is_coloured,
    )


def luma(colour: FloatLike) -> float:
    return float(colour @ LUMA)


def _palette(picture: ByteArray, face: FaceModel) -> _Palette:
    pixels = picture.astype(np.float64)
    size, landmarks = face.size_px, face.landmarks
    radius = max(2, size // 170)
    skin = np.median(
        [_around(pixels, landmarks[i, :2], radius) for i in [*CHEEKS, 199, 101, 330]], 0
    )
    lips = _polygon(size, np.vstack([landmarks[OUTER_LOWER, :2], landmarks[INNER_LOWER[::-1], :2]]))
    lip = np.median(pixels[lips], 0) if lips.sum() > 10 else skin * [0.8, 0.6, 0.6]
    sclera = _sclera(pixels, landmarks, size)
    white = sclera if sclera is not None else skin
    coloured = bool((skin.max() - skin.min()) / (skin.max() + 1e-3) > 0.12)
    warm = np.array([1.03, 1.0, 0.945]) if coloured else np.ones(3)
    level = np.clip(max(1.12 * luma(white), 1.22 * luma(skin)), 90, 240)
    cast = np.clip(white / (luma(white) + 1e-3), 0.85, 1.15)
    teeth = 0.8 * warm + 0.2 * cast
    teeth *= level / luma(teeth)
    hue = np.array([1.0, 0.86, 0.88]) if coloured else np.ones(3)
    tongue = lip * hue
    tongue *= np.clip(0.82 * luma(lip), 60, 135) / max(luma(tongue), 1e-3)
    left, right = (luma(_around(pixels, landmarks[i, :2], radius)) for i in (205, 425))
    return _Palette(
        lip=lip,
        teeth=teeth,
        tongue=tongue,
        cavity=lip * 0.20 + np.array([10.0, 0, 0]) * coloured,
        light=float(np.clip((right - left) / (left + right + 1e-3), -0.35, 0.35)),
        is_coloured=coloured,
    )


def _around(pixels: FloatLike, point: FloatArray, radius: int) -> FloatLike:
    x, y = np.round(point).astype(int)
    y = int(np.clip(y, radius, len(pixels) - radius - 1))
    x = int(np.clip(x, radius, pixels.shape[1] - radius - 1))
    patch = pixels[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.asarray(np.median(patch.reshape(-1, 3), 0))


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


def _to_picture(face: FaceModel, centre: FloatLike, scale: float) -> FloatArray:
    head, half = face.surface.head, face.mouth.half_width
    origin = head.axes @ centre + head.origin
    linear = head.axes[:2, :2] * half / scale
    corner = head.axes[:2, :2] @ np.array([LEFT * half, TOP * half])
    shift = origin[:2] + corner + linear @ np.array([0.5, 0.5])
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def _own_mouth(
    picture: ByteArray, to_lips: FloatArray, shape: tuple[int, ...], is_open: bool
) -> ByteArray:
    if not is_open:
        return np.zeros((0, 0, 4), np.uint8)
    own = cv2.warpAffine(
        picture, to_lips, (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.dstack([own, np.full(shape, 255, np.uint8)])


@dataclass(frozen=True)
class _Canvas:
    """Draws the sprites. `mm`: half widths per millimetre of a real mouth."""

    u: FloatLike
    v: FloatLike
    scale: float
    mm: float
    palette: _Palette

    @property
    def pixel(self) -> float:
        return 1.2 / self.scale

    @property
    def lighting(self) -> FloatLike:
        return np.asarray(1 + self.palette.light * 0.6 * np.clip(self.u, -1, 1))

    def upper_teeth(self) -> ByteArray:
        u, v, mm = self.u, self.v, self.mm
        tips = np.array([0, -0.7, -0.25, -1.0, -1.6, -2.0]) * mm
        row = self._row(np.array([0, 8.3, 14.4, 19.6, 23.3, 25.4, 26.6]) * mm, tips, -0.75 * mm)
        edge = 3.7 * mm + row.profile - 0.045 * u**2
        alpha = np.clip(0.5 + (edge - v) / self.pixel / 1.6, 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(u), 25.4 * mm, 26.6 * mm))
        to_gum = np.clip((edge - v) / (9.5 * mm), 0, 1)
        arch = np.sqrt(1 - np.clip(np.abs(u) / (27.5 * mm), 0, 1) ** 2)
        shade = (0.58 + 0.42 * arch**0.8) * (0.92 + 0.08 * smoothstep(to_gum, 0.0, 0.22))
        shade = shade * (1 - 0.14 * smoothstep(to_gum, 0.55, 1.0))
        shade = shade * (1 - 0.26 * row.gap * smoothstep(to_gum, 0.02, 0.2))
        colour = self.palette.teeth * (shade * self.lighting)[..., None]
        is_tooth = smoothstep(v, edge - 10.6 * mm, edge - 9.1 * mm)[..., None]
        gum = self.palette.lip * 0.64 * (arch * self.lighting)[..., None]
        return _rgba(colour * is_tooth + gum * (1 - is_tooth), alpha)

    def lower_teeth(self) -> ByteArray:
        u, v, mm = self.u, self.v, self.mm
        tips = np.array([0, 0.1, 0.0, 0.7, 1.2]) * mm
        row = self._row(np.array([0, 5.3, 11.0, 17.0, 22.0, 25.0]) * mm, tips, 0.5 * mm)
        edge = 1.4 * mm + row.profile + 0.02 * u**2
        alpha = np.clip(0.5 + (v - edge) / self.pixel / 1.6, 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(u), 22 * mm, 25 * mm))
        down = np.clip((v - edge) / (8.5 * mm), 0, 1)
        arch = np.sqrt(1 - np.clip(np.abs(u) / (26 * mm), 0, 1) ** 2)
        shade = 0.86 * (0.48 + 0.52 * arch) * (1 - 0.25 * smoothstep(down, 0.3, 1.0))
        shade = shade * (1 - 0.3 * row.gap)
        tint = np.array([1.0, 0.985, 0.96])
        return _rgba(self.palette.teeth * tint * (shade * self.lighting)[..., None], alpha)

    def tongue(self) -> ByteArray:
        across = self.u / 0.80
        top = 0.02 + 0.20 * across**2 + 0.035 * np.exp(-((across / 0.10) ** 2))
        alpha = np.clip(0.5 + (self.v - top) / (5 * self.pixel), 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(across), 0.80, 1.02))
        depth = np.clip((self.v - top) / 0.45, 0, 1)
        shade = (0.42 + 0.62 * smoothstep(depth, 0.0, 0.6)) * (
            1 - 0.45 * np.clip(np.abs(across), 0, 1) ** 2
        )
        groove = np.exp(-((across / 0.07) ** 2)) * smoothstep(depth, 0, 0.4)
        shine = np.exp(-(((np.abs(across) - 0.28) / 0.16) ** 2) - ((depth - 0.45) / 0.2) ** 2)
        return self._flesh(shade * (1 - 0.16 * groove), 0.16 * shine, alpha)

    def tongue_tip(self) -> ByteArray:
        across, down = self.u / 0.37, (self.v - 0.02) / 0.26
        radius = np.sqrt(np.abs(across) ** 2.1 + np.abs(down) ** 2.1)
        alpha = np.clip(0.5 + (1 - radius) * 0.26 / (4 * self.pixel), 0, 1)
        shade = (1.12 - 0.45 * np.clip((down + 1) / 2, 0, 1)) * (
            1 - 0.35 * np.clip(np.abs(across), 0, 1) ** 2
        )
        shine = np.exp(-((across / 0.45) ** 2) - ((down + 0.25) / 0.25) ** 2)
        return self._flesh(1.12 * shade, 0.18 * shine, alpha)

    def _flesh(self, shade: FloatLike, shine: FloatLike, alpha: FloatLike) -> ByteArray:
        colour = self.palette.tongue * (shade * self.lighting)[..., None]
        return _rgba(colour + 110 * shine[..., None], alpha)

    def _row(self, edges: FloatLike, tips: FloatLike, rounding: float) -> _Row:
        au = np.abs(self.u)
        tooth = np.clip(np.searchsorted(edges, au, "right") - 1, 0, len(edges) - 2)
        left, right = edges[tooth], edges[tooth + 1]
        within = (au - (left + right) / 2) / ((right - left) / 2 + 1e-6)
        profile = tips[tooth] + rounding * np.abs(within) ** 4 * (right - left) / edges[1]
        distance = np.minimum(au - left, right - au)
        distance = np.where((tooth == 0) & (au - left < right - au), au, distance)
        return _Row(profile, np.exp(-((distance / (0.42 * self.mm)) ** 2)))


@dataclass(frozen=True)
class _Row:
    profile: FloatLike  # the tips' line
    gap: FloatLike  # 1 between two teeth


def _rgba(colour: FloatLike, alpha: FloatLike) -> ByteArray:
    opacity = np.clip(alpha, 0, 1) * 255
    return np.dstack([np.clip(colour, 0, 255), opacity]).astype(np.uint8)
