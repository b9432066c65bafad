"""PURE. A motion as the displacement fields take it: what the head and the jaw do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sonic_stream.engines.lite.fields import INDEX, Layer, Patch
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.media import FloatArray

JAW_MAX_RAD = math.radians(17.0)


@dataclass(frozen=True)
class Pose:
    """The head's `rotation` [3, 3] about the pivot and `shift` [2] in pixels, the `jaw`'s angle in
    radians; `drives` [23]: the weight of each of `bases_of`, `turn` [2, 4]: what `head_of` is
    multiplied by."""

    rotation: FloatArray
    shift: FloatArray
    jaw: float
    drives: FloatArray
    turn: FloatArray


def pose_of(latents: Latents, motion: Motion) -> Pose:
    rotation = _rotation(motion)
    scale = latents.size_px / 512
    shift = np.array([scale * motion.shift_x, scale * motion.shift_y], np.float32)
    jaw = min(max(float(motion.coefficients[INDEX["jaw"]]), 0.0), 1.3) * JAW_MAX_RAD
    turn = np.empty((2, 4), np.float32)
    turn[:, :3] = rotation[:2] - np.eye(2, 3, dtype=np.float32)
    turn[:, 3] = shift
    drives = np.concatenate([motion.coefficients, _swing(latents, motion.coefficients, jaw)])
    return Pose(rotation, shift, jaw, drives, turn)


def head_of(latents: Latents, patch: Patch) -> FloatArray:
    """[4, rows, columns]: each node's place from the head's pivot, times how much it follows the
    head; and that."""
    x, y, z = latents.pivot
    places = [patch.x - x, patch.y - y, patch.depth - z, np.ones_like(patch.x)]
    return np.asarray(patch.head * np.stack(places), np.float32)


def bases_of(latents: Latents, patch: Patch, layer: Layer) -> FloatArray:
    """[23, 2, rows, columns]: how far nodes move by each coefficient, and as the jaw swings: what
    is in front of the hinge (z < 0) moves down as it opens."""
    down, across = latents.axes[:2, 1], latents.axes[:2, 0]
    swings = [
        np.multiply.outer(down, weight * arm)
        for weight in (layer.jaw, layer.jaw_wide)
        for arm in (patch.arm_y, patch.arm_z)
    ]
    pull = np.multiply.outer(across, patch.corner_pull)
    own = layer.bases.reshape(-1, 2, *patch.x.shape)
    return np.asarray(np.concatenate([own, np.stack([*swings, pull])]), np.float32)


def point_shift(latents: Latents, point: FloatArray, pose: Pose, *, jaw: bool) -> FloatArray:
    """How far a head-frame point moves in the picture, with the skull or with the jaw."""
    moved = point.astype(np.float64)
    if jaw:
        y, z = float(point[1]) - latents.hinge, min(float(point[2]), 0.0)
        moved[1] = latents.hinge + y * math.cos(pose.jaw) - z * math.sin(pose.jaw)
        moved[0] += 0.10 * latents.half_width * pose.drives[INDEX["jaw_side"]]
    here = latents.axes @ moved + latents.origin
    here = latents.pivot + pose.rotation @ (here - latents.pivot)
    rest = latents.axes @ point + latents.origin
    return np.asarray(here[:2] + pose.shift - rest[:2], np.float32)


def _rotation(motion: Motion) -> FloatArray:
    yaw, pitch, roll = map(math.radians, (motion.yaw_deg, motion.pitch_deg, motion.roll_deg))
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    turned = np.array([[cy, sy * sp, sy * cp], [0, cp, -sp], [-sy, cy * sp, cy * cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(tilt @ turned, np.float32)


def _swing(latents: Latents, coefficients: FloatArray, angle: float) -> FloatArray:
    """[5]: how far the jaw goes down and back, the same of what the wide opening's shape adds,
    and how far the corners are pulled in, in pixels."""
    if angle <= 1e-4:
        return np.zeros(5, np.float32)
    opened = angle / JAW_MAX_RAD
    rounds = 0.5 * coefficients[INDEX["pucker"]] + 0.3 * coefficients[INDEX["funnel"]]
    # Below 0 the lips part less towards the corners than at the smallest openings.
    wide = min(max(1.6 * opened - 0.25 - float(rounds), -0.5), 1.0)
    down, back = math.cos(angle) - 1, -math.sin(angle)
    pull = -0.2 * latents.half_width * opened
    return np.array([down, back, wide * down, wide * back, pull], np.float32)
