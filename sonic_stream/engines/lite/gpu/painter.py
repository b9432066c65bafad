"""Pictures of many streams in one batch, on a device of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from sonic_stream.engine import StreamOptions
from sonic_stream.engines.lite.background import cut_of, whole_cut
from sonic_stream.engines.lite.gpu.canvas import Canvas, Patches, Row, sampled, uploaded
from sonic_stream.engines.lite.gpu.eyes import draw_eyes
from sonic_stream.engines.lite.gpu.mouths import draw_mouths
from sonic_stream.engines.lite.gpu.resident import (
    Extent,
    Resident,
    ResidentScene,
)
from sonic_stream.engines.lite.gpu.sampling import stacked
from sonic_stream.engines.lite.gpu.warps import forward, inverse, moved
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.painter import Picture, Shot
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.media import ByteArray, IdentityLatents

MAX_PIXELS = 32 << 20  # of a batch: some 3 GB are in flight then


class TorchPainter:
    """Scenes live on the device as long as a stream shows them; those of one portrait share it."""

    def __init__(self, device: str, *, max_pixels: int = MAX_PIXELS) -> None:
        self.residents: WeakValueDictionary[str, Resident] = WeakValueDictionary()
        self._device = torch.device(device)
        self._max_pixels = max_pixels
        self._extent = Extent()

    def scene(self, identity: IdentityLatents, options: StreamOptions) -> ResidentScene:
        latents = restore(identity)
        resident = self.residents.get(identity.fingerprint)
        if resident is None:
            resident = self.residents[identity.fingerprint] = Resident(latents, self._device)
        cut = cut_of(latents, options.background, alpha=options.alpha)
        return ResidentScene(resident, cut or whole_cut(latents), self._device)

    @torch.inference_mode()
    def paint(self, shots: Sequence[Shot]) -> list[Picture]:
        made: list[Picture] = []
        while shots:
            count = self._fitting(shots)
            made += self._painted(shots[:count])
            shots = shots[count:]
        return made

    def _fitting(self, shots: Sequence[Shot]) -> int:
        """How many of them go into one batch; one does."""
        size = shots[0].layers[0][0].resident.latents.size_px
        room = self._max_pixels // (size * size)
        for count, shot in enumerate(shots):
            room -= len(shot.layers)
            if room < 0 and count:
                return count
        return len(shots)

    def _painted(self, shots: Sequence[Shot]) -> list[Picture]:
        wanted = [(shot, scene) for shot in shots for scene, _ in shot.layers]
        order = sorted(range(len(wanted)), key=lambda index: _apart(wanted[index][1]))
        rows = [Row(wanted[index][1], wanted[index][0].motion) for index in order]
        pixels, coverage = self._drawn(rows)
        places = iter(np.argsort(order).tolist())
        shown = []
        for shot in shots:
            layers = [next(places) for _ in shot.layers]
            _faded(pixels, coverage, layers, [share for _, share in shot.layers])
            shown.append(layers[-1])
        return self._fetched(shots, shown, pixels, coverage)

    def _drawn(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Pictures [n, S, S, 3] and, of those with alpha, its coverage [n, S, S]; the others are
        before their backgrounds."""
        canvas, coverage = self._persons(rows)
        self._extent = self._extent.joined(*(row.scene.resident.extent for row in rows))
        draw_eyes(canvas, self._extent)
        draw_mouths(canvas, self._extent)
        pixels = canvas.pixels
        behind = stacked([row.scene.behind for row in rows]).permute(0, 2, 3, 1)
        open_ = (255 - coverage)[..., None]
        shown = (pixels + torch.round(behind * open_ / 255)).clamp(max=255)
        if not any(row.scene.has_alpha for row in rows):
            return shown, coverage
        clear = uploaded([{"clear": row.scene.has_alpha} for row in rows], self._device)["clear"]
        return torch.where(clear[:, None, None, None] > 0, pixels, shown), coverage

    def _persons(self, rows: Sequence[Row]) -> tuple[Canvas, Tensor]:
        """The persons as the whole picture's field moves them."""
        residents = [row.scene.resident for row in rows]
        whole, size = residents[0].latents.whole, residents[0].latents.size_px
        poses = [pose_of(row.scene.resident.latents, row.motion) for row in rows]
        numbers = uploaded(
            [{"drives": pose.drives, "turn": pose.turn} for pose in poses], self._device
        )
        own = moved(numbers["drives"], [resident.whole for resident in residents])
        head = stacked([resident.head for resident in residents])
        shape = (len(rows), 1, 2, *whole.x.shape)
        field = forward(own.view(shape), head, numbers["turn"].double())
        shift = inverse(field[:, 0], whole.cell, rounds=3)
        zero = torch.zeros(len(rows), dtype=torch.long, device=self._device)
        patches = Patches(torch.arange(len(rows), device=self._device), zero, zero, size, size)
        at = patches.positions(shift, whole.cell, residents[0].latents.enlarged)
        drawn = sampled([row.scene for row in rows], at, 4)
        pixels = drawn[:, :3].permute(0, 2, 3, 1).contiguous()
        return Canvas(rows, pixels, shift), drawn[:, 3]

    def _fetched(
        self, shots: Sequence[Shot], rows: Sequence[int], pixels: Tensor, coverage: Tensor
    ) -> list[Picture]:
        """On the host, in one transfer."""
        size = pixels.shape[1]
        clear = [i for i, shot in enumerate(shots) if shot.layers[-1][0].has_alpha]
        solid = [i for i in range(len(shots)) if i not in clear]
        parts = []
        for some, depth in ((solid, 3), (clear, 4)):
            if not some:
                continue
            chosen = uploaded([{"row": rows[i]} for i in some], self._device)["row"].long()
            picture = pixels[chosen]
            if depth == 4:
                picture = torch.cat([picture, coverage[chosen][..., None]], -1)
            parts.append(picture.to(torch.uint8).flatten())
        flat = _on_host(torch.cat(parts))
        split = len(solid) * size * size * 3
        found: dict[int, ByteArray] = {}
        for some, array, depth in ((solid, flat[:split], 3), (clear, flat[split:], 4)):
            shape = (len(some), size, size, depth)
            found |= dict(zip(some, array.reshape(shape), strict=True))
        return [Picture(found[i], shot.layers[-1][0].backdrop) for i, shot in enumerate(shots)]


def _apart(scene: ResidentScene) -> tuple[int, int]:
    """Sorts scenes so that those of an identity, and equal ones, lie side by side."""
    return id(scene.resident), id(scene)


def _faded(
    pixels: Tensor, coverage: Tensor, layers: Sequence[int], shares: Sequence[float]
) -> None:
    """Mixes a shot's rows into its last one."""
    for below, row, share in zip(layers, layers[1:], shares[1:], strict=False):
        for values in (pixels, coverage):
            values[row] = torch.round(values[row] * share + values[below] * (1 - share))


def _on_host(flat: Tensor) -> ByteArray:
    if flat.device.type != "cuda":
        return np.asarray(flat.numpy())
    host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
    host.copy_(flat, non_blocking=True)
    torch.cuda.current_stream(flat.device).synchronize()
    return np.asarray(host.numpy())
