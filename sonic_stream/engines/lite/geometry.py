"""PURE. Frames of reference of a face, made of landmarks: head axes, dense depth, mouth frame.

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

from sonic_stream.media import FloatArray

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
    smile: float  # 0..1: how far a smile that shows the teeth has widened and thinned the lips

    def at(self, curve: FloatArray, u: FloatLike) -> npt.NDArray[np.float64]:
        return np.interp(u, self.u, curve)


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
