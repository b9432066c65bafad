"""Paints one eye: lids narrowed or wide, the gaze's iris, then the closing lid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.eye_frame import POINTS
from sonic_stream.engines.lite.eyes import Eye
from sonic_stream.engines.lite.geometry import FloatLike, smoothstep
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.warp import Warper, pixels_of, shown
from sonic_stream.media import ByteArray, FloatArray

ACROSS, DOWN = 0.13, 0.055  # of the eye's width: how far the iris moves at a gaze of 1


@dataclass(frozen=True)
class _Nodes:
    """Where each node of the eye's patch lies in the eye frame of the portrait: `x` along,
    `v` below the upper lid, `to_lower` above the lower one, `height` of the opening there."""

    x: FloatLike
    v: FloatLike
    to_lower: FloatLike
    height: FloatLike


def draw_eye(
    picture: ByteArray, eye: Eye, warper: Warper, motion: Motion, whole_shift: FloatArray
) -> None:
    """Over `picture` [S, S, 3], in place, which was sampled under `whole_shift`."""
    patch = eye.patch
    shift = warper.part_of_whole(patch, whole_shift)
    region = picture[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width]
    if abs(motion.lids) > 1e-3 and not eye.behind_glass:
        shift = _set_lids(eye, shift, float(np.clip(motion.lids, -1, 1)))
        region[:] = warper.sample(patch, shift)
    nodes = _nodes(eye, shift)
    # Gaze and blink change the opening, and the skin just above it, alone.
    near = (nodes.v > -0.36) & (nodes.to_lower > -0.16) & (np.abs(nodes.x - 0.5) < 0.6)
    window = shown(near.any(1), near.any(0), 1)
    region = region[pixels_of(window, patch.cell)]
    nodes = _Nodes(nodes.x[window], nodes.v[window], nodes.to_lower[window], nodes.height[window])
    if abs(motion.gaze_x) + abs(motion.gaze_y) > 1e-3:
        gazing = shift[window] + _gaze_shift(eye, nodes, motion.gaze_x, motion.gaze_y)
        ball = warper.sample_part(eye.ball, patch, gazing.astype(np.float32), window)
        # Clear of the lash line: it must not be dragged along.
        top, bottom = (np.interp(nodes.x, np.linspace(0, 1, POINTS), m) for m in eye.margin)
        inside = np.minimum(nodes.v - top, nodes.to_lower - bottom) * eye.width
        (distance,) = _upsampled(region, inside)
        _put(region, ball, np.clip(0.5 + distance / 2.0, 0, 1))
    if motion.blink > 0.01:
        lid = warper.sample_part(eye.lid, patch, shift[window], window)
        _draw_lid(region, eye, nodes, lid, float(np.clip(motion.blink, 0, 1)))


def _nodes(eye: Eye, shift: FloatArray) -> _Nodes:
    dx = eye.patch.x + shift[..., 0] - eye.corner[0]
    dy = eye.patch.y + shift[..., 1] - eye.corner[1]
    x = (dx * eye.axis_x[0] + dy * eye.axis_x[1]) / eye.width
    y = (dx * eye.axis_y[0] + dy * eye.axis_y[1]) / eye.width
    along = np.linspace(0, 1, POINTS)
    upper, lower = np.interp(x, along, eye.upper), np.interp(x, along, eye.lower)
    return _Nodes(x, y - upper, lower - y, np.maximum(lower - upper, 0))


def _set_lids(eye: Eye, shift: FloatArray, lids: float) -> FloatArray:
    """Wide: the upper lid rises, its fold with it. Narrowed: both lids come a little together,
    as the cheeks push the lower one up."""
    nodes = _nodes(eye, shift)
    x, v, below = nodes.x, nodes.v, -nodes.to_lower
    bow = (
        np.sqrt(np.clip(4 * x * (1 - x), 0, 1)) * smoothstep(x, 0, 0.2) * smoothstep(1 - x, 0, 0.2)
    )
    above = smoothstep(v, -0.9 * eye.above, -0.1)
    if lids > 0:
        rise = 0.075 * lids * bow * above * (1 - smoothstep(v, 0.0, 0.75 * nodes.height + 1e-3))
    else:
        lower = smoothstep(below, -0.10, -0.04) * (1 - smoothstep(below, 0.04, 0.40))
        upper = above * (1 - smoothstep(v, 0.02, 0.10))
        rise = -lids * bow * (0.085 * lower - 0.05 * upper)
    along = (rise * eye.width)[..., None] * eye.axis_y
    return np.asarray(shift + along, np.float32)


def _upsampled(region: ByteArray, *grids: npt.NDArray[Any]) -> list[FloatArray]:
    """Node grids at the region's resolution, each [height, width] or [height, width, 3]."""
    size = (region.shape[1], region.shape[0])
    return [
        np.asarray(cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_LINEAR))
        for grid in grids
    ]


