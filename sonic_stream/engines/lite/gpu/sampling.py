"""Sampling and rounding as OpenCV does them, so that both renderers draw the same picture.

Positions are pixels [n, h, w, 2], x before y; pictures float32 [n, C, H, W], 0..255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")
PARTS = 32  # of a pixel: what `cv2.remap` and `cv2.warpAffine` round positions to


def sample(source: Tensor, at: Tensor, border: str) -> Tensor:
    """Bilinear: [n, C, H, W] at [n, h, w, 2] -> [n, C, h, w]. `border` is grid_sample's:
    "border" repeats the last pixel, "reflection" mirrors about its centre, "zeros" is empty."""
    height, width = source.shape[-2:]
    steps = torch.round(at * PARTS)
    x = steps[..., 0] * (2 / (PARTS * max(width - 1, 1))) - 1
    y = steps[..., 1] * (2 / (PARTS * max(height - 1, 1))) - 1
    return F.grid_sample(
        source, torch.stack([x, y], -1), mode="bilinear", padding_mode=border, align_corners=True
    )


def in_bytes(picture: Tensor) -> Tensor:
    """Rounded to what a byte can hold, in place."""
    return picture.add_(0.5).floor_().clamp_(0, 255)


def blend(over: Tensor, under: Tensor, share: Tensor) -> Tensor:
    """`share` of `over`, rounded."""
    return torch.round(under + (over - under) * share)


def enlarged(nodes: Tensor, cell: int) -> Tensor:
    """Node grids [n, C, rows, columns] at their pixels [n, C, rows * cell, columns * cell]."""
    return F.interpolate(nodes, scale_factor=cell, mode="bilinear", align_corners=False)


def pixel_grid(shape: tuple[int, int], device: torch.device) -> Tensor:
    """Indices [rows, columns, 2] of a grid of that shape, x before y."""
    rows, columns = shape
    y = torch.arange(rows, dtype=torch.float32, device=device)
    x = torch.arange(columns, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def runs(items: Sequence[T]) -> list[tuple[T, slice]]:
    """Neighbours that are the same, and where they lie."""
    found: list[tuple[T, slice]] = []
    for index, item in enumerate(items):
        begun = found.pop()[1].start if found and found[-1][0] is item else index
        found.append((item, slice(begun, index + 1)))
    return found


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Along a new first axis; without a copy where all are one."""
    if all(tensor is tensors[0] for tensor in tensors):
        return tensors[0].expand(len(tensors), *tensors[0].shape)
    return torch.stack(list(tensors))
