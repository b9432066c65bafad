"""The authors' own face detector, where a user has its file (`yoloface_v5m.pt`, TorchScript).

The project's own face finder is used without it. Facts: input sizes, grids, thresholds and the
rule by which one of several faces is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sonic_stream.engines.sonic.picture import Box
from sonic_stream.media import ByteArray

SHORT_SIDE_PX, STRIDES = 416, (8, 16, 32)
MIN_CONFIDENCE, MAX_OVERLAP = 0.5, 0.45


def choose_face(boxes_xywh: Sequence[Sequence[float]]) -> int:
    """The index that upstream takes: the last box larger than the first (not the largest)."""
    areas = [box[2] * box[3] for box in boxes_xywh]
    return max((i for i, area in enumerate(areas) if area > areas[0]), default=0)


class YoloFace:
    """Raises `OSError` or `RuntimeError` when the file is no TorchScript module."""

    def __init__(self, path: Path) -> None:
        self._net = torch.jit.load(str(path), map_location="cpu").eval()

    @torch.inference_mode()
    def __call__(self, image: ByteArray) -> Box | None:
        """RGB [H, W, 3] -> the chosen face (x, y, width, height) in pixels, None without one."""
        height, width = image.shape[:2]
        short = min(height, width)
        rows, columns = (int(s * SHORT_SIDE_PX / short + 31) // 32 * 32 for s in (height, width))
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        pixels = functional.interpolate(pixels, (rows, columns), mode="bilinear")
        found = self._net(pixels, grids(rows, columns))[0].float()
        boxes = suppress(found).numpy() * np.array([width / columns, height / rows] * 2)
        if not len(boxes):
            return None
        x, y, w, h = boxes[choose_face(boxes.tolist())].tolist()
        return x, y, w, h


def grids(rows: int, columns: int) -> list[Tensor]:
    """Cell coordinates (x, y) [1, 1, ny, nx, 2] of each stride."""
    made = []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(
            torch.arange(rows // stride), torch.arange(columns // stride), indexing="ij"
        )
        made.append(torch.stack([xs, ys], dim=-1)[None, None].float())
    return made


def suppress(found: Tensor) -> Tensor:
    """Predictions [N, 16] (cx, cy, w, h, object, ten landmarks, class) -> boxes [M, 4] as
    (x, y, w, h), the surest first, none overlapping another by more than 0.45."""
    found = found[found[:, 4] > MIN_CONFIDENCE]
    order = (found[:, 4] * found[:, 15]).argsort(descending=True)
    corner = found[:, :2] - found[:, 2:4] / 2
    boxes = torch.cat([corner, found[:, 2:4]], dim=1)[order]
    kept: list[Tensor] = []
    for box in boxes:
        if all(_overlap(box, other) <= MAX_OVERLAP for other in kept):
            kept.append(box)
    return torch.stack(kept) if kept else boxes[:0]


def _overlap(a: Tensor, b: Tensor) -> float:
    low = torch.maximum(a[:2], b[:2])
    high = torch.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float((high - low).clamp(min=0).prod())
    return shared / max(float(a[2:].prod() + b[2:].prod()) - shared, 1e-9)