def _put(region: ByteArray, drawn: ByteArray, alpha: FloatArray) -> None:
    region[:] = cv2.blendLinear(drawn, np.ascontiguousarray(region), alpha, 1 - alpha)


def _gaze_shift(eye: Eye, nodes: _Nodes, gaze_x: float, gaze_y: float) -> FloatLike:
    """Backward shift [rows, columns, 2]: the iris moves as a whole, the white beside it
    stretches."""
    reach = 1.15 * eye.iris_radius
    centre = eye.iris_x + ACROSS * gaze_x
    towards = np.where(
        nodes.x < centre,
        np.clip(nodes.x / max(centre - reach, 0.03), 0, 1),
        np.clip((1 - nodes.x) / max(1 - centre - reach, 0.03), 0, 1),
    )
    across, down = (amount * eye.width * towards for amount in (ACROSS * gaze_x, DOWN * gaze_y))
    return np.asarray(-across[..., None] * eye.axis_x - down[..., None] * eye.axis_y)


def _draw_lid(region: ByteArray, eye: Eye, nodes: _Nodes, lid: ByteArray, blink: float) -> None:
    """The closed lid comes down inside the opening, lashes at its margin. Nothing around the eye
    is moved, so frames, fringes and make-up stay where they are."""
    v, x = nodes.v, nodes.x
    # The margin keeps the upper lid's curve until it meets the lower one, just covering it.
    bow = 4 * np.clip(x, 0, 1) * (1 - np.clip(x, 0, 1))
    beyond = np.interp(x, np.linspace(0, 1, POINTS), eye.overshoot)
    travel = blink * (nodes.height + beyond) * (1 - 0.22 * (1 - blink) * bow)
    sides = np.clip((x + 0.04) / 0.08, 0, 1) * np.clip((1.04 - x) / 0.08, 0, 1)
    index = np.clip(x * (POINTS - 1), 0, POINTS - 1)
    left = np.minimum(index.astype(np.int32), POINTS - 2)
    share = (index - left)[..., None]
    lashes = eye.lashes[left] * (1 - share) + eye.lashes[left + 1] * share
    lash = np.exp(-((np.minimum(v - travel + 0.035, 0) / 0.030) ** 2)) * sides
    thin = 0.55 + 0.45 * bow  # lashes thin out towards the corners
    # What the lid covers above the opening too, such as lashes, is toned away by and by.
    comes = float(smoothstep(blink, 0.02, 0.30))
    cover = np.maximum(smoothstep(v, -0.04, 0.0), comes)
    grids = _upsampled(region, (v - travel) * eye.width, cover, 0.80 * lash * thin, lashes)
    below, cover, dark, lashes = grids
    dark = dark[..., None] * min(1.2 * comes, 1.0)
    drawn = lid[..., :3] + (lashes - lid[..., :3]) * dark
    alpha = np.clip(0.5 - below / (0.75 * eye.patch.cell), 0, 1) * cover * lid[..., 3] / 255
    _put(region, np.clip(drawn, 0, 255).astype(np.uint8), alpha.astype(np.float32))
