"""Frame doubling: the flow network of RIFE HDv3 (Huang et al. 2022, arXiv 2011.06294)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 90
SCALES = (4, 2, 1)
SIDE_MULTIPLE = 16


def _conv(dim: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, out, 3, stride, 1), nn.PReLU(out))


def _head(out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(WIDTH, WIDTH // 2, 4, 2, 1),
        nn.PReLU(WIDTH // 2),
        nn.ConvTranspose2d(WIDTH // 2, out, 4, 2, 1),
    )


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class _FlowBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_conv(dim, WIDTH // 2, 2), _conv(WIDTH // 2, WIDTH, 2))
        self.convblock0, self.convblock1, self.convblock2, self.convblock3 = (
            nn.Sequential(_conv(WIDTH, WIDTH), _conv(WIDTH, WIDTH)) for _ in range(4)
        )
        self.conv1, self.conv2 = _head(4), _head(1)

    def forward(self, x: Tensor, flow: Tensor, scale: int) -> tuple[Tensor, Tensor]:
        """Pictures and mask [B, 7, H, W], flow [B, 4, H, W] -> changes of flow and of mask."""
        h = self.conv0(torch.cat([_resize(x, 1 / scale), _resize(flow, 1 / scale) / scale], dim=1))
        for block in (self.convblock0, self.convblock1, self.convblock2, self.convblock3):
            h = h + block(h)
        return _resize(self.conv1(h), scale) * scale, _resize(self.conv2(h), scale)


class Rife(nn.Module):
    """Keys as in `RIFE/flownet.pkl` without `module.`; `block_tea` is loaded and never run."""

    def __init__(self) -> None:
        super().__init__()
        self.block0, self.block1, self.block2 = (_FlowBlock(11) for _ in SCALES)
        self.block_tea = _FlowBlock(14)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in 0..1, any size -> the ones half-way, 0..1."""
        height, width = first.shape[-2:]
        pad = (0, -width % SIDE_MULTIPLE, 0, -height % SIDE_MULTIPLE)
        one, two = (functional.pad(x, pad, mode="replicate") for x in (first, second))
        flow, mask = self.flow(one, two)
        mid = warp(one, flow[:, :2]) * mask + warp(two, flow[:, 2:]) * (1 - mask)
        return mid[..., :height, :width].clamp(0, 1)

    def flow(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Flow [B, 4, H, W] in pixels (to the first, to the second) and mask [B, 1, H, W].
        Sides must be multiples of 16."""
        flow = torch.zeros_like(first[:, :1]).repeat(1, 4, 1, 1)
        mask = torch.zeros_like(first[:, :1])
        one, two = first, second
        for block, scale in zip((self.block0, self.block1, self.block2), SCALES, strict=True):
            f0, m0 = block(torch.cat([one, two, mask], dim=1), flow, scale)
            f1, m1 = block(torch.cat([two, one, -mask], dim=1), _swap(flow), scale)
            flow = flow + (f0 + _swap(f1)) / 2
            mask = mask + (m0 - m1) / 2
            one, two = warp(first, flow[:, :2]), warp(second, flow[:, 2:])
        return flow, mask.sigmoid()


def _swap(flow: Tensor) -> Tensor:
    return torch.cat([flow[:, 2:], flow[:, :2]], dim=1)


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Backward warp of [B, C, H, W] by a flow [B, 2, H, W] in pixels (x, y)."""
    height, width = picture.shape[-2:]
    ys = torch.linspace(-1, 1, height, device=flow.device, dtype=flow.dtype)
    xs = torch.linspace(-1, 1, width, device=flow.device, dtype=flow.dtype)
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)
    span = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=flow.device, dtype=flow.dtype)
    return functional.grid_sample(
        picture,
        grid + flow.permute(0, 2, 3, 1) / span,
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
