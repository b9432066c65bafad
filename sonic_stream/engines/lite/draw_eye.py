"""Paints one eye: lids that rise or fall, the gaze's iris, then the closing lid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.eye_frame import POINTS
from sonic_stream.engines.lite.eyes import Eye
from sonic_stream.engines.lite.formulas import (
    EyeNodes,
    ball_moves,
    closing_lid,
    falling_lids,
    lids_rise,
    near_falling,
    near_lids,
    near_opening,
    within_lids,
)
from sonic_stream.engines.lite.geometry import eased
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.warp import Warper, pixels_of, shown
from sonic_stream.media import ByteArray, FloatArray

ALONG = np.linspace(0, 1, POINTS)  # the places along the lids
ACROSS, DOWN = 0.13, 0.055  # of the eye's width: how far the iris moves at a gaze of 1
WIDENED, NARROWED, PUSHED = 0.075, 0.05, 0.085  # the lids at -1 and 1; `PUSHED`: the lower one
FOLLOWS_DOWN, FOLLOWS_UP = 0.7, 0.4  # of the iris's way: the upper lid's
UNSEEN_PX = 0.35


@dataclass(frozen=True)
class Look:
    """What of a motion an eye shows: 0 where too little to be seen. `across` and `down` in
    pixels, for the iris at its `centre`, with so much `left` and `right` of it."""

    upper: float  # how far the upper lid rises, and the lower one, in eye widths
    lower: float
    blink: float
    comes: float  # how far a closing lid covers what is above the opening too
    across: float
    down: float
    centre: float
    left: float
    right: float
    falls: float  # the line of a boxed eye's lid, of its way

    @property
    def sets_lids(self) -> bool:
        return self.upper != 0 or self.lower != 0

    @property
    def gazes(self) -> bool:
        return self.across != 0 or self.down != 0

    @property
    def iris(self) -> tuple[float, float, float]:
        return self.centre, self.left, self.right


STILL = Look(0, 0, 0, 0, 0, 0, 0.5, 0.5, 0.5, 0)


def look_of(eye: Eye, motion: Motion) -> Look:
    if eye.is_boxed:
        falls = min(motion.blink, 1.0) if motion.blink > 0.01 else 0.0
        return replace(STILL, falls=falls)
    upper, lower = (0.0, 0.0) if eye.behind_glass else _lids_of(eye, motion)
    gazes = abs(motion.gaze_x) + abs(motion.gaze_y) > 1e-3
    # White stretches beside the iris, but for a drawn eye's, whose ball turns as a whole.
    reach = 1.0 if eye.is_drawn else 1.15 * eye.iris_radius
    centre = eye.iris_x + ACROSS * motion.gaze_x
    blink = min(motion.blink, 1.0) if motion.blink > 0.01 else 0.0
    return Look(
        upper=upper,
        lower=lower,
        blink=blink,
        comes=eased(blink, 0.02, 0.30),
        across=ACROSS * motion.gaze_x * eye.width if gazes else 0.0,
        down=DOWN * motion.gaze_y * eye.width if gazes else 0.0,
        centre=centre,
        left=max(centre - reach, 0.03),
        right=max(1 - centre - reach, 0.03),
        falls=0.0,
    )


def _lids_of(eye: Eye, motion: Motion) -> tuple[float, float]:
    """How far both lids rise: wide or narrowed, and with the gaze, when that is to be seen."""
    lids = min(max(motion.lids, -1.0), 1.0) if abs(motion.lids) > 1e-3 else 0.0
    upper, lower = (WIDENED * lids, 0.0) if lids > 0 else (NARROWED * lids, -PUSHED * lids)
    follows = -DOWN * motion.gaze_y * (FOLLOWS_UP if motion.gaze_y < 0 else FOLLOWS_DOWN)
    unseen = UNSEEN_PX / eye.width
    return upper + math.copysign(max(abs(follows) - unseen, 0.0), follows), lower


def draw_eye(
    picture: ByteArray, eye: Eye, warper: Warper, motion: Motion, whole_shift: FloatArray
) -> None:
    """Over `picture` [S, S, 3], in place, which was sampled under `whole_shift`."""
    patch, look = eye.patch, look_of(eye, motion)
    shift = warper.part_of_whole(patch, whole_shift)
    region = picture[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width]
    if eye.is_boxed:
        if look.falls:
            _drop_lids(region, eye, warper, look, shift)
        return
    if look.sets_lids:
        nodes = _nodes(eye, shift)
        rise = lids_rise(nodes, eye.above, look.upper, look.lower, np)
        shift = np.asarray(shift + (eye.width * rise)[..., None] * eye.axis_y, np.float32)
        # No more of the patch: the other eye, drawn already, may be in it.
        near = near_lids(nodes, eye.above)
        box = pixels_of(shown(near.any(1), near.any(0), 1), patch.cell)
        region[box] = warper.sample(patch, shift)[box]
    nodes = _nodes(eye, shift)
    near = near_opening(nodes)
    window = shown(near.any(1), near.any(0), 1)
    region = region[pixels_of(window, patch.cell)]
    nodes = EyeNodes(nodes.x[window], nodes.v[window], nodes.to_lower[window], nodes.height[window])
    if look.gazes:
        towards = ball_moves(nodes, look.iris, np)[..., None]
        away = -(look.across * towards) * eye.axis_x - (look.down * towards) * eye.axis_y
        gazing = np.asarray(shift[window] + away, np.float32)
        ball = warper.sample_part(eye.ball, patch, gazing, window)
        top, bottom = (np.interp(nodes.x, ALONG, m) for m in eye.margin)
        (distance,) = _upsampled(region, within_lids(nodes, (top, bottom), np) * eye.width)
        _put(region, ball, np.clip(0.5 + distance / 2.0, 0, 1))
    if look.blink:
        lid = warper.sample_part(eye.lid, patch, shift[window], window)
        _draw_lid(region, eye, nodes, lid, look)


def _nodes(eye: Eye, shift: FloatArray) -> EyeNodes:
    dx = eye.patch.x + shift[..., 0] - eye.corner[0]
    dy = eye.patch.y + shift[..., 1] - eye.corner[1]
    x = (dx * eye.axis_x[0] + dy * eye.axis_x[1]) / eye.width
    y = (dx * eye.axis_y[0] + dy * eye.axis_y[1]) / eye.width
    upper, lower = np.interp(x, ALONG, eye.upper), np.interp(x, ALONG, eye.lower)
    return EyeNodes(x, y - upper, lower - y, np.maximum(lower - upper, 0))


def _upsampled(region: ByteArray, *grids: npt.NDArray[Any]) -> list[FloatArray]:
    """Node grids at the region's resolution, each [height, width] or [height, width, 3]."""
    size = (region.shape[1], region.shape[0])
    return [
        np.asarray(cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_LINEAR))
        for grid in grids
    ]


