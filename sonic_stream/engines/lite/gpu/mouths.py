"""The speaking mouths of many pictures at once: see `draw_mouth`, whose order and rounding this
follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sonic_stream.engines.lite.draw_mouth import activity
from sonic_stream.engines.lite.formulas import LipEdges, inward, lips_shadow
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
from sonic_stream.engines.lite.gpu.warps import carried, forward, inverse, moved
from sonic_stream.engines.lite.gpu.window import Window
from sonic_stream.engines.lite.inside import PARTS, Placed, inside_of
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.render import mouth_moves
from sonic_stream.engines.lite.shading import fold_depths
from sonic_stream.media import FloatArray


def draw_mouths(canvas: Canvas, extent: Extent) -> None:
    chosen = [
        index
        for index, row in enumerate(canvas.rows)
        if mouth_moves(row.scene.resident.latents, row.motion)
    ]
    if chosen:
        _Mouths(canvas, extent, chosen).draw()


def _numbers(index: int, row: Row) -> dict[str, npt.ArrayLike]:
    resident, motion = row.scene.resident, row.motion
    latents, patch = resident.latents, resident.latents.mouth
    interior, pose = latents.interior, pose_of(latents, motion)
    inside = inside_of(latents, motion, pose)
    placed = {sprite.part: sprite for sprite in (*inside.behind, *inside.before)}
    corner = np.array([patch.x0, patch.y0], np.float32)
    return {
        "row": index, "x0": patch.x0, "y0": patch.y0, "size": patch.x.shape[::-1],
        "drives": pose.drives, "turn": pose.turn,
        "active": activity(motion), "folds": fold_depths(motion.coefficients),
        "shade": np.trunc(latents.folds.colour), "half": latents.half_width,
        "edge": LipEdges.softness(latents.size_px / 512, interior.soft_px),
        "cavity": interior.cavity, "depth": inside.depth, "tint": inside.tint,
        "light": inside.light,
        "amounts": [placed[part].amount if part in placed else 0.0 for part in PARTS],
        "into": [_into(placed.get(part), corner) for part in PARTS],
    }  # fmt: skip


def _into(sprite: Placed | None, corner: FloatArray) -> FloatArray:
    """[2, 3]: from the patch's pixels to a sprite's."""
    if sprite is None:
        return np.eye(2, 3, dtype=np.float32)
    linear = np.linalg.inv(sprite.affine[:, :2].astype(np.float64))
    shift = -linear @ (sprite.affine[:, 2] + sprite.shift - corner)
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


@dataclass(frozen=True)
class _Opening:
    """All [m, 1, h, w]: signed distances and coverages, as in `draw_mouth`, and the folds' dark."""

    above: Tensor
    below: Tensor
    upper: Tensor
    lower: Tensor
    dark: Tensor


