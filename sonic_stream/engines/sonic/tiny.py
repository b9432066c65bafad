"""The slot for a tiny decoder: TAESD's layout (github.com/madebyollin/taesd), a hundredth of the
VAE decoder's work, somewhat softer, and each frame by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sonic_stream.engines.sonic.config import LATENT_CHANNELS

WIDTH = 64
CLAMP = 3.0  # latents beyond are unusual; they are bent back smoothly


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / CLAMP) * CLAMP


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(WIDTH), nn.ReLU(), _convolution(WIDTH), nn.ReLU()]
        self.conv = nn.Sequential(*layers, _convolution(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


def _convolution(into: int, out: int = WIDTH, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1, bias=bias)


def build_tiny() -> nn.Sequential:
    """Scaled latents [F, 4, h, w] -> pictures [F, 3, 8 h, 8 w] in about 0..1. Uninitialised."""
    layers: list[nn.Module] = [_Clamp(), _convolution(LATENT_CHANNELS), nn.ReLU()]
    for _ in range(3):
        layers += [_Block(), _Block(), _Block(), nn.Upsample(scale_factor=2)]
        layers += [_convolution(WIDTH, bias=False)]
    return nn.Sequential(*layers, _Block(), _convolution(WIDTH, 3)).eval()
