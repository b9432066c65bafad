"""The pictures being drawn, and patches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sonic_stream.engines.lite.gpu.resident import ResidentScene
from sonic_stream.engines.lite.gpu.sampling import enlarged, in_bytes, pixel_grid, runs, sample
from sonic_stream.engines.lite.identity import OFF_GRID
from sonic_stream.engines.lite.motion import Motion


@dataclass(frozen=True)
class Row:
    """A picture of the batch."""

    scene: ResidentScene
    motion: Motion


@dataclass
class Canvas:
    """`rows` of one scene lie side by side. `pixels` [n, S, S, 3], float32 with whole values;
    `shift` [n, 2, R, C]: where the whole picture's nodes come from."""

    rows: Sequence[Row]
    pixels: Tensor
    shift: Tensor


@dataclass(frozen=True)
class Patches:
    """Patches of a canvas, all of one size: `row` [m] of each, its corner `x0`, `y0` [m]."""

    row: Tensor
    x0: Tensor
    y0: Tensor
    height: int
    width: int

    @classmethod
    def of(cls, numbers: Mapping[str, Tensor], shape: tuple[int, int], cell: int) -> Patches:
        """From the numbers `row`, `x0` and `y0`; `shape`: of their nodes."""
        row, x0, y0 = (numbers[name].long() for name in ("row", "x0", "y0"))
        return cls(row, x0, y0, shape[0] * cell, shape[1] * cell)

    def taken(self, pixels: Tensor) -> Tensor:
        """[m, 3, h, w]; what lies beyond the picture is arbitrary."""
        flat = pixels.reshape(-1, pixels.shape[-1])[self._index(pixels)]
        return flat.permute(0, 3, 1, 2)

    def add(self, pixels: Tensor, change: Tensor) -> None:
        """Patches of one picture may overlap where `change` [m, 3, h, w] is 0: added, whole
        numbers give the same in any order."""
        changes = change.permute(0, 2, 3, 1).reshape(-1, pixels.shape[-1])
        pixels.view(-1, pixels.shape[-1]).index_add_(0, self._index(pixels).flatten(), changes)

    def _index(self, pixels: Tensor) -> Tensor:
        size = pixels.shape[1]
        y = self.y0[:, None] + torch.arange(self.height, device=pixels.device)
        x = self.x0[:, None] + torch.arange(self.width, device=pixels.device)
        rows = self.row[:, None] * size + y.clamp(max=size - 1)
        return rows[:, :, None] * size + x.clamp(max=size - 1)[:, None, :]

    def places(self, nodes: Tensor, cell: int) -> Tensor:
        """Pixels of the picture [m, R, C, 2] where nodes [..., R, C, 2] of the patches lie."""
        corner = torch.stack([self.x0, self.y0], -1)[:, None, None]
        return (nodes + 0.5) * cell - 0.5 + corner

    def part_of_whole(self, canvas: Canvas, places: Tensor) -> Tensor:
        """The whole pictures' backward shifts [m, 2, R, C] at places of the patches."""
        cell = canvas.rows[0].scene.resident.latents.whole.cell
        return sample(canvas.shift[self.row], (places + 0.5) / cell - 0.5, "border")

    def positions(self, shift: Tensor, cell: int, factor: int, *, within: bool = False) -> Tensor:
        """Where the pixels come from in the enlarged portrait [m, h, w, 2], or `within` their
        patch's part of it, under a backward shift [m, 2, rows, columns]."""
        at = enlarged(shift, cell).permute(0, 2, 3, 1)
        at = at + pixel_grid((self.height, self.width), shift.device)
        if not within:
            at += torch.stack([self.x0, self.y0], -1)[:, None, None]
        return at.mul_(factor).add_(OFF_GRID)


def sampled(scenes: Sequence[ResidentScene], at: Tensor, channels: int) -> Tensor:
    """Each scene's source at its own positions [m, h, w, 2] -> [m, channels, h, w], rounded."""
    made = torch.empty(len(at), channels, *at.shape[1:3], device=at.device)
    height, width = at.shape[1:3]
    for scene, part in runs(scenes):
        some = at[part].reshape(1, -1, width, 2)
        drawn = sample(scene.source[:, :channels], some, "reflection")[0]
        made[part] = drawn.reshape(channels, -1, height, width).transpose(0, 1)
    return in_bytes(made)


def uploaded(
    numbers: Sequence[Mapping[str, npt.ArrayLike]], device: torch.device
) -> dict[str, Tensor]:
    """What is known of each picture, by name and with a leading axis, in one transfer."""
    columns = {name: np.stack([np.asarray(one[name]) for one in numbers]) for name in numbers[0]}
    flat = torch.from_numpy(
        np.concatenate([column.astype(np.float32).ravel() for column in columns.values()])
    )
    if device.type == "cuda":
        flat = flat.pin_memory()
    parts = flat.to(device, non_blocking=True).split([column.size for column in columns.values()])
    return {
        name: part.reshape(column.shape)
        for (name, column), part in zip(columns.items(), parts, strict=True)
    }
