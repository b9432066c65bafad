"""PURE. Dense displacement fields: how each coefficient moves each point of the face.

Every field is a smooth closed-form function of the mouth frame's (u, v), so there is no mesh
and no solver. Around the mouth two versions exist: of the upper layer (above the seam) and of
the lower one (jaw); they agree outside the corners, so no seam can open there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engine import EyeKind
from sonic_stream.engines.lite.geometry import (
    OVAL,
    FloatLike,
    MouthFrame,
    SampledDepth,
    smoothstep,
)
from sonic_stream.media import FloatArray

COEFFICIENTS = (
    "jaw", "close", "press", "pucker", "funnel", "stretch", "smile", "upper_up", "lower_down",
    "tuck", "roll_up", "frown", "brow_up", "brow_down", "cheek", "jaw_side", "breath", "lean",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(COEFFICIENTS)}
BODY = slice(INDEX["breath"], len(COEFFICIENTS))  # they move what is not the face
MOUTH_COUNT = INDEX["brow_up"]  # the coefficients before it move the lips
BROWS = {
    "right": ([46, 53, 52, 65, 55], [70, 63, 105, 66, 107]),
    "left": ([285, 295, 282, 283, 276], [336, 296, 334, 293, 300]),
}
UPPER_LIDS = {"right": [160, 159, 158], "left": [385, 386, 387]}
BREATH_SHARE, LEAN_SHARE = 0.008, 0.03  # of the face's height: how far they move the body
GLASSES_BROW = 0.3  # share of the brows' motion behind glasses
Fields = dict[str, tuple[FloatLike, FloatLike]]


@dataclass(frozen=True)
class Layer:
    """`bases` [K, 2 * nodes]: image displacement per unit of each coefficient; `jaw` and
    `jaw_wide` [rows, columns]: weight of the jaw's rotation, and its change when wide open."""

    bases: FloatArray
    jaw: FloatArray
    jaw_wide: FloatArray


@dataclass(frozen=True)
class Patch:
    """A rectangle of the picture with field nodes every `cell` pixels.

    Nodes sit at x0 + (i + 0.5) * cell - 0.5, so that a linear resize upsamples them exactly.
    `x`, `y`, `depth`: node positions; `head`, `arm_y`, `arm_z`: weight of the head's motion
    and arm about the jaw's hinge.
    """

    x0: int
    y0: int
    width: int
    height: int
    cell: int
    x: FloatArray
    y: FloatArray
    depth: FloatArray
    head: FloatArray
    arm_y: FloatArray
    arm_z: FloatArray
    corner_pull: FloatArray
    u: FloatArray
    v_upper: FloatArray
    v_lower: FloatArray
    layers: dict[str, Layer]


@dataclass(frozen=True)
class FaceModel:
    """What the fields are made from."""

    landmarks: FloatArray
    surface: SampledDepth
    mouth: MouthFrame
    size_px: int
    glasses: bool = False
    apart: bool = False  # the person is known from the background, and may move before it
    eyes: EyeKind = "mesh"


def field_cell(size_px: int) -> int:
    """Pixels between the nodes of the whole picture's field; divides every allowed size."""
    return 4 if size_px < 768 else 8 if size_px < 1536 else 16


