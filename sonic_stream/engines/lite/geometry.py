"""PURE. Landmarks to frames of reference: head axes, dense depth, mouth frame.

Image frame: pixels of the S x S crop, x right, y down, z away from the camera (weak
perspective). Head frame: q = axes^T (p - origin), the face turned back to frontal. Mouth
frame: u = (q.x - centre) / half_width (corners at -1, +1), v = (q.y - seam(u)) / half_width.
Landmark numbers are MediaPipe's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray

FloatLike = npt.NDArray[np.floating[Any]]

OUTER_UPPER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
OUTER_LOWER = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]
INNER_UPPER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
INNER_LOWER = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
CHEEKS = [50, 280, 205, 425]
_SYMMETRIC = [
    (33, 263), (133, 362), (61, 291), (234, 454), (93, 323), (132, 361),
    (58, 288), (172, 397), (127, 356), (162, 389), (21, 251), (54, 284),
]  # fmt: skip
_NOSE_RIDGE = [1, 4, 5, 6, 168, 195, 197, 2, 94, 152, 199]
OPEN_GAP = 0.075  # of half the mouth's width: from here on the mouth counts as open at rest


def smoothstep(
    x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    t = np.clip((np.asarray(x) - low) / (np.asarray(high) - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def eased(x: float, low: float, high: float) -> float:
    """`smoothstep` of one number, without its arrays."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def gaussian_smooth(values: npt.NDArray[np.floating[Any]], sigma: float) -> npt.NDArray[np.float64]:
    """Gaussian filter along the first axis, edges held."""
    radius = max(int(3 * sigma), 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, [(radius, radius)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0)
    return np.asarray(windows @ kernel)  # the window is the last axis


@dataclass(frozen=True)
class HeadFrame:
    """`axes` [3, 3] has the head's x, y, z as columns; lengths in pixels."""

    axes: FloatArray
    origin: FloatArray
    pivot: FloatArray
    face_width: float
    face_height: float

    @property
    def hinge(self) -> float:
        """The jaw's hinge: head-frame y, slightly below the ears."""
        return 0.04 * self.face_height

    @property
    def yaw_deg(self) -> float:
        return float(np.degrees(np.arctan2(-self.axes[2, 0], self.axes[0, 0])))

    def to_head(self, points: FloatLike) -> FloatArray:
        """[..., 3] image frame to head frame."""
        return np.asarray((points - self.origin) @ self.axes, np.float32)


def head_frame(landmarks: FloatArray) -> HeadFrame:
    """From landmarks [478, 3]; x from symmetric pairs, y from brow to chin made orthogonal."""
    pairs = np.array([landmarks[b] - landmarks[a] for a, b in _SYMMETRIC])
    x = (pairs / np.linalg.norm(pairs, axis=1, keepdims=True)).mean(0)
    x /= np.linalg.norm(x)
    y = landmarks[152] - landmarks[10]
    y = y - (y @ x) * x
    y /= np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)], 1).astype(np.float32)
    origin = (landmarks[234] + landmarks[454]) / 2
    width = float(np.linalg.norm(landmarks[454] - landmarks[234]))
    height = float(np.linalg.norm(landmarks[152] - landmarks[10]))
    return HeadFrame(axes, origin, origin + axes[:, 2] * 0.06 * width, width, height)


def thin_plate(
    points: FloatLike, values: FloatLike, queries: FloatLike, scale: float, stiffness: float = 2e-3
) -> FloatArray:
    """Thin-plate spline through `points` [n, 2] -> values at `queries` [m, 2]."""
    points, queries = points / scale, queries / scale

    def kernel(squared: FloatLike) -> npt.NDArray[np.float64]:
        return np.asarray(0.5 * squared * np.log(np.maximum(squared, 1e-12)))

    count = len(points)
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    affine = np.hstack([np.ones((count, 1)), points])
    system = np.block(
        [[kernel(distances) + stiffness * np.eye(count), affine], [affine.T, np.zeros((3, 3))]]
    )
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros(3)]))
    out = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 4096):
        part = queries[start : start + 4096]
        distances = ((part[:, None] - points[None]) ** 2).sum(-1)
        out[start : start + 4096] = (
            kernel(distances) @ weights[:count] + weights[count] + part @ weights[count + 1 :]
        )
    return out


