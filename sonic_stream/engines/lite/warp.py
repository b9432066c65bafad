"""Displacement fields to pixels: forward fields of a motion, their inverse, and sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.fields import INDEX, Layer, Patch
from sonic_stream.engines.lite.formulas import inward
from sonic_stream.engines.lite.identity import OFF_GRID, Latents
from sonic_stream.engines.lite.motion import MAX_TURN, Motion, no_coefficients
from sonic_stream.media import ByteArray, FloatArray

Flags = npt.NDArray[np.bool_]
Window = tuple[slice, slice]  # rows and columns of a patch's nodes
REACH_SHARE = 0.75  # of `MAX_TURN`: so far heads really turn
JAW_MAX_RAD = float(np.deg2rad(17.0))


@dataclass(frozen=True)
class Pose:
    """The head's motion about the pivot: rotation [3, 3] and shift [2] in pixels."""

    rotation: FloatArray
    shift: FloatArray


@dataclass(frozen=True)
class Jaw:
    """Its angle in radians, `opened` 0..1.3, how much the wide opening's shape takes over, and
    how far the corners are pulled in, in pixels."""

    angle: float
    opened: float
    wide: np.float32
    pull: float

    @property
    def drives(self) -> FloatArray:
        """[5]: the weights of `swings_of`: rotation down and back, the same of the wide opening's
        shape, and the corners."""
        down, back = np.cos(self.angle) - 1, -np.sin(self.angle)
        swing = [down, back, self.wide * down, self.wide * back, self.pull]
        return np.array(swing, np.float32)


def pose_of(motion: Motion, size_px: int) -> Pose:
    yaw, pitch, roll = np.deg2rad([motion.yaw_deg, motion.pitch_deg, motion.roll_deg])
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    )  # fmt: skip
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    shift = np.array([motion.shift_x, motion.shift_y], np.float32) * (size_px / 512)
    return Pose((tilt @ turn @ nod).astype(np.float32), shift)


