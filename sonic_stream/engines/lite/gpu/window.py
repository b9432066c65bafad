"""The part of each patch that shows. OpenCV's renderer draws nothing else, and takes the nodes at
its edge to go on beyond it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sonic_stream.engines.lite.gpu.canvas import Patches


@dataclass(frozen=True)
class Window:
    """First and last rows and columns [m] of nodes: what `shown` finds for one patch."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def around(cls, shown: Tensor, size: Tensor, cell: int = 1) -> Window:
        """Of flags [m, h, w] with `cell` a node, in patches whose own `size` [m, 2] is so many
        columns and rows of nodes."""
        columns, rows = (size * cell - 1).unbind(1)
        ends = (*_span(shown.any(2), rows), *_span(shown.any(1), columns))
        return cls(*(end // cell for end in ends))

    def cropped(self, grids: Tensor) -> Tensor:
        """[m, C, rows, columns], the values at the window's edge beyond it."""
        count, _, rows, columns = grids.shape
        each = torch.arange(count, device=grids.device)[:, None, None]
        y = _between(rows, self.top, self.bottom)[:, :, None]
        x = _between(columns, self.left, self.right)[:, None]
        return grids[each, :, y, x].permute(0, 3, 1, 2)

    def pixels(self, patches: Patches, cell: int) -> Tensor:
        """1 where the window's pixels are [m, 1, h, w]."""
        y = torch.arange(patches.height, device=self.top.device) // cell
        x = torch.arange(patches.width, device=self.top.device) // cell
        rows = (y >= self.top[:, None]) & (y <= self.bottom[:, None])
        columns = (x >= self.left[:, None]) & (x <= self.right[:, None])
        return (rows[:, None, :, None] & columns[:, None, None]).float()


def _span(shown: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """First and last hit [m] of flags [m, n]; none is beyond `last`."""
    hits, count = shown.float(), shown.shape[1]
    first, after = hits.argmax(1), hits.flip(1).argmax(1)
    return first, torch.minimum(count - 1 - after, last.long())


def _between(count: int, first: Tensor, last: Tensor) -> Tensor:
    """Indices [m, count], none outside of first..last."""
    index = torch.arange(count, device=first.device)
    return torch.minimum(torch.maximum(index, first[:, None]), last[:, None])
