"""Displacement fields to pixels: forward fields of a motion, their inverse, and sampling."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.cover import Window
from sonic_stream.engines.lite.fields import BODY, Layer, Patch
from sonic_stream.engines.lite.formulas import inward
from sonic_stream.engines.lite.identity import OFF_GRID, Latents
from sonic_stream.engines.lite.pose import Pose, bases_of, head_of
from sonic_stream.media import ByteArray, FloatArray


class _Field:
    """How a layer's nodes move: within the face's window by all bases, outside of it by the body's
    and with the head alone."""

    def __init__(self, latents: Latents, patch: Patch, layer: Layer) -> None:
        bases = bases_of(latents, patch, layer)
        moving = bases[: BODY.start].any((0, 1)) | bases[BODY.stop :].any((0, 1))
        self._window = shown(moving.any(1), moving.any(0), 1)
        self._shape = patch.x.shape
        self._face = np.ascontiguousarray(bases[(..., *self._window)]).reshape(len(bases), -1)
        self._body = bases[BODY].reshape(-1, 2 * patch.x.size).copy()
        self._head = head_of(latents, patch).reshape(4, -1)

    def forward(self, pose: Pose) -> FloatArray:
        """[rows, columns, 2] in pixels."""
        moved = (pose.drives[BODY] @ self._body).reshape(2, *self._shape)
        within = moved[(..., *self._window)]
        within[:] = (pose.drives @ self._face).reshape(within.shape)
        flat, turn, head = moved.reshape(2, -1), pose.turn, self._head
        turned = turn[:, :2] @ flat
        turned *= head[3]
        turned += turn @ head
        turned += flat
        return np.asarray(cv2.merge([part.reshape(self._shape) for part in turned]))


class Warper:
    """Fields and sampling of one identity; holds no state between pictures."""

    def __init__(self, latents: Latents) -> None:
        patches = (latents.whole, latents.mouth)
        self._grids = {patch.x.shape: _node_grid(patch) for patch in patches}
        self._fields = {
            name: _Field(latents, patch, layer)
            for patch in patches
            for name, layer in patch.layers.items()
        }
        # What they were made of is needed no more.
        whole, mouth = (replace(patch, layers={}) for patch in patches)
        self.latents = replace(latents, whole=whole, mouth=mouth)
        # Made when first asked for, by where a patch lies and how many nodes it has.
        self._places: dict[tuple[int, ...], FloatArray] = {}
        self._on_whole: dict[tuple[int, ...], FloatArray] = {}

    def backward(self, patch: Patch, layer: str, pose: Pose) -> FloatArray:
        """Where each node [rows, columns, 2] of the new picture comes from, as a shift.

        The forward field is inverted by fixed-point iteration: a sum of backward fields would
        be wrong at large jaw angles.
        """
        forward = self._fields[layer].forward(pose) * np.float32(-1 / patch.cell)
        base = self._grids[patch.x.shape]
        shift = forward
        for _ in range(3 if layer == "whole" else 5):
            shift = cv2.remap(
                forward, base + shift, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        return np.asarray(shift * np.float32(patch.cell))

    def origins(self, patch: Patch, shift: FloatArray) -> FloatArray:
        """Where each node [rows, columns, 2] comes from under a backward shift, in nodes."""
        return np.asarray(self._grids[patch.x.shape] + shift * np.float32(1 / patch.cell))

    def part_of_whole(self, patch: Patch, shift: FloatArray) -> FloatArray:
        """The whole picture's backward shift on a patch's nodes."""
        key = patch.x0, patch.y0, *patch.x.shape
        if key not in self._on_whole:
            cell = self.latents.whole.cell
            self._on_whole[key] = (np.dstack([patch.x, patch.y]) + 0.5) / cell - 0.5
        at = self._on_whole[key]
        return np.asarray(
            cv2.remap(shift, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def joined(self, patch: Patch, own: FloatArray, whole: FloatArray) -> FloatArray:
        """A patch's own backward shift, but the whole picture's where that leads out of the patch,
        whose field says nothing of what is there."""
        at = self.origins(patch, own)
        rows, columns = patch.x.shape
        share = inward(at[..., 0], at[..., 1], columns, rows, np)[..., None]
        return np.asarray(whole + (own - whole) * share, np.float32)

    def sample(self, patch: Patch, shift: FloatArray, window: Window | None = None) -> ByteArray:
        """The portrait's pixels of a patch [height, width, 3] under a backward shift; with a
        window of nodes, the shift and the pixels are that window's."""
        drawn = _remapped(self.latents.source, *self._positions(patch, shift, window))
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

    def sample_parts(self, shift: FloatArray, windows: list[Window]) -> ByteArray:
        """The colours and the coverage [S, S, 4] of a cut-out, made within the windows only; the
        rest is 0."""
        whole = self.latents.whole
        nodes = self._nodes(whole, shift, None, (0, 0))
        drawn = np.zeros((whole.height, whole.width, 4), np.uint8)
        for window in windows:
            rows, columns = window
            some = nodes[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
            at = _fixed_point(some, whole.cell)
            _remapped(self.latents.source, *at, drawn[pixels_of(window, whole.cell)])
        return drawn

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
        at = cv2.copyMakeBorder(shift, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        at *= np.float32(self.latents.enlarged)
        rest = self._resting(patch, corner)
        if window:
            rows, columns = window
            rest = rest[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        at += rest
        return np.asarray(at)

    def _resting(self, patch: Patch, corner: tuple[int, int]) -> FloatArray:
        """What `_nodes` gives where nothing moves."""
        rows, columns = patch.x.shape
        key = patch.x0 - corner[0], patch.y0 - corner[1], rows, columns
        if key not in self._places:
            x = key[0] + patch.cell * (np.arange(columns + 2) - 0.5) - 0.5
            y = key[1] + patch.cell * (np.arange(rows + 2) - 0.5) - 0.5
            places = np.dstack(np.meshgrid(x, y)) * self.latents.enlarged + OFF_GRID
            self._places[key] = places.astype(np.float32)
        return self._places[key]

    def carried(self, grid: FloatArray, shift: FloatArray, patch: Patch) -> FloatArray:
        """A node grid's values, moved along with the picture."""
        return np.asarray(
            cv2.remap(
                grid, self.origins(patch, shift), None,
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )
        )  # fmt: skip


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
    source: ByteArray,
    at: npt.NDArray[np.int16],
    part: npt.NDArray[np.uint16],
    into: ByteArray | None = None,
) -> ByteArray:
    return np.asarray(
        cv2.remap(source, at, part, cv2.INTER_LINEAR, into, borderMode=cv2.BORDER_REFLECT_101)
    )


def pixels_of(window: Window, cell: int) -> tuple[slice, slice]:
    """A window's pixels within its patch."""
    rows, columns = window
    return (
        slice(rows.start * cell, rows.stop * cell),
        slice(columns.start * cell, columns.stop * cell),
    )