def head_weights(face: FaceModel, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How much each point follows the head, and how much the breathing shoulders."""
    head, size = face.surface.head, face.size_px
    centre = face.landmarks[OVAL, :2].mean(0)
    ex = head.axes[:2, 0] / np.linalg.norm(head.axes[:2, 0])
    ey = head.axes[:2, 1] / np.linalg.norm(head.axes[:2, 1])
    across = (x - centre[0]) * ex[0] + (y - centre[1]) * ex[1]
    down = (x - centre[0]) * ey[0] + (y - centre[1]) * ey[1]
    chin = float((face.landmarks[152, :2] - centre) @ ey)
    width, height = head.face_width, head.face_height
    radius = np.sqrt(
        (across / (0.74 * width)) ** 2 + ((down + 0.10 * height) / (0.80 * height)) ** 2
    )
    sides = 1 - smoothstep(radius, 0.95, 1.55)
    neck = 1 - smoothstep(down, chin * 0.92, chin + 0.55 * height)
    edge = np.minimum.reduce([x, y, size - 1 - x, size - 1 - y])
    border = smoothstep(edge, -1, 0.07 * size)  # nothing moves at the picture's border
    shoulders = smoothstep(down, chin + 0.1 * height, chin + 0.6 * height)
    return (sides * neck * border).astype(np.float32), (shoulders * border).astype(np.float32)


def lean_weights(face: FaceModel, x: FloatArray, y: FloatArray) -> FloatArray:
    """How much each point goes along with a body that leans to the side: from the hips, so the
    more the higher; nothing at the picture's sides, nor with a background that would come along."""
    if not face.apart:
        return np.zeros_like(x)
    size, chin = face.size_px, float(face.landmarks[152, 1])
    height = np.clip((size - y) / max(size - chin, 0.1 * size), 0, 1)
    sides = smoothstep(np.minimum(x, size - 1 - x), -1, 0.12 * size)
    return np.asarray(sides * (0.4 + 0.6 * height), np.float32)


def make_patch(
    face: FaceModel, box: tuple[int, int, int, int], cell: int, layers: tuple[str, ...]
) -> Patch:
    """`box` is x0, y0, width, height; `layers` of "whole", or "upper" and "lower", or none."""
    x0, y0, width, height = box
    width, height = width - width % cell, height - height % cell
    along = x0 + (np.arange(width // cell) + 0.5) * cell - 0.5
    down = y0 + (np.arange(height // cell) + 0.5) * cell - 0.5
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(along, down))
    surface, mouth = face.surface, face.mouth
    local = surface.to_head(x, y)
    u = (local[..., 0] - mouth.centre) / mouth.half_width
    v_upper = (local[..., 1] - mouth.at(mouth.seam_upper, u)) / mouth.half_width
    v_lower = (local[..., 1] - mouth.at(mouth.seam_lower, u)) / mouth.half_width
    head, shoulders = head_weights(face, x, y)
    grid = _Grid(face, x, y, local, u, v_upper, v_lower, _falloff(face, x, y), shoulders)
    v_mid = 0.5 * (v_upper + v_lower)
    reach = np.exp(-((np.maximum(np.abs(u) - 0.9, 0) / 0.5) ** 2)) * np.exp(-((v_mid / 0.6) ** 2))
    return Patch(
        x0, y0, width, height, cell, x, y,
        depth=surface.sample(surface.depth, x, y),
        head=head,
        arm_y=local[..., 1] - surface.head.hinge,
        arm_z=np.minimum(local[..., 2], 0),
        corner_pull=(u * reach).astype(np.float32),
        u=u.astype(np.float32),
        v_upper=v_upper.astype(np.float32),
        v_lower=v_lower.astype(np.float32),
        layers={name: _layer(grid, name) for name in layers},
    )  # fmt: skip


@dataclass(frozen=True)
class _Grid:
    face: FaceModel
    x: FloatArray
    y: FloatArray
    local: FloatArray
    u: FloatLike
    v_upper: FloatLike
    v_lower: FloatLike
    falloff: FloatLike
    shoulders: FloatArray


def _falloff(face: FaceModel, x: FloatArray, y: FloatArray) -> npt.NDArray[np.float64]:
    """1 in the face, 0 outside: fast sideways, slowly down the neck."""
    size, head = face.size_px, face.surface.head
    polygon = face.landmarks[OVAL, :2]
    mask = np.zeros((size // 2, size // 2), np.uint8)
    cv2.fillPoly(mask, [np.round(polygon / 2).astype(np.int32)], 1)
    distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) * 2
    outside = cv2.remap(distance, x / 2, y / 2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    centre = polygon.mean(0)
    below = (y - centre[1]) / (np.hypot(x - centre[0], y - centre[1]) + 1e-3)
    down = smoothstep(below, 0.55, 0.97)
    reach = 0.16 * head.face_width * (1 - down) + 0.42 * head.face_height * down
    return np.asarray(1 - smoothstep(outside, 0, reach))


def _layer(grid: _Grid, name: str) -> Layer:
    face, mouth = grid.face, grid.face.mouth
    both = grid.v_upper + grid.v_lower
    if name == "upper":
        v, upper = np.minimum(grid.v_upper, 0), np.ones_like(both)
    elif name == "lower":
        v, upper = np.maximum(grid.v_lower, 0), np.zeros_like(both)
    else:
        above, below = np.minimum(grid.v_upper, 0), np.maximum(grid.v_lower, 0)
        v, upper = np.where(both < 0, above, below), 1 - smoothstep(both, -0.06, 0.06)
    shape = _Shape(np.asarray(grid.u), np.asarray(v), np.asarray(upper), mouth)
    jaw, jaw_wide = shape.jaw_weights()
    fields = shape.lip_fields() | shape.cheek_fields() | _brow_fields(grid)
    fields["jaw_side"] = (0.10 * jaw, 0 * jaw)
    axes = face.surface.head.axes
    rows = []
    for coefficient in COEFFICIENTS:
        tall = face.surface.head.face_height
        if coefficient == "breath":
            dx, dy = 0 * jaw, -BREATH_SHARE * tall * grid.shoulders
        elif coefficient == "lean":
            dx, dy = LEAN_SHARE * tall * lean_weights(face, grid.x, grid.y), 0 * jaw
        else:
            fade = 1.0 if coefficient.startswith("brow") else grid.falloff
            along, down = (np.asarray(f) * mouth.half_width * fade for f in fields[coefficient])
            dx = axes[0, 0] * along + axes[0, 1] * down
            dy = axes[1, 0] * along + axes[1, 1] * down
        rows.append(np.stack([dx, dy]).ravel())
    return Layer(
        bases=np.stack(rows).astype(np.float32),
        jaw=(jaw * grid.falloff).astype(np.float32),
        jaw_wide=(jaw_wide * grid.falloff).astype(np.float32),
    )


class _Shape:
    """The profiles that the fields of one layer are composed of. Units: half widths."""

    def __init__(self, u: FloatLike, v: FloatLike, upper: FloatLike, mouth: MouthFrame) -> None:
        self.u, self.v, self.upper, self.mouth = u, v, upper, mouth
        self.au = np.abs(u)
        self.is_above = v < 0
        # How far up the skin gives way: to the nose, and beside it in the cheeks. Steeper fields
        # could not be inverted, and folds would be drawn twice.
        self.nose = mouth.nose + 0.65 * smoothstep(self.au, 0.5, 1.1)
        # Odd across the face with its peak at the corners; dies out at the nose, and below.
        self.odd = u * np.exp(-((np.maximum(self.au - 0.9, 0) / 0.6) ** 2))
        self.to_nose = 1 - smoothstep(-v, 0.25 * self.nose, self.nose)
        self.vertical = np.where(
            self.is_above, np.clip(1 + v / self.nose, 0, 1), np.exp(-((v / 0.75) ** 2))
        )
        lip = np.where(self.is_above, mouth.lip_upper, mouth.lip_lower)
        self.thickness = v * np.exp(-((v / (1.5 * lip)) ** 2))
        self.corner = np.exp(-(((self.au - 1) / 0.55) ** 2)) * np.exp(-((v / 0.8) ** 2))
        self.opening = np.clip(1 - np.minimum(self.au / 0.98, 1) ** 2.2, 0, 1) ** 1.15

    def jaw_weights(self) -> tuple[FloatLike, FloatLike]:
        """A lens at small openings, an ellipse at wide ones; cheeks above the mouth stay."""
        v, au = self.v, self.au
        share = 0.50  # of the jaw's motion on the line of the corners
        common = np.where(
            v < 0,
            share * (1 - smoothstep(-v, 0.05, 1.05 * self.nose)),
            share + (1 - share) * smoothstep(v, 0.0, 0.85),
        )
        lens = np.clip(1 - np.minimum(au / 0.96, 1) ** 2, 0, 1) ** 0.85
        ellipse = np.clip(1 - np.minimum(au / 0.92, 1) ** 2.2, 0, 1) ** 0.5

        def parted(gap: FloatLike) -> FloatLike:
            return np.asarray(
                self.upper * common * (1 - gap) + (1 - self.upper) * (common + (1 - common) * gap)
            )

        lateral = 1 - smoothstep(au, 1.0, 2.1) * smoothstep(-v, 0.0, 0.9)
        return parted(lens) * lateral, (parted(ellipse) - parted(lens)) * lateral

    def lip_fields(self) -> Fields:
        u, v, au, odd, thick = self.u, self.v, self.au, self.odd, self.thickness
        upper, lower, opening = self.upper, 1 - self.upper, self.opening
        zero = np.zeros_like(u)
        mouth, level = self.mouth, self._level()
        gap = np.interp(u, mouth.u, mouth.seam_lower - mouth.seam_upper, left=0, right=0)
        gap = gap / mouth.half_width
        bunched = 0.28 - 0.18 * mouth.smile  # a smile has spread all of the lips, and they return
        rounding = odd * (1 + bunched - bunched * np.minimum(au, 1) ** 2)
        side, middle = np.exp(-(((au - 0.85) / 0.32) ** 2)), np.exp(-((u / 0.55) ** 2))
        puffed = np.where(v < 0, 0.30 * middle - 0.22 * side, 0.12 * middle - 0.36 * side)
        puffed = puffed + mouth.smile * np.where(v < 0, 0.30, 0.15) * middle
        # Beside the round opening lips touch.
        zipped = smoothstep(au, 0.26, 0.72) * np.clip(1 - (au / 0.98) ** 4, 0, 1)
        to_chin = np.exp(-((v / 0.55) ** 2))
        smile_lift = np.where(v < 0, self.to_nose * 0.5 + 0.5, 1.0) * smoothstep(au, 0.2, 1.0)
        return {
            # The rotation itself is not linear: see `Pose`. Lifted corners come down, to the
            # middle of the opening's sides.
            "jaw": (
                zero,
                (level - self._level(40) if mouth.level[40] < 0 else 0.25 * level)
                + (0.16 - 0.05 * mouth.smile) * self.corner - upper * 0.02 * opening * self.to_nose,
            ),
            "close": (
                zero,
                np.where(upper > 0.5, 0.38 * gap * self.to_nose, -0.62 * gap * to_chin)
                + 0.30 * level * mouth.open_at_rest + 0.45 * mouth.smile * thick * opening,
            ),
            "press": (
                0.035 * odd * self.vertical,
                -0.62 * (1 - 0.7 * mouth.smile) * thick * np.exp(-((u / 1.1) ** 4))
                - lower * 0.02 * opening * np.exp(-((v / 0.9) ** 2)),
            ),
            "pucker": (
                -(0.37 + 0.05 * mouth.smile) * rounding * self.vertical,
                puffed * thick + (0.9 - 0.35 * mouth.open_at_rest) * level
                + upper * 0.055 * zipped * self.to_nose
                - lower * 0.09 * zipped * np.exp(-((v / 0.5) ** 2)),
            ),
            "funnel": (
                -0.18 * rounding * self.vertical,
                -upper * 0.13 * opening * self.to_nose
                + lower * 0.12 * opening * np.exp(-((v / 0.6) ** 2)) + 0.14 * thick,
            ),
            "stretch": (0.17 * odd * self.vertical, -0.22 * thick - 0.015 * self.corner),
            "smile": (
                0.15 * odd * self.vertical, -0.15 * self.corner * smile_lift - 0.12 * thick
            ),
            "upper_up": (zero, -upper * 0.15 * opening * self.to_nose),
            "lower_down": (zero, lower * 0.17 * opening * to_chin),
            "tuck": (
                0.02 * odd * self.vertical,
                lower * (-0.07 * opening * np.exp(-((v / 0.6) ** 2)) - 0.50 * thick),
            ),
            "roll_up": (zero, -upper * 0.45 * thick),
            "frown": (
                -0.02 * odd * self.vertical, 0.12 * self.corner * smoothstep(au, 0.2, 1.0)
            ),
        }  # fmt: skip

    def cheek_fields(self) -> Fields:
        bump = np.exp(-(((self.au - 1.45) / 0.55) ** 2) - ((self.v + 0.75) / 0.55) ** 2)
        return {"cheek": (np.zeros_like(self.u), -0.09 * bump)}

    def _level(self, at: int | None = None) -> FloatLike:
        """Brings the seam to a level line: rounded lips do not smile. `at`: as far all over as
        there."""
        mouth, v = self.mouth, self.v
        level = mouth.level if at is None else np.full_like(mouth.level, mouth.level[at])
        amount = np.interp(self.u, mouth.u, level) / mouth.half_width
        beside = np.exp(-((np.maximum(self.au - 1, 0) / 0.5) ** 2))
        fade = 1 - smoothstep(-v, 0.3 * self.nose, 1.05 * self.nose)
        return np.asarray(amount * beside * np.where(v < 0, fade, np.exp(-((v / 0.9) ** 2))))


def _brow_fields(grid: _Grid) -> Fields:
    face, mouth = grid.face, grid.face.mouth
    head = face.surface.head
    local = head.to_head(face.landmarks)
    hx, hy = grid.local[..., 0], grid.local[..., 1]
    eye = 0.26 * head.face_width

    def near(side: str) -> FloatLike:
        """Motion of the brow, fading up the forehead; none soon below: the eye must not stretch.
        Brows close to the eye move less, or the skin between would fold."""
        brow = local[[index for line in BROWS[side] for index in line], :2] / eye
        middle = brow[:, 0].mean()
        line = np.polyfit(brow[:, 0] - middle, brow[:, 1], 2)
        along = np.clip(hx / eye, brow[:, 0].min(), brow[:, 0].max())
        rise = hy / eye - np.polyval(line, along - middle)
        beside = np.abs(hx / eye - along)
        least = 0.06 if face.eyes != "mesh" else 0.22
        reach = float(np.clip(_brow_room(local, side) / eye - 0.08, least, 0.50))
        vertical = np.where(
            rise < 0, 1 - smoothstep(-rise, 0.2, 1.7), 1 - smoothstep(rise, 0.04, reach)
        )
        amount = min(1.0, (reach - 0.04) / 0.40)
        return np.asarray(amount * (1 - smoothstep(beside, 0, 0.8)) * vertical)

    behind = GLASSES_BROW if face.glasses else 1.0  # or the rims would be dragged along
    weight = np.asarray(behind * (1 - (1 - near("right")) * (1 - near("left"))), np.float64)
    scale = eye / mouth.half_width
    inwards = np.sign(hx - mouth.centre) * smoothstep(
        np.abs(hx - mouth.centre), 0, 0.2 * head.face_width
    )
    return {
        "brow_up": (np.zeros_like(weight), -0.16 * scale * weight),
        "brow_down": (-0.05 * inwards * scale * weight, 0.10 * scale * weight),
    }


def _brow_room(local: FloatArray, side: str) -> float:
    """From the middle of the brow down to the upper lid, in pixels."""
    low, high = BROWS[side]
    return float(local[UPPER_LIDS[side], 1].mean() - local[low + high, 1].mean())