class Warper:
    """Fields and sampling of one identity; holds no state between pictures."""

    def __init__(self, latents: Latents) -> None:
        self._latents = latents
        patches = (latents.whole, latents.mouth)
        self._grids = {patch.x.shape: _node_grid(patch) for patch in patches}
        self._heads: dict[str, FloatArray] = {}  # by layer, as are the swings
        self._swings: dict[str, FloatArray] = {}
        for patch in patches:
            head = head_of(latents, patch).reshape(4, -1)
            for name, layer in patch.layers.items():
                self._heads[name] = head
                self._swings[name] = swings_of(latents, patch, layer).reshape(5, -1)

    def reached(self, cover: ByteArray) -> tuple[Flags, Flags]:
        """Nodes [rows, columns] of the whole picture where, however the person moves, something
        of a cover [S, S] may be seen, and where it may leave something open."""
        whole = self._latents.whole
        rows, columns = whole.x.shape
        blocks = cover.reshape(rows, whole.cell, columns, whole.cell)
        # Shifts, and what lies between two nodes, are a margin.
        margin = np.ones((2 * (1 + -(-rows // 60)) + 1,) * 2, np.uint8)
        most = cv2.dilate(np.ascontiguousarray(blocks.max((1, 3))), margin)
        least = cv2.erode(np.ascontiguousarray(blocks.min((1, 3))), margin)
        seen, open_ = most > 0, least < 255
        base = self._grids[whole.x.shape]
        for motion in _extremes():
            pose = pose_of(motion, self._latents.size_px)
            at = base + self.backward(whole, "whole", motion, pose) * np.float32(1 / whole.cell)
            for grid, flags in ((most, seen), (255 - least, open_)):
                moved = cv2.remap(grid, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                flags |= moved > 0
        return seen, open_

    def jaw_rad(self, motion: Motion) -> float:
        return float(np.clip(motion.coefficients[INDEX["jaw"]], 0, 1.3)) * JAW_MAX_RAD

    def jaw(self, motion: Motion) -> Jaw:
        c, angle = motion.coefficients, self.jaw_rad(motion)
        if angle <= 1e-4:
            return Jaw(0.0, 0.0, np.float32(0), 0.0)
        opened = angle / JAW_MAX_RAD
        round_ = 0.8 * c[INDEX["pucker"]] + 0.5 * c[INDEX["funnel"]]
        wide = np.float32(np.clip(1.6 * opened - 0.25 + round_, 0, 1))
        return Jaw(angle, opened, wide, -0.12 * self._latents.half_width * opened)

    def backward(self, patch: Patch, layer: str, motion: Motion, pose: Pose) -> FloatArray:
        """Where each node [rows, columns, 2] of the new picture comes from, as a shift.

        The forward field is inverted by fixed-point iteration: a sum of backward fields would
        be wrong at large jaw angles.
        """
        forward = self._forward(patch, layer, motion, pose)
        base = self._grids[patch.x.shape]
        shift = -forward
        for _ in range(3 if layer == "whole" else 5):
            shift = -cv2.remap(
                forward, base + shift * np.float32(1 / patch.cell), None,
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        return np.asarray(shift, np.float32)

    def part_of_whole(self, patch: Patch, shift: FloatArray) -> FloatArray:
        """The whole picture's backward shift on a patch's nodes."""
        cell = self._latents.whole.cell
        columns, rows = (patch.x + 0.5) / cell - 0.5, (patch.y + 0.5) / cell - 0.5
        return np.asarray(
            cv2.remap(shift, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def joined(self, patch: Patch, own: FloatArray, whole: FloatArray) -> FloatArray:
        """A patch's own backward shift, but the whole picture's where that leads out of the patch,
        whose field says nothing of what is there."""
        at = self._grids[patch.x.shape] + own * np.float32(1 / patch.cell)
        rows, columns = patch.x.shape
        share = inward(at[..., 0], at[..., 1], columns, rows, np)[..., None]
        return np.asarray(whole + (own - whole) * share, np.float32)

    def sample(self, patch: Patch, shift: FloatArray, window: Window | None = None) -> ByteArray:
        """The portrait's pixels of a patch [height, width, 3] under a backward shift; with a
        window of nodes, the shift and the pixels are that window's."""
        drawn = _remapped(self._latents.source, *self._positions(patch, shift, window))
        cut = drawn.shape[2] == 4
        return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB)) if cut else drawn

    def sample_part(
        self, part: ByteArray, patch: Patch, shift: FloatArray, window: Window
    ) -> ByteArray:
        """As `sample` with a window, from what replaces the enlarged portrait in the patch."""
        corner = (patch.x0, patch.y0)
        at, between = self._positions(patch, shift, window, corner)
        return np.asarray(
            cv2.remap(part, at, between, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def sample_bands(self, shift: FloatArray, bands: list[Window]) -> tuple[ByteArray, ByteArray]:
        """The colours [S, S, 3] and the coverage [S, S] of a cut-out, made within the bands only;
        the rest is 0."""
        whole = self._latents.whole
        nodes = self._nodes(whole, shift, None, (0, 0))
        colours = np.zeros((whole.height, whole.width, 3), np.uint8)
        coverage = np.zeros(colours.shape[:2], np.uint8)
        for band in bands:
            rows, columns = band
            some = nodes[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
            box = pixels_of(band, whole.cell)
            drawn = _remapped(self._latents.source, *_fixed_point(some, whole.cell))
            cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, colours[box])
            cv2.extractChannel(drawn, 3, coverage[box])
        return colours, coverage

    def _positions(
        self,
        patch: Patch,
        shift: FloatArray,
        window: Window | None,
        corner: tuple[int, int] = (0, 0),
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
        """Where each pixel comes from in the enlarged portrait, or in its part from `corner` on,
        in the fixed-point numbers that `remap` would make itself, in more time."""
        return _fixed_point(self._nodes(patch, shift, window, corner), patch.cell)

    def _nodes(
        self, patch: Patch, shift: FloatArray, window: Window | None, corner: tuple[int, int]
    ) -> FloatArray:
        """Where each node comes from, with a ring of nodes around, for the half cell between the
        last node and the border."""
        cell = patch.cell
        rows, columns = window or (slice(0, shift.shape[0]), slice(0, shift.shape[1]))
        at = cv2.copyMakeBorder(shift, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        height, width = at.shape[:2]
        first_x = patch.x0 - corner[0] + cell * (columns.start - 0.5) - 0.5
        first_y = patch.y0 - corner[1] + cell * (rows.start - 0.5) - 0.5
        at[..., 0] += first_x + cell * np.arange(width, dtype=np.float32)
        at[..., 1] += (first_y + cell * np.arange(height, dtype=np.float32))[:, None]
        at *= self._latents.enlarged
        at += np.float32(OFF_GRID)
        return np.asarray(at)

    def carried(self, grid: FloatArray, shift: FloatArray, patch: Patch) -> FloatArray:
        """A node grid's values, moved along with the picture."""
        at = self._grids[patch.x.shape] + shift * np.float32(1 / patch.cell)
        return np.asarray(
            cv2.remap(grid, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def point_shift(
        self, point: FloatArray, motion: Motion, pose: Pose, *, jaw: bool
    ) -> FloatArray:
        """How far a head-frame point moves in the picture, with the skull or with the jaw."""
        latents = self._latents
        moved = point.astype(np.float64).copy()
        if jaw:
            angle = self.jaw_rad(motion)
            y, z = point[1] - latents.hinge, min(float(point[2]), 0.0)
            moved[1] = latents.hinge + y * np.cos(angle) - z * np.sin(angle)
            moved[0] += 0.10 * latents.half_width * motion.coefficients[INDEX["jaw_side"]]
        here = latents.axes @ moved + latents.origin
        here = latents.pivot + pose.rotation @ (here - latents.pivot)
        rest = latents.axes @ point + latents.origin
        return np.asarray(here[:2] + pose.shift - rest[:2], np.float32)

    def _forward(self, patch: Patch, name: str, motion: Motion, pose: Pose) -> FloatArray:
        rows, columns = patch.x.shape
        moved = motion.coefficients @ patch.layers[name].bases
        jaw = self.jaw(motion)
        if jaw.opened:
            moved = moved + jaw.drives @ self._swings[name]
        moved = moved.reshape(2, -1)
        turn, head = turn_of(pose), self._heads[name]
        moved = moved + (turn[:, :2] @ moved) * head[3] + turn @ head
        return np.asarray(cv2.merge([part.reshape(rows, columns) for part in moved]))


def head_of(latents: Latents, patch: Patch) -> FloatArray:
    """[4, rows, columns]: each node's place from the head's pivot, times how much it follows the
    head; and that."""
    x, y, z = latents.pivot
    places = [patch.x - x, patch.y - y, patch.depth - z, np.ones_like(patch.x)]
    return np.asarray(patch.head * np.stack(places), np.float32)


def turn_of(pose: Pose) -> FloatArray:
    """[2, 4]: what `head_of` is multiplied by for the head's motion."""
    change = pose.rotation[:2] - np.eye(2, 3, dtype=np.float32)
    return np.hstack([change, pose.shift[:, None]]).astype(np.float32)


def swings_of(latents: Latents, patch: Patch, layer: Layer) -> FloatArray:
    """[5, 2, rows, columns]: how far nodes move by each of `Jaw.drives`. What is in front of the
    hinge (z < 0) moves down as the jaw opens."""
    down, across = latents.axes[:2, 1], latents.axes[:2, 0]
    swings = [
        np.multiply.outer(down, weight * arm)
        for weight in (layer.jaw, layer.jaw_wide)
        for arm in (patch.arm_y, patch.arm_z)
    ]
    pull = np.multiply.outer(across, patch.corner_pull)
    return np.asarray(np.stack([*swings, pull]), np.float32)


def _node_grid(patch: Patch) -> FloatArray:
    """Node indices [rows, columns, 2]."""
    rows, columns = patch.x.shape
    xs, ys = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    return np.dstack([xs, ys])


def shown(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_], cell: int) -> Window:
    """The window of nodes around all pixels that show, given per row and per column."""

    def span(flags: npt.NDArray[np.bool_]) -> slice:
        hits = np.flatnonzero(flags)
        return slice(int(hits[0]) // cell, int(hits[-1]) // cell + 1) if len(hits) else slice(0, 1)

    return span(rows), span(columns)


def _fixed_point(
    nodes: FloatArray, cell: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Ringed node positions as the whole and the fractional part of each pixel's within."""
    height, width = nodes.shape[:2]
    full = cv2.resize(nodes, (width * cell, height * cell), interpolation=cv2.INTER_LINEAR)
    whole, part = cv2.convertMaps(full[cell:-cell, cell:-cell], None, cv2.CV_16SC2)
    return whole, part


def _remapped(
    source: ByteArray, at: npt.NDArray[np.int16], part: npt.NDArray[np.uint16]
) -> ByteArray:
    return np.asarray(
        cv2.remap(source, at, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    )


def _extremes() -> Iterator[Motion]:
    opened = no_coefficients()
    opened[INDEX["jaw"]] = 1.0
    for signs in product((-1, 1), repeat=3):
        yaw, pitch, roll = (REACH_SHARE * MAX_TURN[:3] * signs).tolist()
        yield Motion(opened, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)


def bands_of(seen: Flags, count: int = 6) -> list[Window]:
    """Windows, one above the other, around all that may be seen."""
    rows, _ = seen.shape
    windows = []
    for at in range(count):
        start, stop = rows * at // count, rows * (at + 1) // count
        hits = np.flatnonzero(seen[start:stop].any(0))
        if len(hits):
            windows.append((slice(start, stop), slice(int(hits[0]), int(hits[-1]) + 1)))
    return windows


def open_windows(seen: Flags, open_: Flags, count: int = 12) -> tuple[list[Window], list[Window]]:
    """Windows of all that may be open and yet show something, to the left and right of what
    never is open; and windows of what never shows anything."""
    rows, columns = open_.shape
    rims: list[Window] = []
    empty: list[Window] = []
    for at in range(count):
        part = slice(rows * at // count, rows * (at + 1) // count)
        hits = np.flatnonzero(seen[part].any(0))
        first, end = (int(hits[0]), int(hits[-1]) + 1) if len(hits) else (columns, columns)
        solid = (~open_[part].any(0)).astype(np.int8)
        runs = np.flatnonzero(np.diff(solid, prepend=0, append=0)).reshape(-1, 2).tolist()
        left, right = max(runs, key=lambda run: run[1] - run[0], default=(end, end))
        rims += [(part, side) for side in (slice(first, left), slice(right, end))]
        empty += [(part, side) for side in (slice(0, first), slice(end, columns))]
    return _filled(rims), _filled(empty)


def _filled(windows: list[Window]) -> list[Window]:
    return [(rows, columns) for rows, columns in windows if columns.start < columns.stop]


def pixels_of(window: Window, cell: int) -> tuple[slice, slice]:
    """A window's pixels within its patch."""
    rows, columns = window
    return (
        slice(rows.start * cell, rows.stop * cell),
        slice(columns.start * cell, columns.stop * cell),
    )
