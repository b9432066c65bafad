"""Displacement fields of many pictures at once, and their inverse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sonic_stream.engines.lite.gpu.sampling import pixel_grid, runs, sample


def forward(moved: Tensor, head: Tensor, turn: Tensor) -> Tensor:
    """Float32 [n, L, 2, R, C]: nodes of L layers, `moved` by their bases, turn with the head:
    `head` [n, 4, R, C], `turn` [n, 2, 4] (see `head_of`, `turn_of`). All given in float64."""
    turned = torch.einsum("nij,nljrc->nlirc", turn[..., :2], moved)
    rigid = torch.einsum("nij,njrc->nirc", turn, head)
    return (moved + turned * head[:, None, 3:] + rigid[:, None]).float()


def moved(drives: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """What `drives` [n, 23] make of the bases [23, k] of each of n pictures, [n, k] in float64;
    those of an identity lie side by side."""
    made = torch.empty(len(drives), bases[0].shape[1], dtype=torch.float64, device=drives.device)
    for own, part in runs(bases):
        torch.mm(drives[part].double(), own, out=made[part])
    return made


def inverse(field: Tensor, cell: int, rounds: int) -> Tensor:
    """Where each node of the new pictures comes from, as a shift: [n, 2, R, C] of the forward
    field, by fixed-point iteration."""
    nodes = pixel_grid(field.shape[-2:], field.device)
    shift = -field
    for _ in range(rounds):
        shift = -sample(field, nodes + shift.permute(0, 2, 3, 1) * (1 / cell), "border")
    return shift


def carried(grids: Tensor, shift: Tensor, cell: int) -> Tensor:
    """Node grids [n, C, R, C'] moved along with the pictures, by a backward shift [n, 2, R, C']."""
    nodes = pixel_grid(grids.shape[-2:], grids.device)
    return sample(grids, nodes + shift.permute(0, 2, 3, 1) * (1 / cell), "border")
