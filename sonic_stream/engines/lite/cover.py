"""PURE. Which parts of a picture a cut-out reaches, and where it leaves something open.

Known per node of the whole picture's field, with some to spare, so that no pixel is missed; work
is then done in a few windows instead of the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray

STRIPS = 8
SPARE_NODES = 2
Window = tuple[slice, slice]  # rows and columns of nodes


@dataclass(frozen=True)
class Parts:
    """`seen` holds all that the cut-out reaches, `rims` what it may leave open of that; `empty`:
    all else."""

    seen: list[Window]
    rims: list[Window]
    empty: list[Window]


class Cover:
    def __init__(self, coverage: ByteArray, cell: int) -> None:
        """`coverage` [S, S] of a cut-out at rest."""
        nodes = len(coverage) // cell
        blocks = coverage.reshape(nodes, cell, nodes, cell)
        grid = np.dstack([blocks.max((1, 3)), 255 - blocks.min((1, 3))])
        self._grid = cv2.dilate(grid, np.ones((2 * SPARE_NODES + 1,) * 2, np.uint8))
        edges = [nodes * strip // STRIPS for strip in range(STRIPS + 1)]
        self._strips = [slice(*pair) for pair in pairwise(edges)]

    def parts(self, at: FloatArray) -> Parts:
        """Of a picture whose nodes come from `at` [rows, columns, 2], in nodes."""
        moved = cv2.remap(self._grid, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        seen, open_ = cv2.split(moved)
        parts = Parts([], [], [])
        for rows in self._strips:
            start, stop = _span(seen[rows])
            # From the middle to either side as far as nothing is open.
            middle = (start + stop) // 2
            left = start + _span(open_[rows, start:middle])[1]
            begins, ends = _span(open_[rows, middle:stop])
            right = middle + begins if ends else stop
            for windows, first, last in (
                (parts.seen, start, stop), (parts.rims, start, left), (parts.rims, right, stop),
                (parts.empty, 0, start), (parts.empty, stop, seen.shape[1]),
            ):  # fmt: skip
                if first < last:
                    windows.append((rows, slice(first, last)))
        return parts


def _span(flags: ByteArray) -> tuple[int, int]:
    """The first column with something, and the one after the last; 0, 0 without any."""
    if not flags.size:
        return 0, 0
    first, _, width, _ = cv2.boundingRect(flags)
    return first, first + width
