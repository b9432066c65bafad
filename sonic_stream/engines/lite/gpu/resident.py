"""What of an identity lies on the device: uploaded once, shared by all its streams.

Patches of different portraits are of different sizes. In a batch they are all as large as its
largest (`Extent`): what is constant on a patch goes on beyond its edge.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sonic_stream.engines.lite.background import Cut
from sonic_stream.engines.lite.draw_mouth import feather
from sonic_stream.engines.lite.eyes import Eye
from sonic_stream.engines.lite.fields import Patch
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.inside import PARTS
from sonic_stream.engines.lite.pose import bases_of, head_of
from sonic_stream.media import ByteArray, FloatArray


@dataclass(frozen=True)
class Extent:
    """Nodes of mouth and eye patches, pixels of the mouth's sprites; rows before columns."""

    mouth: tuple[int, int] = (1, 1)
    eye: tuple[int, int] = (1, 1)
    sprite: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, latents: Latents) -> Extent:
        eyes = [cls(eye=_shape(eye.patch.x)) for eye in latents.eyes.values()]
        alone = cls(_shape(latents.mouth.x), (1, 1), _shape(latents.interior.tongue))
        return alone.joined(*eyes)

    def joined(self, *others: Extent) -> Extent:
        def largest(name: str) -> tuple[int, int]:
            shapes = [getattr(extent, name) for extent in (self, *others)]
            return max(rows for rows, _ in shapes), max(columns for _, columns in shapes)

        return Extent(*(largest(field.name) for field in fields(self)))


def _shape(grid: npt.NDArray[np.generic]) -> tuple[int, int]:
    return grid.shape[0], grid.shape[1]


@dataclass(frozen=True)
class Laid:
    """Tensors of an extent. `bases` [23, 2 * 2 * nodes]: displacements of both layers of the
    mouth by `Pose.drives`; `head` [4, R, C], see `head_of`; `carried` [3, 2, R, C]: what moves with
    the upper lip, the lower one, and between; `feather` [h, w]; `sprites` [5, 4, sh, sw];
    `balls` [3, K h, K w] and `lids` [4, K h, K w] by eye."""

    extent: Extent
    bases: Tensor
    head: Tensor
    carried: Tensor
    feather: Tensor
    sprites: Tensor
    balls: dict[str, Tensor]
    lids: dict[str, Tensor]


class Resident:
    """An identity; `whole` [23, 2 * nodes] and `head` [4, R, C] are the whole picture's fields,
    `curves` [8, 33] by eye what lies along its lids."""

    def __init__(self, latents: Latents, device: torch.device) -> None:
        # What scenes are made of is needed no more.
        none = np.zeros((0, 0, 3), np.uint8)
        latents = replace(latents, source=none, matte=none, foreground=none, plate=none)
        self.latents = latents
        self.extent = Extent.of(latents)
        self._device = device
        whole = latents.whole
        self.whole = self._put_exact(_flat(_bases(latents, whole, ("whole",))))
        self.head = self._put_exact(head_of(latents, whole))
        self.curves = {side: self._put(_curves(eye)) for side, eye in latents.eyes.items()}
        self._laid: Laid | None = None

    def laid(self, extent: Extent) -> Laid:
        """Kept until an extent is asked for that another identity has made larger."""
        laid = self._laid
        if laid is None or laid.extent != extent:
            laid = self._laid = self._lay(extent)
        return laid

    def _lay(self, extent: Extent) -> Laid:
        latents, mouth, interior = self.latents, self.latents.mouth, self.latents.interior
        pixels = (extent.mouth[0] * mouth.cell, extent.mouth[1] * mouth.cell)
        still = np.zeros_like(mouth.u)
        carried = [
            [mouth.v_upper, latents.folds.cheeks],
            [mouth.v_lower, latents.folds.chin],
            [mouth.u, still],
        ]
        bases = _widened(_bases(latents, mouth, ("upper", "lower")), extent.mouth)
        sprites = [_filled(getattr(interior, part), extent.sprite) for part in PARTS]
        return Laid(
            extent=extent,
            bases=self._put_exact(_flat(bases)),
            head=self._put_exact(_widened(head_of(latents, mouth), extent.mouth)),
            carried=self._put(_widened(np.array(carried), extent.mouth)),
            feather=self._put(_filled(feather(mouth.width, mouth.height)[..., None], pixels)[0]),
            sprites=self._put(np.stack(sprites)),
            balls={side: self._part(eye, eye.ball, extent) for side, eye in latents.eyes.items()},
            lids={side: self._part(eye, eye.lid, extent) for side, eye in latents.eyes.items()},
        )

    def _part(self, eye: Eye, picture: ByteArray, extent: Extent) -> Tensor:
        scale = eye.patch.cell * self.latents.enlarged
        shape = (extent.eye[0] * scale, extent.eye[1] * scale)
        return self._put(_widened(picture.transpose(2, 0, 1), shape))

    def _put_exact(self, values: FloatArray) -> Tensor:
        """In float64: a sum of products is then the same in a batch of any size."""
        return self._put(values).double()

    def _put(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self._device)


class ResidentScene:
    """An identity before a background. `source` [1, 4, K S, K S]: colours and coverage of what is
    drawn in place of the portrait; `behind` [3, S, S]."""

    def __init__(self, resident: Resident, cut: Cut, device: torch.device) -> None:
        self.resident = resident
        self.backdrop = cut.behind if cut.straight else None

        def put(values: ByteArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        self.source = put(cut.cutout).permute(2, 0, 1)[None].float().contiguous()
        self.behind = put(cut.behind.transpose(2, 0, 1))

    @property
    def has_alpha(self) -> bool:
        return self.backdrop is not None


def _bases(latents: Latents, patch: Patch, layers: tuple[str, ...]) -> FloatArray:
    """[23, layers, 2, rows, columns]."""
    made = [bases_of(latents, patch, patch.layers[name]) for name in layers]
    return np.stack(made, 1)


def _flat(bases: FloatArray) -> FloatArray:
    return bases.reshape(len(bases), -1)


def _curves(eye: Eye) -> FloatArray:
    """[8, 33]: the lids, what of the opening is theirs, how far a closed one reaches below, and
    the lashes' colour."""
    edges = [eye.upper[None], eye.lower[None], eye.margin, eye.overshoot[None]]
    return np.concatenate([*edges, eye.lashes.T])


def _widened(grids: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """[..., rows, columns], their edges repeated up to `shape`."""
    more = [(0, 0)] * (grids.ndim - 2) + [
        (0, want - have) for want, have in zip(shape, grids.shape[-2:], strict=True)
    ]
    return np.asarray(np.pad(grids, more, mode="edge"))


def _filled(picture: npt.NDArray[np.generic], shape: tuple[int, int]) -> FloatArray:
    """A picture [h, w, C] as [C, *shape], zero beyond it."""
    out = np.zeros((picture.shape[2], *shape), np.float32)
    out[:, : picture.shape[0], : picture.shape[1]] = picture.transpose(2, 0, 1)
    return out