def dense_depth(
    landmarks: FloatArray, head: HeadFrame, grid_x: FloatArray, grid_y: FloatArray
) -> FloatArray:
    """Depth [n, n] at grid positions: the face's surface, passing into a skull ellipse at
    pivot depth, so that the silhouette hardly moves when the head turns."""
    axes, width, height = head.axes, head.face_width, head.face_height
    centre = landmarks[OVAL, :2].mean(0)
    angle = np.linspace(0, 2 * np.pi, 25)[:-1, None]
    ex = axes[:2, 0] / np.linalg.norm(axes[:2, 0])
    ey = axes[:2, 1] / np.linalg.norm(axes[:2, 1])

    def ring(radius: float) -> FloatLike:
        ellipse = np.cos(angle) * ex * 0.68 * width + np.sin(angle) * ey * 0.78 * height
        return np.asarray(centre - ey * 0.10 * height + radius * ellipse)

    back = float(head.pivot[2])
    inner = ring(1.25)
    lean = (inner - head.pivot[:2]) @ np.linalg.pinv(axes[:2, :2]) @ axes[2, :2] * 0.6
    chosen = np.unique(np.r_[np.arange(0, 468, 3), OVAL, OUTER_UPPER, OUTER_LOWER, _NOSE_RIDGE])
    points = np.vstack([landmarks[chosen, :2], inner, ring(1.9)])
    values = np.r_[landmarks[chosen, 2], back + lean, np.full(24, back)]
    queries = np.stack([grid_x.ravel(), grid_y.ravel()], 1)
    depth = thin_plate(points, values, queries, scale=width).reshape(grid_x.shape)
    return np.clip(depth, landmarks[:, 2].min() - 2, back + 0.15 * width)


@dataclass(frozen=True)
class MouthFrame:
    """Curves over `u` [81] in -1..1; heights in head-frame pixels, sizes in half widths."""

    half_width: float
    centre: float
    u: FloatArray
    seam_upper: FloatArray
    seam_lower: FloatArray
    level: FloatArray  # how far the seam is from a level line: un-smiles rounded lips
    lip_upper: float
    lip_lower: float
    nose: float  # seam to nose base
    open_at_rest: bool
    wide: float  # open smiles articulate less

    def at(self, curve: FloatArray, u: FloatLike) -> npt.NDArray[np.float64]:
        return np.interp(u, self.u, curve)


def mouth_frame(
    picture: ByteArray, landmarks: FloatArray, head: HeadFrame, grid_depth: SampledDepth
) -> MouthFrame:
    """The mouth at rest. A closed mouth's seam is the darkest path near the landmarks."""
    local = head.to_head(landmarks)
    half = float(local[291, 0] - local[61, 0]) / 2
    centre = float(local[291, 0] + local[61, 0]) / 2
    u = np.linspace(-1, 1, 81)

    def curve(indices: list[int]) -> npt.NDArray[np.float64]:
        along = (local[indices, 0] - centre) / half
        order = np.argsort(along)
        return gaussian_smooth(np.interp(u, along[order], local[indices, 1][order]), 2.0)

    inner_upper, inner_lower = curve(INNER_UPPER), curve(INNER_LOWER)
    outer_upper, outer_lower = curve(OUTER_UPPER), curve(OUTER_LOWER)
    gap = float(np.interp(0, u, inner_lower - inner_upper)) / half
    if gap > OPEN_GAP:
        upper, lower = inner_upper, np.maximum(inner_lower, inner_upper)
    else:
        prior = (inner_upper + inner_lower) / 2
        upper = lower = _refined_seam(picture, (u * half + centre, prior), half, grid_depth)
    middle = (upper + lower) / 2
    level = 0.45 * middle[40] + 0.55 * 0.5 * (middle[2] + middle[-3]) - middle
    return MouthFrame(
        half_width=half,
        centre=centre,
        u=u.astype(np.float32),
        seam_upper=upper.astype(np.float32),
        seam_lower=lower.astype(np.float32),
        level=level.astype(np.float32),
        lip_upper=max(float(upper[40] - outer_upper[40]) / half, 0.10),
        lip_lower=max(float(outer_lower[40] - lower[40]) / half, 0.14),
        nose=max(float(upper[40] - local[2, 1]) / half, 0.45),
        open_at_rest=gap > OPEN_GAP,
        wide=0.72 if gap > 0.15 else 1.0,
    )


