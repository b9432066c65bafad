"""PURE. Which parts of a picture a cut-out reaches, and where it leaves something open.

Known per node of the whole picture's field, with some to spare, so that no pixel is missed; work
is then done in a few windows instead of the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        self._edges = [nodes * strip // STRIPS for strip in range(STRIPS + 1)]
        self._columns = np.arange(nodes)

    def parts(self, at: FloatArray) -> Parts:
        """Of a picture whose nodes come from `at` [rows, columns, 2], in nodes."""
        moved = cv2.remap(self._grid, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        strips = np.maximum.reduceat(moved, self._edges[:-1], axis=0) > 0
        seen, open_ = strips[..., 0], strips[..., 1]
        columns = self._columns
        last = len(columns)
        first = np.where(seen.any(1), seen.argmax(1), last)
        end = last - seen[:, ::-1].argmax(1) * (first < last)
        # In each strip, from its middle to either side as far as nothing is open.
        beside = columns < ((first + end) // 2)[:, None]
        left = np.where(open_ & beside, columns + 1, first[:, None]).max(1)
        right = np.where(open_ & ~beside, columns, end[:, None]).min(1)
        parts = Parts([], [], [])
        for strip, (a, b, c, d) in enumerate(np.stack([first, left, right, end], 1).tolist()):
            rows = slice(self._edges[strip], self._edges[strip + 1])
            for windows, spans in (
                (parts.seen, [(a, d)]), (parts.rims, [(a, b), (c, d)]),
                (parts.empty, [(0, a), (d, last)]),
            ):  # fmt: skip
                windows += [(rows, slice(*span)) for span in spans if span[0] < span[1]]
        return parts
