"""The eyes of many pictures at once: see `draw_eye`, whose order and rounding this follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import Tensor

from sonic_stream.engines.lite.draw_eye import Look, look_of
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
from sonic_stream.engines.lite.gpu.canvas import Canvas, Patches, Row, sampled, uploaded
from sonic_stream.engines.lite.gpu.resident import Extent
from sonic_stream.engines.lite.gpu.sampling import (
    blend,
    enlarged,
    in_bytes,
    pixel_grid,
    sample,
    stacked,
)
from sonic_stream.engines.lite.gpu.window import Window
from sonic_stream.engines.lite.render import eyes_move

LOOK = ("upper", "lower", "blink", "comes", "across", "down", "centre", "left", "right", "falls")


@dataclass(frozen=True)
class _Job:
    row: int
    side: str
    eye: Eye
    look: Look

    def numbers(self) -> dict[str, npt.ArrayLike]:
        eye = self.eye
        rows, columns = eye.patch.x.shape
        return {
            "row": self.row, "x0": eye.patch.x0, "y0": eye.patch.y0, "size": (columns, rows),
            "corner": eye.corner, "axes": [eye.axis_x, eye.axis_y],
            "width": eye.width, "above": eye.above, "lash": eye.lash,
            **{name: getattr(self.look, name) for name in LOOK},
        }  # fmt: skip


def draw_eyes(canvas: Canvas, extent: Extent) -> None:
    jobs = [
        _Job(index, side, eye, look_of(eye, row.motion))
        for index, row in enumerate(canvas.rows)
        if eyes_move(row.scene.resident.latents, row.motion)
        for side, eye in row.scene.resident.latents.eyes.items()
    ]
    if jobs:
        _Eyes(canvas, extent, jobs).draw()


class _Eyes:
    """`m` eyes, their patches as large as the extent's."""

    def __init__(self, canvas: Canvas, extent: Extent, jobs: Sequence[_Job]) -> None:
        self._jobs = jobs
        self._rows: list[Row] = [canvas.rows[job.row] for job in jobs]
        self._extent, self._pixels = extent, canvas.pixels
        latents = self._rows[0].scene.resident.latents
        self._cell, self._factor = jobs[0].eye.patch.cell, latents.enlarged
        device = canvas.pixels.device
        n = self._numbers = uploaded([job.numbers() for job in jobs], device)
        self._patches = Patches.of(n, extent.eye, self._cell)
        # The patch's own last nodes go on beyond it.
        nodes = torch.minimum(pixel_grid(extent.eye, device), n["size"][:, None, None] - 1)
        self._places = self._patches.places(nodes, self._cell)
        self._shift = self._patches.part_of_whole(canvas, self._places)
        curves = [
            row.scene.resident.curves[job.side] for row, job in zip(self._rows, jobs, strict=True)
        ]
        self._curves = stacked(curves)

    def draw(self) -> None:
        looks = [job.look for job in self._jobs]
        before = region = self._patches.taken(self._pixels)
        if any(look.falls for look in looks):
            region = self._drop_lids(region)
        if any(look.sets_lids for look in looks):
            region = self._set_lids(region)
        nodes, curves = self._nodes()
        shown = self._window(nodes)
        nodes, curves = self._cropped(shown, nodes, curves)
        seen = shown.pixels(self._patches, self._cell)
        if any(look.gazes for look in looks):
            region = self._gaze(region, nodes, curves, seen)
        if any(look.blink for look in looks):
            region = self._close(region, nodes, curves, seen)
        self._patches.add(self._pixels, (region - before) * self._own())

    def _window(self, nodes: EyeNodes) -> Window:
        """Around the nodes that gaze and blink change, as in `draw_eye`."""
        return Window.around(near_opening(nodes), self._numbers["size"])

    def _cropped(self, window: Window, nodes: EyeNodes, curves: Tensor) -> tuple[EyeNodes, Tensor]:
        """The nodes at the window's edge go on beyond it; the shift's too."""
        own = torch.stack([nodes.x, nodes.v, nodes.to_lower, nodes.height], 1)
        grids = window.cropped(torch.cat([self._shift, own, curves], 1))
        self._shift = grids[:, :2]
        return EyeNodes(*grids[:, 2:6].unbind(1)), grids[:, 6:]

    def _number(self, name: str) -> Tensor:
        return self._numbers[name][:, None, None]

    def _own(self) -> Tensor:
        """1 in the eyes' own patches [m, 1, h, w]."""
        shape = (self._patches.height, self._patches.width)
        size = self._numbers["size"][:, None, None] * self._cell
        return (pixel_grid(shape, size.device) < size).all(-1)[:, None].float()

    def _nodes(self) -> tuple[EyeNodes, Tensor]:
        """And the eyes' curves at the nodes [m, 8, R, C]."""
        n = self._numbers
        away = self._places + self._shift.permute(0, 2, 3, 1) - n["corner"][:, None, None]
        local = away[:, None] * n["axes"][:, :, None, None]  # [m, 2, R, C, 2]
        x, y = ((local[..., 0] + local[..., 1]) / n["width"][:, None, None, None]).unbind(1)
        index = (x * (POINTS - 1)).clip(0, POINTS - 1)
        left = index.long().clamp(max=POINTS - 2)
        flat = left.flatten(1)[:, None].expand(-1, self._curves.shape[1], -1)
        low, high = (self._curves.gather(2, flat + i).unflatten(2, x.shape[1:]) for i in (0, 1))
        curves = torch.lerp(low, high, (index - left)[:, None])
        upper, lower = curves[:, 0], curves[:, 1]
        return EyeNodes(x, y - upper, lower - y, (lower - upper).clip(0)), curves

    def _drop_lids(self, region: Tensor) -> Tensor:
        nodes, _ = self._nodes()
        line, falls = self._numbers["lash"][:, :1, None], self._number("falls")
        near = Window.around(near_falling(nodes), self._numbers["size"])
        seen = near.pixels(self._patches, self._cell) * (falls[:, None] != 0)
        for down, away in falling_lids(nodes, line, falls):
            rise = down * self._number("width")
            shift = self._shift + rise[:, None] * self._numbers["axes"][:, 1, :, None, None]
            at = self._patches.positions(shift, self._cell, self._factor)
            drawn = sampled([row.scene for row in self._rows], at, 3)
            distance = enlarged((away * self._number("width"))[:, None], self._cell)
            share = (0.5 - distance / (0.75 * self._cell)).clip(0, 1)
            region = blend(drawn, region, share * seen)
        return region

    def _set_lids(self, region: Tensor) -> Tensor:
        upper, lower, above = (self._number(name) for name in ("upper", "lower", "above"))
        nodes, _ = self._nodes()
        rise = lids_rise(nodes, above, upper, lower, torch) * self._number("width")
        self._shift = self._shift + rise[:, None] * self._numbers["axes"][:, 1, :, None, None]
        at = self._patches.positions(self._shift, self._cell, self._factor)
        drawn = sampled([row.scene for row in self._rows], at, 3)
        near = Window.around(near_lids(nodes, above), self._numbers["size"])
        near = near.pixels(self._patches, self._cell) > 0
        return torch.where(((upper != 0) | (lower != 0))[:, None] & near, drawn, region)

    def _gaze(self, region: Tensor, nodes: EyeNodes, curves: Tensor, seen: Tensor) -> Tensor:
        n = self._numbers
        iris = (self._number("centre"), self._number("left"), self._number("right"))
        towards = ball_moves(nodes, iris, torch)
        across, down = n["axes"].unbind(1)
        away = across * n["across"][:, None] + down * n["down"][:, None]
        shift = self._shift - away[:, :, None, None] * towards[:, None]
        ball = self._part("balls", shift)
        inside = within_lids(nodes, (curves[:, 2], curves[:, 3]), torch) * self._number("width")
        gazes = (n["across"] != 0) | (n["down"] != 0)
        share = (0.5 + enlarged(inside[:, None], self._cell) / 2.0).clip(0, 1)
        return blend(ball, region, share * seen * gazes[:, None, None, None])

    def _close(self, region: Tensor, nodes: EyeNodes, curves: Tensor, seen: Tensor) -> Tensor:
        blink, comes = self._number("blink"), self._number("comes")
        lid = self._part("lids", self._shift)
        thick, soft, strong = self._numbers["lash"][:, :, None, None].unbind(1)
        lash = (thick, soft, strong)
        beyond, cover, dark = closing_lid(nodes, curves[:, 4], (blink, comes), lash, torch)
        grids = torch.stack([beyond * self._number("width"), cover, dark], 1)
        full = enlarged(torch.cat([grids, curves[:, 5:]], 1), self._cell)
        beyond, cover, dark, lashes = full.split([1, 1, 1, 3], 1)
        skin, opaque = lid.split([3, 1], 1)
        drawn = torch.lerp(skin, lashes, dark * (1.2 * comes[:, None]).clip(max=1.0))
        alpha = (0.5 - beyond / (0.75 * self._cell)).clip(0, 1) * cover * opaque / 255
        alpha = alpha * (blink[:, None] != 0)
        return blend(drawn.clip(0, 255).floor(), region, alpha * seen)

    def _part(self, name: str, shift: Tensor) -> Tensor:
        """What replaces the portrait in the patches, `balls` or `lids`, under a shift."""
        laid = [row.scene.resident.laid(self._extent) for row in self._rows]
        parts = [getattr(one, name)[job.side] for one, job in zip(laid, self._jobs, strict=True)]
        at = self._patches.positions(shift, self._cell, self._factor, within=True)
        return in_bytes(sample(stacked(parts), at, "border"))