@dataclass(frozen=True)
class SampledDepth:
    """A dense depth grid with its head frame: head-frame points to the picture and back."""

    head: HeadFrame
    depth: FloatArray  # [n, n]
    cell: int  # pixels per node

    def sample(self, grid: FloatArray, x: FloatLike, y: FloatLike) -> FloatArray:
        """A grid's values at image positions, in the positions' shape."""
        return sample_grid(grid, x, y, self.cell)

    def to_head(self, x: FloatLike, y: FloatLike) -> FloatArray:
        """Image positions on the surface -> head frame [..., 3]."""
        return self.head.to_head(np.stack([x, y, self.sample(self.depth, x, y)], -1))


def sample_grid(grid: FloatArray, x: FloatLike, y: FloatLike, cell: int) -> FloatArray:
    shape = np.shape(x)
    map_x = ((np.asarray(x, np.float32) + 0.5) / cell - 0.5).reshape(1, -1)
    map_y = ((np.asarray(y, np.float32) + 0.5) / cell - 0.5).reshape(1, -1)
    values = cv2.remap(grid, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, np.float32).reshape(shape)


def _refined_seam(
    picture: ByteArray,
    prior: tuple[FloatLike, FloatLike],
    half: float,
    grid_depth: SampledDepth,
) -> npt.NDArray[np.float64]:
    """The darkest smooth path within 0.16 half widths of the prior (head frame)."""
    head = grid_depth.head
    local = np.stack([prior[0], prior[1], _surface_z(prior, grid_depth)], -1)
    points = local @ head.axes.T + head.origin
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.2)
    xs = np.arange(int(np.ceil(points[0, 0] * 2)), int(points[-1, 0] * 2) + 1)
    expected = np.interp(xs, points[:, 0] * 2, points[:, 1] * 2)
    path = darkest_path(grey[:, xs[0] : xs[-1] + 1], expected, max(int(0.32 * half), 3))
    path = gaussian_smooth(path, 0.04 * half + 1)
    corner = smoothstep(np.abs(np.linspace(-1, 1, len(xs))), 0.80, 1.0)
    path = path * (1 - corner) + expected * corner
    found = grid_depth.to_head(xs / 2.0, path / 2.0)
    order = np.argsort(found[:, 0])
    return np.interp(prior[0], found[order, 0], found[order, 1])


def _surface_z(prior: tuple[FloatLike, FloatLike], grid_depth: SampledDepth) -> FloatLike:
    """Head-frame z of points given by x and y on the surface, by fixed-point iteration."""
    z: FloatLike = np.zeros(len(prior[0]))
    head = grid_depth.head
    for _ in range(4):
        image = np.stack([prior[0], prior[1], z], -1) @ head.axes.T + head.origin
        z = grid_depth.to_head(image[:, 0], image[:, 1])[:, 2].astype(np.float64)
    return z


def darkest_path(grey: ByteArray, expected: FloatLike, radius: int) -> npt.NDArray[np.float64]:
    """Dynamic programming: one row per column of `grey`, dark, near `expected`, smooth."""
    height, width = grey.shape
    offsets = np.arange(-radius, radius + 1)
    rows = np.clip(np.round(expected)[:, None] + offsets[None], 0, height - 1).astype(int)
    cost = grey[rows, np.arange(width)[:, None]] / 255.0 + 0.15 * (offsets[None] / radius) ** 2
    back = np.zeros(cost.shape, int)
    for column in range(1, width):
        shift = int(np.round(expected[column]) - np.round(expected[column - 1]))
        steps = np.arange(len(offsets))[None] + shift + np.array([[-1], [0], [1]])
        steps = np.clip(steps, 0, len(offsets) - 1)
        candidates = cost[column - 1][steps] + np.array([[0.04], [0.0], [0.04]])
        best = candidates.argmin(0)
        back[column] = steps[best, np.arange(len(offsets))]
        cost[column] += candidates.min(0)
    path = np.zeros(width)
    chosen = int(cost[-1].argmin())
    for column in range(width - 1, -1, -1):
        path[column] = rows[column, chosen]
        chosen = back[column, chosen]
    return path
