"""Paints one eye: lids narrowed or wide, the gaze's iris, then the closing lid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.eyes import POINTS, Eye
from sonic_stream.engines.lite.fields import Patch
from sonic_stream.engines.lite.geometry import FloatLike, smoothstep
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.warp import Pose, Warper
from sonic_stream.media import ByteArray, FloatArray


@dataclass(frozen=True)
class _Nodes:
    """Where each node of the eye's patch lies in the eye frame of the portrait: `x` along,
    `v` below the upper lid, `to_lower` above the lower one, `height` of the opening there."""

    x: FloatLike
    v: FloatLike
    to_lower: FloatLike
    height: FloatLike


def draw_eye(picture: ByteArray, eye: Eye, warper: Warper, motion: Motion, pose: Pose) -> None:
    """Over `picture` [S, S, 3], in place."""
    patch = eye.patch
    shift = warper.backward(patch, "whole", motion, pose)
    region = picture[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width]
    if abs(motion.lids) > 1e-3:
        shift = _set_lids(eye, shift, float(np.clip(motion.lids, -1, 1)))
        region[:] = warper.sample(patch, shift)
    nodes = _nodes(eye, shift)
    if abs(motion.gaze_x) + abs(motion.gaze_y) > 1e-3:
        _draw_gaze(region, eye, warper, nodes, (shift, motion))
    if motion.blink > 0.01:
        _draw_lid(region, eye, warper, nodes, (shift, motion))


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


def _upsampled(patch: Patch, *grids: npt.NDArray[Any]) -> list[FloatArray]:
    """Node grids at full resolution, each [height, width]."""
    stacked = np.dstack(grids).astype(np.float32)
    full = cv2.resize(stacked, (patch.width, patch.height), interpolation=cv2.INTER_LINEAR)
    full = full.reshape(patch.height, patch.width, len(grids))
    return [np.ascontiguousarray(full[..., i]) for i in range(len(grids))]


def _put(region: ByteArray, drawn: ByteArray, alpha: FloatArray) -> None:
    region[:] = cv2.blendLinear(drawn, np.ascontiguousarray(region), alpha, 1 - alpha)


def _draw_gaze(
    region: ByteArray, eye: Eye, warper: Warper, nodes: _Nodes, at: tuple[FloatArray, Motion]
) -> None:
    """The iris moves as a whole, the white beside it stretches; all within the opening."""
    shift, motion = at
    reach = 1.2 * eye.iris_radius
    towards = np.where(
        nodes.x < eye.iris_x,
        np.clip(nodes.x / max(eye.iris_x - reach, 0.03), 0, 1),
        np.clip((1 - nodes.x) / max(1 - eye.iris_x - reach, 0.03), 0, 1),
    )
    across = motion.gaze_x * 0.13 * eye.width * towards
    down = motion.gaze_y * 0.05 * eye.width * towards
    moved = np.dstack(
        [shift[..., i] - across * eye.axis_x[i] - down * eye.axis_y[i] for i in (0, 1)]
    ).astype(np.float32)
    ball = warper.sample(eye.patch, moved)
    # Clear of the lash line: it must not be dragged along.
    inside = np.minimum(nodes.v - 0.055, nodes.to_lower - 0.02) * eye.width
    (distance,) = _upsampled(eye.patch, inside)
    _put(region, ball, np.clip(0.5 + distance / 2.0, 0, 1))


def _draw_lid(
    region: ByteArray, eye: Eye, warper: Warper, nodes: _Nodes, at: tuple[FloatArray, Motion]
) -> None:
    shift, motion = at
    patch, above, v, x = eye.patch, eye.above, nodes.v, nodes.x
    blink = float(np.clip(motion.blink, 0, 1))
    # The margin keeps the upper lid's curve until it meets the lower one.
    bow = 4 * np.clip(x, 0, 1) * (1 - np.clip(x, 0, 1))
    travel = blink * nodes.height * 0.95 * (1 - 0.22 * (1 - blink) * bow)
    unfolded = np.where(
        v < -above, v, -above + above * np.clip((v + above) / (above + travel), 0, None)
    )
    unfolded = np.where(v > travel, v - travel, unfolded)
    along_lid = (unfolded - v) * eye.width
    moved = np.dstack([shift[..., i] + along_lid * eye.axis_y[i] for i in (0, 1)])
    lid = warper.sample(patch, moved.astype(np.float32)).astype(np.float32)
    margin = (v - travel) * eye.width
    window = (
        np.clip((x + 0.06) / 0.10, 0, 1)
        * np.clip((1.06 - x) / 0.10, 0, 1)
        * np.clip((v + above + 0.12) / 0.10, 0, 1)
    )
    sides = np.clip(x / 0.05, 0, 1) * np.clip((1 - x) / 0.05, 0, 1)
    top = -min(0.14, 0.6 * above)
    down = np.clip((v - top) / np.maximum(travel - top, 1e-3), 0, 1)
    toned = (
        smoothstep(v, -min(0.26, 0.85 * above), -min(0.06, 0.3 * above))
        * smoothstep(blink, 0.02, 0.30)
        * sides
    )
    lash = np.exp(-((np.minimum(v - travel + 0.035, 0) / 0.030) ** 2)) * sides
    grids = _upsampled(patch, margin, window, down, toned, x, lash)
    drawn = _toned_lid(eye, lid, grids)
    scale = max(patch.cell / 2, 1.0)
    alpha = np.clip(0.5 - grids[0] / (1.5 * scale), 0, 1) * grids[1]
    _put(region, drawn, alpha.astype(np.float32))


def _toned_lid(eye: Eye, lid: FloatArray, grids: list[FloatArray]) -> ByteArray:
    """Lid skin: colours from the brow's to the lower lid's, a soft bulge, the lash line."""
    _, _, down, toned, x, lash = grids
    index = np.clip(x * (POINTS - 1), 0, POINTS - 1)
    left = np.minimum(index.astype(np.int32), POINTS - 2)
    share = (index - left)[..., None]

    def along(profile: FloatArray) -> FloatArray:
        return np.asarray(profile[left] * (1 - share) + profile[left + 1] * share)

    down = down[..., None]
    bulge = 0.97 + 0.07 * np.sin(np.pi * down) - 0.05 * down
    skin = (along(eye.skin_above) * (1 - down) + along(eye.skin_below) * down) * bulge
    amount = 0.88 * toned[..., None]
    drawn = lid * (1 - amount) + skin * amount
    dark = lash[..., None] * 0.80 * np.minimum(toned[..., None] * 1.2, 1)
    drawn = drawn * (1 - dark) + along(eye.lashes) * dark
    return np.asarray(np.clip(drawn, 0, 255), np.uint8)