def _put(region: ByteArray, drawn: ByteArray, alpha: FloatArray) -> None:
    region[:] = cv2.blendLinear(drawn, np.ascontiguousarray(region), alpha, 1 - alpha)


def _drop_lids(region: ByteArray, eye: Eye, warper: Warper, look: Look, shift: FloatArray) -> None:
    nodes = _nodes(eye, shift)
    near = near_falling(nodes)
    box = pixels_of(shown(near.any(1), near.any(0), 1), eye.patch.cell)
    for down, away in falling_lids(nodes, float(eye.lash[0]), look.falls):
        moved = np.asarray(shift + (eye.width * down)[..., None] * eye.axis_y, np.float32)
        (distance,) = _upsampled(region, away * eye.width)
        alpha = np.clip(0.5 - distance / (0.75 * eye.patch.cell), 0, 1)
        lid = warper.sample(eye.patch, moved)
        _put(region[box], np.ascontiguousarray(lid[box]), np.ascontiguousarray(alpha[box]))


def _draw_lid(region: ByteArray, eye: Eye, nodes: EyeNodes, lid: ByteArray, look: Look) -> None:
    """The closed lid comes down inside the opening, lashes at its margin."""
    overshoot = np.interp(nodes.x, ALONG, eye.overshoot)
    thick, soft, strong = map(float, eye.lash)
    coming = (look.blink, look.comes)
    beyond, cover, dark = closing_lid(nodes, overshoot, coming, (thick, soft, strong), np)
    index = np.clip(nodes.x * (POINTS - 1), 0, POINTS - 1)
    left = np.minimum(index.astype(np.int32), POINTS - 2)
    share = (index - left)[..., None]
    lashes = eye.lashes[left] * (1 - share) + eye.lashes[left + 1] * share
    grids = _upsampled(region, beyond * eye.width, cover, dark, lashes)
    beyond, cover, dark, lashes = grids
    dark = dark[..., None] * min(1.2 * look.comes, 1.0)
    drawn = lid[..., :3] + (lashes - lid[..., :3]) * dark
    alpha = np.clip(0.5 - beyond / (0.75 * eye.patch.cell), 0, 1) * cover * lid[..., 3] / 255
    _put(region, np.clip(drawn, 0, 255).astype(np.uint8), alpha.astype(np.float32))
