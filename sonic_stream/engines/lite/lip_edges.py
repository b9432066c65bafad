"""PURE. Where the lips meet in the portrait, or where they part: the mouth frame's curves.

The mesh knows the lips' edges only roughly; the picture decides. Lips that are closed meet along
the darkest path near the mesh's line. Of lips that are parted GrabCut tells what looks like the
inside of this mouth, teeth and dark, from what looks like the lips around it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.geometry import (
    INNER_LOWER,
    INNER_UPPER,
    OUTER_LOWER,
    OUTER_UPPER,
    FloatLike,
    HeadFrame,
    MouthFrame,
    SampledDepth,
    gaussian_smooth,
    smoothstep,
)
from sonic_stream.media import ByteArray, FloatArray

# Half widths of the mouth, as are all lengths here that have no other unit.
OPEN_GAP = 0.075  # from here on the mouth counts as open at rest
SMILE_WIDTH = (0.38, 0.46)  # the mouth's of the face's: of no smile, and of a broad one
REACH = 0.14  # beyond the mesh's edges no inside is looked for
SURE = 0.07  # within them everything is inside
TOOTH = 0.12  # lips do not follow the gum between two teeth
BLURRED = 0.03  # of a lip's edge has the colour of teeth, and stays with them
CANVAS = (1.2, -0.6, 0.8)  # how far to the sides, up and down
CANVAS_SCALE = 60.0  # pixels per half width
ROUNDS = 4


def mouth_frame(
    picture: ByteArray, landmarks: FloatArray, head: HeadFrame, grid_depth: SampledDepth
) -> MouthFrame:
    """The mouth at rest."""
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
    is_open = float(np.interp(0, u, inner_lower - inner_upper)) / half > OPEN_GAP
    x, smile = u * half + centre, 0.0
    if is_open:
        smile = float(np.interp(2 * half / head.face_width, SMILE_WIDTH, (0, 1)))
        mesh = (x, inner_upper, np.maximum(inner_lower, inner_upper))
        upper, lower = _parted(picture, mesh, half, grid_depth)
    else:
        prior = (inner_upper + inner_lower) / 2
        upper = lower = _refined_seam(picture, (x, prior), half, grid_depth)
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
        open_at_rest=is_open,
        smile=smile,
    )


def _parted(
    picture: ByteArray,
    mesh: tuple[FloatLike, FloatLike, FloatLike],
    half: float,
    grid_depth: SampledDepth,
) -> tuple[FloatLike, FloatLike]:
    """The edges of parted lips; `mesh`: x, and y of its upper and its lower edge (head frame)."""
    x, upper, lower = mesh
    at = (float(x.mean()), float(upper.mean() + lower.mean()) / 2)
    side, top, bottom = CANVAS
    u = np.linspace(-side, side, round(2 * side * CANVAS_SCALE))
    v = np.linspace(top, bottom, round((bottom - top) * CANVAS_SCALE))
    across, down = u * half + at[0], v * half + at[1]
    edges = [(np.interp(across, x, edge) - at[1]) / half for edge in (upper, lower)]
    inside = _inside(_unrolled(picture, across, down, grid_depth), u, v, edges)
    better = (np.interp(x, across, edge * half + at[1]) for edge in _ends(inside, u, v, edges))
    upper, lower = better
    return upper, np.maximum(lower, upper)


def _unrolled(
    picture: ByteArray, across: FloatLike, down: FloatLike, grid_depth: SampledDepth
) -> ByteArray:
    """The picture at head-frame places on the face's surface, [rows, columns, 3]."""
    x, y = (grid.ravel() for grid in np.meshgrid(across, down))
    head = grid_depth.head
    places = np.stack([x, y, _surface_z((x, y), grid_depth)], -1) @ head.axes.T + head.origin
    places = places[:, :2].reshape(len(down), len(across), 2).astype(np.float32)
    return np.asarray(cv2.remap(picture, places, None, cv2.INTER_CUBIC))


def _inside(
    mouth: ByteArray, u: FloatLike, v: FloatLike, edges: list[FloatLike]
) -> npt.NDArray[np.bool_]:
    """What lies between the lips [rows, columns]; none where it looks no other than they do."""
    depth = np.minimum(v[:, None] - edges[0][None], edges[1][None] - v[:, None])
    depth = np.where((np.abs(u) < 1)[None], depth, -1.0)
    outside = cv2.distanceTransform((depth <= 0).astype(np.uint8), cv2.DIST_L2, 5) / CANVAS_SCALE
    found = np.full(depth.shape, cv2.GC_BGD, np.uint8)
    found[outside < REACH] = cv2.GC_PR_BGD
    found[depth > 0] = cv2.GC_PR_FGD
    found[depth > SURE] = cv2.GC_FGD
    rows = np.flatnonzero((outside < 2 * REACH).any(1))
    near = slice(int(rows[0]), int(rows[-1]) + 1)
    colours, labels = (np.ascontiguousarray(part[near]) for part in (mouth, found))
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # the same portrait, the same identity
    cv2.grabCut(colours, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found[near] = labels
    return np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _ends(
    inside: npt.NDArray[np.bool_], u: FloatLike, v: FloatLike, edges: list[FloatLike]
) -> tuple[FloatLike, FloatLike]:
    """Smooth curves through the upper and the lower ends of the inside; as `edges` are where
    nothing was found, and in the corners."""
    first, last = v[inside.argmax(0)], v[len(v) - 1 - inside[::-1].argmax(0)]
    above, below = (
        np.where(inside.any(0), np.clip(end - edge, -REACH, REACH) + outwards, 0.0)
        for end, edge, outwards in zip((first, last), edges, (-BLURRED, BLURRED), strict=True)
    )
    radius = int(TOOTH * CANVAS_SCALE)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(above, radius, mode="edge"), 2 * radius + 1
    )
    off_corners = 1 - smoothstep(np.abs(u), 0.9, 1.0)
    smooth = 0.06 * CANVAS_SCALE
    return (
        edges[0] + off_corners * gaussian_smooth(windows.min(-1), smooth),
        edges[1] + off_corners * gaussian_smooth(below, smooth),
    )


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
