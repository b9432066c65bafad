"""The inside of the mouth: teeth, tongue and cavity as small pictures in the mouth frame.

Their colours, blur and grain are the portrait's, so that they share its light and its camera.
A smiling portrait keeps its own upper teeth; one whose mouth is open lends the picture of it,
shown near rest. Faces whose mouth is but a line get a plain white band: no line work of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sonic_stream.engines.lite.fields import FaceModel
from sonic_stream.engines.lite.geometry import FloatLike, HeadFrame, smoothstep
from sonic_stream.engines.lite.own_teeth import Opening, cut_teeth
from sonic_stream.engines.lite.palette import Palette, luma, noise_like
from sonic_stream.media import ByteArray, FloatArray

# The canvas in the mouth frame, half widths.
LEFT, RIGHT, TOP, BOTTOM = -1.3, 1.3, -0.62, 0.80


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
    soft_px: float  # blur of the portrait's edges
    is_coloured: bool
    is_line_art: bool
    own_teeth: bool  # the upper row is the portrait's own and lies on the lips' plane


def build_interior(picture: ByteArray, face: FaceModel, palette: Palette) -> Interior:
    mouth, head = face.mouth, face.surface.head
    scale = 2.0 * mouth.half_width * float(np.linalg.norm(head.axes[:2, 0]))
    columns, rows = int((RIGHT - LEFT) * scale), int((BOTTOM - TOP) * scale)
    u, v = np.meshgrid(
        LEFT + (np.arange(columns) + 0.5) / scale, TOP + (np.arange(rows) + 0.5) / scale
    )
    local = head.to_head(face.landmarks)
    lips_z = float(np.median(local[[13, 14, 0, 17], 2]))
    seam = float(0.5 * (mouth.seam_upper[40] + mouth.seam_lower[40]))
    centre = np.array([mouth.centre, seam, lips_z + 0.22 * mouth.half_width], np.float32)
    to_lips = _to_picture(face, np.array([mouth.centre, seam, lips_z]), scale)
    at_rest, own = np.zeros((0, 0, 4), np.uint8), None
    if mouth.open_at_rest:
        opening = Opening(
            own=_on_canvas(picture, to_lips, u.shape), u=u[0], v=v[:, 0],
            upper=(mouth.at(mouth.seam_upper, u[0]) - seam) / mouth.half_width,
            lower=(mouth.at(mouth.seam_lower, u[0]) - seam) / mouth.half_width,
            scale=scale,
        )  # fmt: skip
        at_rest = _rgba(opening.own.astype(np.float64), opening.cover())
        own = cut_teeth(opening, luma(palette.skin))
        if own is not None:
            palette = replace(palette, teeth=own[1])
        else:  # teeth that hardly show are no brighter than the picture shows them
            brightest = 1.2 * opening.brightness(95)
            share = np.clip(brightest / luma(palette.teeth), 0.72, 1.0)
            palette = replace(palette, teeth=palette.teeth * share)
    # Half a mouth is about 25 mm wide; small painted mouths keep teeth of normal size.
    size = float(np.clip(0.95 * head.face_width / (mouth.half_width * 2) / 2.75, 0.80, 1.25))
    canvas = _Canvas(u, v, scale, size / 25.0, palette)
    return Interior(
        upper_teeth=canvas.upper_teeth() if own is None else own[0],
        lower_teeth=canvas.lower_teeth(),
        tongue=canvas.tongue(),
        tongue_tip=canvas.tongue_tip(),
        at_rest=at_rest,
        to_picture=_level_with(to_lips, _to_picture(face, centre, scale), head),
        to_lips=to_lips,
        centre=centre,
        cavity=palette.cavity.astype(np.float32),
        soft_px=palette.soft_px,
        is_coloured=palette.is_coloured,
        is_line_art=palette.is_line_art,
        own_teeth=own is not None,
    )


def _to_picture(face: FaceModel, centre: FloatLike, scale: float) -> FloatArray:
    head, half = face.surface.head, face.mouth.half_width
    origin = head.axes @ centre + head.origin
    linear = head.axes[:2, :2] * half / scale
    corner = head.axes[:2, :2] @ np.array([LEFT * half, TOP * half])
    shift = origin[:2] + corner + linear @ np.array([0.5, 0.5])
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def _level_with(lips: FloatArray, teeth: FloatArray, head: HeadFrame) -> FloatArray:
    """The teeth's plane no higher or lower than the lips': a mesh's idea of how far a head is
    bent is not good enough to hide them by."""
    down = head.axes[:2, 1] / np.linalg.norm(head.axes[:2, 1])
    placed = teeth.copy()
    placed[:, 2] -= ((teeth - lips)[:, 2] @ down) * down
    return placed


def _on_canvas(picture: ByteArray, to_lips: FloatArray, shape: tuple[int, ...]) -> ByteArray:
    own = cv2.warpAffine(
        picture, to_lips, (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(own, np.uint8)


@dataclass(frozen=True)
class _Canvas:
    """Draws the sprites. `mm`: half widths per millimetre of a real mouth."""

    u: FloatLike
    v: FloatLike
    scale: float
    mm: float
    palette: Palette

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
        plain = self.palette.is_line_art
        edge = 3.7 * mm + (0 if plain else row.profile) - 0.045 * u**2
        alpha = np.clip(0.5 + (edge - v) / self.pixel / 1.6, 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(u), 25.4 * mm, 26.6 * mm))
        to_gum = np.clip((edge - v) / (9.5 * mm), 0, 1)
        arch = np.sqrt(1 - np.clip(np.abs(u) / (27.5 * mm), 0, 1) ** 2)
        shade = 0.95 + 0.05 * arch
        if not plain:
            shade = (0.48 + 0.52 * arch**0.8) * (0.94 + 0.06 * smoothstep(to_gum, 0.0, 0.22))
            shade = shade * (1 - 0.18 * smoothstep(to_gum, 0.45, 1.0))
            shade = shade * (1 - 0.07 * row.bulge)
        colour = self.palette.teeth * (shade * self.lighting)[..., None]
        if not plain:
            colour = self._parted(colour, 0.38 * row.gap * smoothstep(to_gum, 0.0, 0.2))
        is_tooth = smoothstep(v, edge - 10.6 * mm, edge - 9.1 * mm)[..., None]
        gum = self.palette.lip * 0.64 * (arch * self.lighting)[..., None]
        return self._finished(colour * is_tooth + gum * (1 - is_tooth), alpha)

    def lower_teeth(self) -> ByteArray:
        u, v, mm = self.u, self.v, self.mm
        tips = np.array([0, 0.1, 0.0, 0.7, 1.2]) * mm
        row = self._row(np.array([0, 5.3, 11.0, 17.0, 22.0, 25.0]) * mm, tips, 0.5 * mm)
        edge = 1.4 * mm + row.profile - 0.10 * u**2  # seen from above, an open arch
        alpha = np.clip(0.5 + (v - edge) / self.pixel / 1.6, 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(u), 22 * mm, 25 * mm))
        down = np.clip((v - edge) / (8.5 * mm), 0, 1)
        arch = np.sqrt(1 - np.clip(np.abs(u) / (26 * mm), 0, 1) ** 2)
        shade = 0.84 * (0.50 + 0.50 * arch) * (1 - 0.20 * smoothstep(down, 0.3, 1.0))
        shade = shade * (1 - 0.07 * row.bulge)
        tint = np.array([1.0, 0.97, 0.92]) if self.palette.is_coloured else np.ones(3)
        colour = self.palette.teeth * tint * (shade * self.lighting)[..., None]
        colour = self._parted(colour, 0.4 * row.gap)
        return self._finished(colour, alpha * (0 if self.palette.is_line_art else 1))

    def _parted(self, colour: FloatLike, depth: FloatLike) -> FloatLike:
        """Teeth with the warm dark of the mouth between them."""
        between = 0.45 * colour + 0.55 * self.palette.cavity
        return np.asarray(colour + (between - colour) * depth[..., None])

    def tongue(self) -> ByteArray:
        across = self.u / 0.86
        top = 0.02 + 0.30 * across**2
        alpha = np.clip(0.5 + (self.v - top) / (6 * self.pixel), 0, 1)
        alpha = alpha * (1 - smoothstep(np.abs(across), 0.80, 1.02))
        depth = np.clip((self.v - top) / 0.45, 0, 1)
        shade = (0.34 + 0.70 * smoothstep(depth, 0.0, 0.8)) * (
            1 - 0.50 * np.clip(np.abs(across), 0, 1) ** 2
        )
        groove = np.exp(-((across / 0.12) ** 2)) * smoothstep(depth, 0, 0.5)
        shine = np.exp(-(((np.abs(across) - 0.30) / 0.18) ** 2) - ((depth - 0.6) / 0.22) ** 2)
        return self._flesh(shade * (1 - 0.10 * groove), 0.12 * shine, alpha)

    def tongue_tip(self) -> ByteArray:
        """Wide enough to touch the teeth from one canine to the other."""
        across, down = self.u / 0.56, (self.v - 0.04) / 0.28
        radius = (np.abs(across) ** 2.6 + np.abs(down) ** 2.6) ** (1 / 2.6)
        alpha = np.clip(0.5 + (1 - radius) * 0.28 / (4 * self.pixel), 0, 1)
        shade = (1.10 - 0.50 * np.clip((down + 1) / 2, 0, 1)) * (
            1 - 0.40 * np.clip(np.abs(across), 0, 1) ** 2.5
        )
        groove = np.exp(-((across / 0.10) ** 2)) * smoothstep(down, -0.9, 0.2)
        shine = np.exp(-((across / 0.5) ** 2) - ((down + 0.35) / 0.22) ** 2)
        return self._flesh(1.06 * shade * (1 - 0.10 * groove), 0.14 * shine, alpha)

    def _flesh(self, shade: FloatLike, shine: FloatLike, alpha: FloatLike) -> ByteArray:
        colour = self.palette.tongue * (shade * self.lighting)[..., None]
        wet = luma(self.palette.teeth) * (0 if self.palette.is_line_art else 0.5)
        return self._finished(colour + wet * shine[..., None], alpha)

    def _finished(self, colour: FloatLike, alpha: FloatLike) -> ByteArray:
        """As sharp and as noisy as the portrait (the canvas has twice its pixels)."""
        blur = 2 * float(np.sqrt(max(self.palette.soft_px**2 - 0.5**2, 0.01)))
        alpha = np.clip(alpha, 0, 1)
        layers = np.dstack([colour * alpha[..., None], alpha])
        layers = cv2.GaussianBlur(layers, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
        noise = 0.7 * noise_like(self.palette, alpha.shape, max(blur, 1.0))
        even = layers[..., :3] / np.maximum(layers[..., 3:], 1e-3)
        return _rgba(even + noise[..., None], layers[..., 3])

    def _row(self, edges: FloatLike, tips: FloatLike, rounding: float) -> _Row:
        au = np.abs(self.u)
        tooth = np.clip(np.searchsorted(edges, au, "right") - 1, 0, len(edges) - 2)
        left, right = edges[tooth], edges[tooth + 1]
        within = (au - (left + right) / 2) / ((right - left) / 2 + 1e-6)
        profile = tips[tooth] + rounding * np.abs(within) ** 4 * (right - left) / edges[1]
        distance = np.minimum(au - left, right - au)
        distance = np.where((tooth == 0) & (au - left < right - au), au, distance)
        return _Row(profile, np.exp(-((distance / (0.5 * self.mm)) ** 2)), within**2)


@dataclass(frozen=True)
class _Row:
    profile: FloatLike  # the tips' line
    gap: FloatLike  # 1 between two teeth
    bulge: FloatLike  # 0 in the middle of each tooth, 1 at its sides


def _rgba(colour: FloatLike, alpha: FloatLike) -> ByteArray:
    opacity = np.clip(alpha, 0, 1) * 255
    return np.dstack([np.clip(colour, 0, 255), opacity]).astype(np.uint8)
