"""Feed-forward layers in 8-bit floats, on cards whose matrix units have them.

Nearly half of the UNet's matrix work lies in these layers, in products wide enough to pay for
quantising what goes in. Weights are scaled per output, inputs per token (e4m3, three bits of
mantissa); sums and everything else stay in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sonic_stream.engines.sonic.attention import FeedForward

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max
MIN_CAPABILITY = (9, 0)  # scales per row need a Hopper card or newer


class Fp8Linear(nn.Module):
    """A linear layer whose product is made in 8 bits; sides must be multiples of 16."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = quantised(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.T.contiguous())
        self.register_buffer("bias", linear.bias.detach().bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        rows, scale = quantised(x.flatten(0, -2))
        product = torch._scaled_mm(
            rows, self.weight.T, scale_a=scale, scale_b=self.scale, out_dtype=torch.bfloat16
        )
        return (product + self.bias).view(*x.shape[:-1], -1).to(x.dtype)


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """[n, m] -> 8-bit [n, m] and the scale of each row [n, 1]."""
    scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).to(FP8), scale


def use_fp8(unet: nn.Module) -> nn.Module:
    """The network itself, its feed-forward layers replaced."""
    for module in list(unet.modules()):
        if isinstance(module, FeedForward):
            module.net[0].proj = Fp8Linear(module.net[0].proj)
            module.net[2] = Fp8Linear(module.net[2])
    return unet
