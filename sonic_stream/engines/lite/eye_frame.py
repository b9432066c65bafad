"""PURE. Where an eye lies in its portrait, and what the picture shows of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engine import EyeKind
from sonic_stream.engines.lite.fields import FaceModel, Patch
from sonic_stream.engines.lite.geometry import FloatLike, gaussian_smooth, smoothstep
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.media import ByteArray
from sonic_stream.portrait.drawn_eyes import EYES
from sonic_stream.portrait.views import lab_of

POINTS = 33  # samples along the lids
MEET = 0.6  # of the way from the lower lid up to the corners: there a drawn eye's lids meet
FOREIGN = 16.0  # CIELAB distance from the skin below: still eye


@dataclass(frozen=True)
class EyeFrame:
    """An eye in the picture: x runs from one corner (0) to the other (1), y down in the same unit;
    `upper`, `lower` [33]: the mesh's lids."""

    picture: ByteArray
    corner: FloatLike
    axis_x: FloatLike
    axis_y: FloatLike
    width: float
    upper: FloatLike
    lower: FloatLike
    iris_x: float
    iris_y: float
    iris_radius: float
    kind: EyeKind

    @property
    def is_drawn(self) -> bool:
        """Far larger than a person's; its lids are what the picture shows."""
        return self.kind == "drawn"

    def place(self, x: FloatLike, y: FloatLike) -> FloatLike:
        """Eye frame to picture, [..., 2]."""
        across, down = x[..., None] * self.axis_x, y[..., None] * self.axis_y
        return np.asarray(self.corner + self.width * (across + down))

    def find(self, x: FloatLike, y: FloatLike) -> tuple[FloatLike, FloatLike]:
        """Picture to eye frame."""
        away = np.stack([x, y], -1) - self.corner
        return away @ self.axis_x / self.width, away @ self.axis_y / self.width

    def grid(self, patch: Patch, factor: int = 1) -> tuple[FloatLike, FloatLike]:
        """Eye frame positions of a patch's pixels, or of those of its part of an enlarged
        picture."""
        rows, columns = np.mgrid[: factor * patch.height, : factor * patch.width].astype(float)
        return self.find(patch.x0 + columns / factor, patch.y0 + rows / factor)

    def depth(self, patch: Patch) -> FloatLike:
        """How far inside the opening each pixel of the patch is, negative outside."""
        along: FloatLike = np.linspace(0, 1, POINTS)
        outline = np.vstack([self.place(along, self.upper), self.place(along, self.lower)[::-1]])
        shape = np.zeros((patch.height, patch.width), np.uint8)
        cv2.fillPoly(shape, [np.round(outline - [patch.x0, patch.y0]).astype(np.int32)], 1)
        inside, outside = (
            cv2.distanceTransform(part, cv2.DIST_L2, 5).astype(np.float64)
            for part in (shape, 1 - shape)
        )
        return np.asarray((inside - outside) / self.width)

    def lids(self, x: FloatLike) -> tuple[FloatLike, FloatLike]:
        along = np.linspace(0, 1, POINTS)
        return np.interp(x, along, self.upper), np.interp(x, along, self.lower)

    def sample(self, heights: FloatLike) -> FloatLike:
        """Colours [m, 33, 3] at eye-frame heights [m, 33]."""
        along = np.broadcast_to(np.linspace(0, 1, POINTS), heights.shape)
        at = self.place(along, heights).astype(np.float32)
        colours = cv2.remap(
            self.picture.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(colours)

    def margins(self) -> FloatLike:
        """What of the mesh's opening belongs to the lids [2, 33]: lash line and lower lid reach
        into it where the white shows; drawn eyes exceed it (negative)."""
        along = np.linspace(0, 1, POINTS)
        white = np.abs(along - self.iris_x) > 1.15 * self.iris_radius
        white &= np.abs(along - 0.5) < 0.36
        depth = np.linspace(0.0, 0.16, 17)[:, None]
        bow = (4 * along * (1 - along)) ** 0.25
        found = []
        if self.is_drawn:  # nothing is beyond
            return np.full((2, POINTS), 0.015)
        for edge, sign, least, most in (
            (self.upper, 1.0, 0.03, 0.13), (self.lower, -1.0, 0.02, 0.08),
        ):  # fmt: skip
            clear = least
            if white.any():
                level = self.sample(edge + sign * depth)[:, white] @ LUMA
                is_white = level > 0.6 * level.max(0)
                clear = float(np.median(depth[is_white.argmax(0)])) + 0.015
            beyond = self.beyond(edge, -sign)
            inside = np.full(POINTS, np.clip(clear, least, most))
            found.append(inside if beyond < 0.03 else 0.01 - beyond * bow)
        return np.array(found)

    def overshoot(self) -> FloatLike:
        """How far a closed lid reaches below the mesh's lower one [33]; a drawn eye's lids meet
        above it."""
        tall = 2 * self.iris_radius / max(float((self.lower - self.upper).max()), 1e-3)
        # Where the whole iris shows the eye is a drawn one.
        drawn = 1 - float(smoothstep(tall, 0.92, 1.06))
        along = np.linspace(0, 1, POINTS)
        bow = 4 * along * (1 - along)
        if self.is_drawn:
            return -MEET * np.maximum(self.lower, 0.01)
        return np.maximum((0.02 + 0.07 * drawn) * bow, self.beyond(self.lower, 1.0) * bow**0.25)

    def line(self, edge: FloatLike, sign: float) -> float:
        """How thick the drawn line along the upper (-1) or lower (1) lid is."""
        depth = np.linspace(0.0, 0.24, 25)[:, None]
        level = self.sample(edge + sign * depth)[:, 6:-6] @ LUMA
        is_line = level < 0.8 * np.median(level[-8:], 0)
        ends = np.where(is_line, depth, 0.0).max(0)
        return float(np.clip(np.median(ends), 0.02, 0.18))

    def beyond(self, edge: FloatLike, sign: float) -> float:
        """How far white and iris go on beyond the mesh's upper (-1) or lower (1) lid."""
        depth = np.linspace(0.0, 0.24, 25)[:, None]
        lab = lab_of(self.sample(edge + sign * depth))
        skin = np.median(lab[-8:, 6:-6], (0, 1))
        hue = skin[1:] / max(float(np.linalg.norm(skin[1:])), 1.0)
        is_eye = (np.linalg.norm(lab - skin, axis=-1) > FOREIGN) & (lab[..., 0] > 0.75 * skin[0])
        is_eye |= lab[..., 1:] @ hue < -4  # blue and green irises, dark as they may be
        count = np.arange(1, len(depth) + 1)[:, None]
        ends = 0.01 * np.where(is_eye.cumsum(0) > 0.7 * count, count, 0).max(0)
        return float(np.clip(np.median(ends[6:-6]) - 0.02, 0, 0.15))

    def seen_radius(self) -> float:
        """The iris's radius in the picture, from its sides: drawn ones exceed the mesh's."""
        x: FloatLike = np.linspace(0, 1, 97)
        upper, lower = self.lids(x)
        share: FloatLike = np.linspace(0.40, 0.62, 5)[:, None]
        at = self.place(np.tile(x, (5, 1)), upper * (1 - share) + lower * share)
        grey = cv2.cvtColor(self.picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        seen = cv2.remap(
            grey, at[..., 0].astype(np.float32), at[..., 1].astype(np.float32), cv2.INTER_LINEAR
        )
        slope = np.gradient(gaussian_smooth(np.median(seen, 0), 1.5))
        radii = []
        for sign in (-1.0, 1.0):
            offset = sign * (x - self.iris_x) / self.iris_radius
            near = (offset > 0.7) & (offset < 1.7) & (x > 0.04) & (x < 0.96)
            rise = np.where(near, sign * slope, 0.0)
            if rise.max() > 1.0:
                radii.append(float(offset[rise.argmax()]))
        return self.iris_radius * max(1.0, *(radii or [1.2]))


def eye_frame(picture: ByteArray, face: FaceModel, side: str) -> EyeFrame:
    """`side` of the picture's person."""
    points = face.landmarks[:, :2].astype(np.float64)
    upper_index, lower_index, iris_index = EYES[side]
    corner = points[upper_index[0]]
    width = float(np.linalg.norm(points[upper_index[-1]] - corner))
    axis_x = (points[upper_index[-1]] - corner) / width
    axis_y = np.array([-axis_x[1], axis_x[0]])
    axis_y = axis_y if axis_y[1] > 0 else -axis_y

    def lid(index: list[int]) -> FloatLike:
        away = (points[index] - corner) / width
        if face.eyes in ("drawn", "boxed"):
            return _arch(away @ axis_x, away @ axis_y)
        return np.interp(np.linspace(0, 1, POINTS), away @ axis_x, away @ axis_y)

    iris = points[iris_index]
    return EyeFrame(
        picture, corner, axis_x, axis_y, width, lid(upper_index), lid(lower_index),
        iris_x=float((iris[0] - corner) @ axis_x / width),
        iris_y=float((iris[0] - corner) @ axis_y / width),
        iris_radius=float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()) / width,
        kind=face.eyes,
    )  # fmt: skip


def _arch(x: FloatLike, y: FloatLike) -> FloatLike:
    """The smooth curve [33] through a drawn lid's points, as steep at the corners as a circle."""

    def waves(x: FloatLike) -> FloatLike:
        turn: FloatLike = np.arccos(1 - 2 * np.clip(x, 0, 1))
        return np.asarray(np.sin(np.arange(1, 6) * turn[:, None]))

    weights = np.linalg.lstsq(waves(x), y, rcond=None)[0]
    return np.asarray(waves(np.linspace(0, 1, POINTS)) @ weights)