class _Mouths:
    """`m` mouths, their patches as large as the extent's."""

    def __init__(self, canvas: Canvas, extent: Extent, chosen: Sequence[int]) -> None:
        self._rows = [canvas.rows[index] for index in chosen]
        self._pixels = canvas.pixels
        latents = self._rows[0].scene.resident.latents
        self._cell, self._factor = latents.mouth.cell, latents.enlarged
        self._scale = latents.size_px / 512
        self._laid = [row.scene.resident.laid(extent) for row in self._rows]
        numbers = [_numbers(index, canvas.rows[index]) for index in chosen]
        n = self._numbers = uploaded(numbers, canvas.pixels.device)
        self._nodes = extent.mouth
        self._patches = Patches.of(n, extent.mouth, self._cell)
        places = self._patches.places(pixel_grid(extent.mouth, canvas.pixels.device), self._cell)
        self._around = self._patches.part_of_whole(canvas, places)

    def draw(self) -> None:
        up, down = self._shifts()
        opening = self._opening(up, down)
        upper = self._layer(up, opening.upper)
        lower = self._layer(down, 1 - opening.upper)
        lower = blend(lower, self._inside(opening), opening.lower)
        mouth = blend(upper, lower, opening.upper)
        shade = self._numbers["shade"][:, :, None, None]
        mouth = blend(shade, mouth, opening.dark)
        region = self._patches.taken(self._pixels)
        feather = stacked([laid.feather for laid in self._laid])[:, None]
        alpha = feather * self._number("active")
        self._patches.add(self._pixels, blend(mouth, region, alpha) - region)

    def _number(self, name: str) -> Tensor:
        return self._numbers[name][:, None, None, None]

    def _shifts(self) -> tuple[Tensor, Tensor]:
        """Backward shifts [m, 2, R, C] of the upper and of the lower layer."""
        drives, count = self._numbers["drives"], len(self._rows)
        own = moved(drives, [laid.bases for laid in self._laid]).view(count, 2, 2, *self._nodes)
        head = stacked([laid.head for laid in self._laid])
        field = forward(own, head, self._numbers["turn"].double())
        both = inverse(field.transpose(0, 1).flatten(0, 1), self._cell, rounds=5)
        return self._joined(both[:count]), self._joined(both[count:])

    def _joined(self, own: Tensor) -> Tensor:
        """See `Warper.joined`."""
        nodes = pixel_grid(self._nodes, own.device).permute(2, 0, 1)
        x, y = (nodes + own / self._cell).split(1, 1)
        columns, rows = (size[:, None, None, None] for size in self._numbers["size"].unbind(1))
        return self._around + (own - self._around) * inward(x, y, columns, rows, torch)

    def _opening(self, up: Tensor, down: Tensor) -> _Opening:
        grids = stacked([laid.carried for laid in self._laid]).transpose(0, 1)
        shifts = torch.cat([up, down, 0.5 * (up + down)])
        grids = carried(grids.flatten(0, 1), shifts, self._cell)
        (v_upper, cheeks), (v_lower, chin), (across, _) = (
            part.split(1, 1) for part in grids.chunk(3)
        )
        folds = self._numbers["folds"]
        dark = cheeks * folds[:, 0, None, None, None] + chin * folds[:, 1, None, None, None]
        distances = self._distance(torch.cat([v_upper, v_lower], 1))
        full = enlarged(torch.cat([distances, across.abs(), dark], 1), self._cell)
        above, below, along, dark = full.split(1, 1)
        widest = torch.minimum(above, -below).amax((1, 2, 3), keepdim=True)
        opened = (widest / (3.0 * self._scale)).clip(0, 1)
        edges = LipEdges(self._scale, self._number("edge"), opened)
        lower = F.pad(edges.lower(below, along), (1, 1, 1, 1), mode="reflect")
        lower = F.avg_pool2d(lower, 3, stride=1)  # steep sides stay smooth
        return _Opening(above, below, edges.upper(above), lower, dark)

    def _distance(self, offset: Tensor) -> Tensor:
        """Vertical offsets from the lips' edges as true distances in pixels."""
        ring = F.pad(offset, (1, 1, 1, 1), mode="reflect")
        along = ring[..., :-2] + 2 * ring[..., 1:-1] + ring[..., 2:]
        across = ring[..., :-2, :] + 2 * ring[..., 1:-1, :] + ring[..., 2:, :]
        gx, gy = across[..., 2:] - across[..., :-2], along[..., 2:, :] - along[..., :-2, :]
        slope = torch.sqrt(gx * gx + gy * gy) / (8 * self._cell)
        return offset / torch.maximum(slope, 0.5 / self._number("half"))

    def _layer(self, shift: Tensor, cover: Tensor) -> Tensor:
        """The portrait's pixels under a layer's shift [m, 3, h, w]; right where it covers."""
        window = Window.around(cover[:, 0] > 0, self._numbers["size"], self._cell)
        at = self._patches.positions(window.cropped(shift), self._cell, self._factor)
        return sampled([row.scene for row in self._rows], at, 3)

    def _inside(self, opening: _Opening) -> Tensor:
        """Cavity, tongue and teeth [m, 3, h, w], shaded by the lips."""
        n, sprites = self._numbers, self._sprites()
        cavity = n["cavity"][:, :, None, None]
        canvas = cavity * (0.75 + 0.75 * self._depth(opening))
        for index in range(len(PARTS) - 1):
            canvas = self._over(canvas, sprites[:, index], index)
        half = self._number("half")
        light = lips_shadow(opening.above, opening.below, self._number("depth"), half, torch)
        canvas = canvas * light.pow(n["tint"][:, :, None, None]) * n["light"][:, :, None, None]
        canvas = self._over(canvas, sprites[:, -1], len(PARTS) - 1)
        return canvas.clip(0, 255).floor()

    def _over(self, canvas: Tensor, sprite: Tensor, index: int) -> Tensor:
        amount = self._numbers["amounts"][:, index, None, None, None]
        return torch.lerp(canvas, sprite[:, :3], sprite[:, 3:] * (amount / 255))

    def _sprites(self) -> Tensor:
        """[m, parts, 4, h, w] where they lie in the patches."""
        into = self._numbers["into"]
        pixels = pixel_grid((self._patches.height, self._patches.width), into.device)
        across, down, start = into[:, :, None, None].unbind(-1)
        at = across * pixels[..., :1] + down * pixels[..., 1:] + start
        pictures = stacked([laid.sprites for laid in self._laid])
        drawn = sample(pictures.flatten(0, 1), at.flatten(0, 1), "zeros")
        return in_bytes(drawn).unflatten(0, pictures.shape[:2])

    def _depth(self, opening: _Opening) -> Tensor:
        """0 at the top of what shows between the lips, 1 at its bottom [m, 1, h, 1]."""
        seen = (opening.upper < 0.999) & (opening.lower < 0.999)
        rows = seen.any(3, keepdim=True).float()
        count = rows.shape[2]
        top = (rows.argmax(2, keepdim=True) - 2).clamp(min=0)
        last = count - 1 - rows.flip(2).argmax(2, keepdim=True)
        height = self._numbers["size"][:, 1, None, None, None].long() * self._cell
        stop = torch.minimum(last + 3, height)
        index = torch.arange(count, device=rows.device)[:, None]
        return ((index - top) / (stop - top - 1).clamp(min=1)).clip(0, 1)
